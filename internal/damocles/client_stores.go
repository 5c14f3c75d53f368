package damocles

import "context"

// StoreInfo is what damocles-manager says of one of its stores. Sizes are in
// bytes. The lists of miners, and whether the store was found by its
// sectorstore.json, it does not tell.
type StoreInfo struct {
	Name        string
	Path        string
	Strict      bool
	ReadOnly    bool
	Weight      uint
	Meta        map[string]string
	Type        string
	Total       uint64
	Free        uint64
	Used        uint64
	UsedPercent float64
	// Reserved is for sectors that are being sealed, which ReservedBy names.
	Reserved   uint64
	ReservedBy []Reservation
}

// StoreList asks for all stores.
func (c *Client) StoreList(ctx context.Context) ([]StoreInfo, error) {
	var stores []StoreInfo
	err := c.rpc.Call(ctx, &stores, "Venus.StoreList")
	return stores, err
}
