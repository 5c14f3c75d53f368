package migrate

import (
	"fmt"
	"os"
	"path/filepath"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

// entry is the change that makes the index true again for an object that has
// arrived; nil where there is none.
func (u *FilesUndo) entry(id sector.ID, o MovedObject) (*Change, error) {
	replica, cache := damocles.IndexKeys(id.Miner, id.Number, o.Kind == sector.Update || o.Kind == sector.UpdateCache)
	key := replica
	if o.Kind.IsDir() {
		key = cache
	}
	entries := u.index[key]
	if len(entries) == 0 || o.Kind == sector.Unsealed {
		return nil, nil
	}
	have, _, err := u.home.home.Value(damocles.CollectionIndex, key)
	if err != nil {
		return nil, fmt.Errorf("read the index for %s: %w", id, err)
	}
	change := &Change{Store: damocles.CollectionIndex, Key: key, Before: have}
	if isBefore(have, entries[len(entries)-1]) {
		return nil, nil
	}
	for _, e := range entries {
		if isAfter(have, e) {
			change.After = e.Before
			return change, nil
		}
	}
	// As `storage attach` has entered it meanwhile.
	if u.names(o.From, string(have)) {
		change.After = entries[0].Before
		return change, nil
	}
	if !anyBefore(have, entries) {
		u.Kept = append(u.Kept, key)
	}
	return nil, nil
}

func anyBefore(have []byte, entries []durable.Entry) bool {
	for _, e := range entries {
		if isBefore(have, e) {
			return true
		}
	}
	return false
}

// names says whether damocles's store of this name is the one that holds path.
func (u *FilesUndo) names(path, name string) bool {
	dir, err := os.Stat(filepath.Dir(filepath.Dir(path)))
	if err != nil {
		return false
	}
	at, known := StoreAt(u.stores, dir)
	return known && at.Name == name
}
