package damocles

import (
	"bytes"
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

// Index says in which stores damocles looks for a sector's replica and cache
// directory, or for its update files with upgrade. It reads as damocles does:
// no entry for the cache means the store of the replica, and a cache entry
// alone does not count as found.
func (h *Home) Index(ctx context.Context, id abi.SectorID, upgrade bool) (sealed, cache string, found bool, err error) {
	sealedKey, cacheKey := IndexKeys(id.Miner, id.Number, upgrade)
	value, found, err := h.Value(ctx, CollectionIndex, sealedKey)
	if err != nil || !found {
		return "", "", false, err
	}
	sealed = string(value)
	value, _, err = h.Value(ctx, CollectionIndex, cacheKey)
	if err != nil {
		return "", "", false, err
	}
	if cache = string(value); cache == "" {
		cache = sealed
	}
	return sealed, cache, true, nil
}

// IndexChanges returns what Apply has to write so that the index names these
// stores, values before included. An empty name removes the entry. What stands
// there already makes no change.
func (h *Home) IndexChanges(ctx context.Context, id abi.SectorID, upgrade bool, sealed, cache string) ([]Change, error) {
	sealedKey, cacheKey := IndexKeys(id.Miner, id.Number, upgrade)
	var changes []Change
	for _, entry := range []struct{ key, store string }{{sealedKey, sealed}, {cacheKey, cache}} {
		before, found, err := h.Value(ctx, CollectionIndex, entry.key)
		if err != nil {
			return nil, err
		}
		var after []byte
		if entry.store != "" {
			after = []byte(entry.store)
		}
		if found == (after != nil) && bytes.Equal(before, after) {
			continue
		}
		changes = append(changes, Change{Store: CollectionIndex, Key: entry.key, Before: before, After: after})
	}
	return changes, nil
}

// LastNumber returns the last sector number that damocles gave out for the
// miner, as its allocator stores it; false where it has none.
func (h *Home) LastNumber(ctx context.Context, miner abi.ActorID) (uint64, bool, error) {
	value, found, err := h.Value(ctx, CollectionMeta, NumberKey(miner))
	if err != nil || !found {
		return 0, false, err
	}
	n, err := DecodeNumber(value)
	if err == nil && n > abi.MaxSectorNumber {
		err = fmt.Errorf("%d is above any sector's number", n)
	}
	if err != nil {
		return 0, false, fault.New("restore the home from a backup: to guess here is to use a number twice",
			"read key %q in %s: %w", NumberKey(miner), CollectionMeta, err)
	}
	return n, true, nil
}
