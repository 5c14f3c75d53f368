package lotus

import "context"

// StorageLocal returns the storage paths of lotus-miner's own machine by their
// IDs. It needs the permission admin.
func (c *Client) StorageLocal(ctx context.Context) (map[string]string, error) {
	var paths map[string]string
	err := c.rpc.Call(ctx, &paths, "Filecoin.StorageLocal")
	return paths, err
}

// StorageInfo is what lotus-miner says of one storage path. The lists of miners
// hold addresses, as "t01000".
type StorageInfo struct {
	ID          string
	Weight      uint64
	CanSeal     bool
	CanStore    bool
	AllowMiners []string
	DenyMiners  []string
}

// StorageInfo asks for one storage path. It needs the permission admin.
func (c *Client) StorageInfo(ctx context.Context, id string) (StorageInfo, error) {
	var info StorageInfo
	err := c.rpc.Call(ctx, &info, "Filecoin.StorageInfo", id)
	return info, err
}
