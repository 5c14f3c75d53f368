package damocles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ReserveKey is the key, in the collection common, of the room that damocles
// has reserved in its stores for sectors that are being sealed.
const ReserveKey = "objstore/StoreReserveSummary"

// Reserved returns the summary under ReserveKey, nil where there is none.
func (h *Home) Reserved(ctx context.Context) ([]byte, error) {
	if e, ok := h.engine.(sparse); ok && !h.closed.Load() && e.missing(CollectionCommon) {
		return nil, nil
	}
	value, _, err := h.Value(ctx, CollectionCommon, ReserveKey)
	return value, err
}

// ReleaseReserved takes out of a summary what is reserved by a sector, given as
// s-t01000-9, in any store, as damocles does when it finalizes the sector. Every
// other byte stays. What reserves nothing is returned as it came.
func ReleaseReserved(summary []byte, by string) ([]byte, error) {
	ms, err := members(summary)
	if err != nil {
		return nil, fmt.Errorf("read what is reserved in the stores: %w", err)
	}
	i := find(ms, "Stats")
	if i < 0 || isNull(summary[ms[i].value:ms[i].end]) {
		return summary, nil
	}
	stats, err := releaseInStores(summary[ms[i].value:ms[i].end], by)
	if err != nil {
		return nil, fmt.Errorf("read what is reserved in the stores: %w", err)
	}
	return splice(summary, ms[i].value, ms[i].end, stats), nil
}

// releaseInStores goes from the last store to the first, so that the places of
// those before stay true.
func releaseInStores(stats []byte, by string) ([]byte, error) {
	stores, err := members(stats)
	if err != nil {
		return nil, err
	}
	for _, s := range slices.Backward(stores) {
		if isNull(stats[s.value:s.end]) {
			continue
		}
		store, err := releaseInStore(stats[s.value:s.end], by)
		if err != nil {
			return nil, fmt.Errorf("store %q: %w", s.key, err)
		}
		stats = splice(stats, s.value, s.end, store)
	}
	return stats, nil
}

func releaseInStore(store []byte, by string) ([]byte, error) {
	var now struct {
		ReservedSize int64
		Reserved     map[string]struct{ Size int64 }
	}
	if err := json.Unmarshal(store, &now); err != nil {
		return nil, err
	}
	entry, ok := now.Reserved[by]
	if !ok {
		return store, nil
	}
	store, err := releaseEntry(store, by)
	if err != nil {
		return nil, err
	}
	ms, err := members(store)
	if err != nil {
		return nil, err
	}
	i := find(ms, "ReservedSize")
	if i < 0 {
		return store, nil
	}
	left := max(now.ReservedSize-entry.Size, 0)
	return splice(store, ms[i].value, ms[i].end, strconv.AppendInt(nil, left, 10)), nil
}

func releaseEntry(store []byte, by string) ([]byte, error) {
	ms, err := members(store)
	if err != nil {
		return nil, err
	}
	m := ms[find(ms, "Reserved")] // it is there: by was found in it
	reserved := store[m.value:m.end]
	entries, err := members(reserved)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(entries, func(e member) bool { return e.key == by })
	if i < 0 {
		return nil, errors.New("two keys Reserved")
	}
	return splice(store, m.value, m.end, without(reserved, entries, i)), nil
}

func isNull(raw []byte) bool { return string(raw) == "null" }
