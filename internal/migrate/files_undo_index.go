package migrate

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

// entry is the change that makes the index true again for an object that has
// arrived; nil where there is none.
func (u *FilesUndo) entry(ctx context.Context, id sector.ID, o MovedObject) (*Change, error) {
	replica, cache := damocles.IndexKeys(id.Miner, id.Number, o.Kind == sector.Update || o.Kind == sector.UpdateCache)
	key := replica
	if o.Kind.IsDir() {
		key = cache
	}
	entries := u.index[key]
	if len(entries) == 0 || o.Kind == sector.Unsealed {
		return nil, nil
	}
	have, _, err := u.home.home.Value(ctx, damocles.CollectionIndex, key)
	if err != nil {
		return nil, fmt.Errorf("read the index for %s: %w", id, err)
	}
	change := &Change{Store: damocles.CollectionIndex, Key: key, Before: have}
	oldest := entries[len(entries)-1]
	attached := u.names(o.From, string(have)) // as `storage attach` has entered it meanwhile
	newest := slices.IndexFunc(entries, func(e durable.Entry) bool { return isAfter(have, e) })
	between := slices.ContainsFunc(entries, func(e durable.Entry) bool { return isBefore(have, e) })
	ways := u.ways(id, o.Kind)
	switch {
	case isBefore(have, oldest):
		return nil, nil
	case newest < 0 && !attached && !between:
		u.Kept = append(u.Kept, KeptEntry{id, key})
		return nil, nil
	case o.To == ways[len(ways)-1].To: // it is where it was at first, however many ways it took
		change.After = oldest.Before
	case newest >= 0:
		change.After = entries[newest].Before
	case attached:
		change.After = entries[0].Before
	default:
		return nil, nil
	}
	return change, nil
}

// names says whether damocles's store of this name is the one that holds path. One that
// was attached, and not added to the configuration yet, has its directory for a name.
func (u *FilesUndo) names(path, name string) bool {
	dir, err := os.Stat(filepath.Dir(filepath.Dir(path)))
	if err != nil {
		return false
	}
	if at, known := StoreAt(u.stores, dir); known {
		return at.Name == name
	}
	named, err := os.Stat(name)
	return err == nil && filepath.IsAbs(name) && os.SameFile(named, dir)
}

// RestOfIndex sets the index back for what had been at the target before the move, which
// therefore moved nothing and has nothing to bring back: to what it said then. It returns
// how many entries those are.
func (u *FilesUndo) RestOfIndex(ctx context.Context, dryRun bool) (int, error) {
	moved := map[string]bool{}
	for _, round := range u.rounds {
		for _, sectors := range round {
			for id := range sectors {
				for _, upgrade := range []bool{false, true} {
					replica, cache := damocles.IndexKeys(id.Miner, id.Number, upgrade)
					moved[replica], moved[cache] = true, true
				}
			}
		}
	}
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(u.index)) {
		if moved[key] {
			continue
		}
		have, _, err := u.home.home.Value(ctx, damocles.CollectionIndex, key)
		if err != nil {
			return 0, fmt.Errorf("read the index for %s: %w", key, err)
		}
		entries := u.index[key]
		oldest := entries[len(entries)-1]
		if !isBefore(have, oldest) && isAfter(have, entries[0]) {
			changes = append(changes, Change{Store: damocles.CollectionIndex, Key: key, Before: have, After: oldest.Before})
		}
	}
	if len(changes) == 0 || dryRun {
		return len(changes), nil
	}
	return len(changes), u.home.apply(ctx, changes)
}
