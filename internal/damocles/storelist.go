package damocles

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/BurntSushi/toml"
	"github.com/filecoin-project/go-state-types/abi"
)

// Reservation is the room that a sector has reserved.
type Reservation struct {
	By   string
	Size uint64
	// At is a Unix time.
	At int64
}

// StoreBasicInfo returns a store of a running damocles-manager, without the room
// in it; false where there is none of this name.
func (c *Client) StoreBasicInfo(ctx context.Context, name string) (StoreInfo, bool, error) {
	var info *StoreInfo
	err := c.rpc.Call(ctx, &info, "Venus.StoreBasicInfo", name)
	if err != nil || info == nil {
		return StoreInfo{}, false, err
	}
	return *info, true, nil
}

// Index asks a running damocles-manager in which stores it looks for a sector's
// replica and cache directory, or for its update files with upgrade.
func (c *Client) Index(ctx context.Context, id abi.SectorID, upgrade bool) (sealed, cache string, found bool, err error) {
	kind := "normal"
	if upgrade {
		kind = "upgrade"
	}
	var at struct {
		Found    bool
		Instance struct{ SealedFile, CacheDir string }
	}
	err = c.rpc.Call(ctx, &at, "Venus.SectorIndexerFind", kind, id)
	return at.Instance.SealedFile, at.Instance.CacheDir, at.Found, err
}

// Reservations reads a summary of what is reserved, as Reserved returns it, by
// the names of the stores. Those of a store are in the order of their sectors.
func Reservations(summary []byte) (map[string][]Reservation, error) {
	if len(summary) == 0 {
		return nil, nil
	}
	var all struct {
		Stats map[string]*struct{ Reserved map[string]Reservation }
	}
	if err := json.Unmarshal(summary, &all); err != nil {
		return nil, fmt.Errorf("read what is reserved in the stores: %w", err)
	}
	out := map[string][]Reservation{}
	for name, stat := range all.Stats {
		if stat == nil {
			continue
		}
		for _, by := range slices.Sorted(maps.Keys(stat.Reserved)) {
			out[name] = append(out[name], stat.Reserved[by])
		}
	}
	return out, nil
}

// ReadDisk fills in the room on the store's disk, and what is reserved of it.
func (s *StoreInfo) ReadDisk(reserved []Reservation) error {
	s.SetReserved(reserved)
	return s.statfs()
}

// SetReserved fills in what is reserved of the room.
func (s *StoreInfo) SetReserved(by []Reservation) {
	s.Reserved, s.ReservedBy = 0, by
	for _, r := range by {
		s.Reserved += r.Size
	}
}

// Weights returns the weights of [[Common.PersistStores]] as they stand in the
// file, by the name of the store: Config has 1 for what is left out, which
// damocles lists as 0.
func (c Config) Weights() (map[string]uint, error) {
	var file struct {
		Common struct {
			PersistStores []struct {
				Name, Path string
				Weight     uint
			}
		}
	}
	if !c.Found {
		return nil, nil
	}
	if _, err := toml.Decode(string(c.raw), &file); err != nil {
		return nil, configError(c.Path, err)
	}
	out := map[string]uint{}
	for _, s := range file.Common.PersistStores {
		if s.Name == "" {
			s.Name = s.Path
		}
		out[s.Name] = s.Weight
	}
	return out, nil
}
