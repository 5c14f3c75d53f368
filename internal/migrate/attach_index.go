package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// claim is what the store has of a sector, and the index shall say.
type claim struct {
	pair
	id             sector.ID
	check          store.Check
	replica, cache bool
}

// enter makes the step's changes of the index. What another store holds, by the
// index and in truth, is left alone, each of the two files on its own.
func (a *Attach) enter(ctx context.Context, c claim, s *Step) error {
	replicaKey, cacheKey := damocles.IndexKeys(c.id.Miner, c.id.Number, c.upgrade)
	replica, _, err := a.Home.home.Value(ctx, damocles.CollectionIndex, replicaKey)
	if err != nil {
		return err
	}
	cache, _, err := a.Home.home.Value(ctx, damocles.CollectionIndex, cacheKey)
	if err != nil {
		return err
	}
	kept := a.heldElsewhere(c, c.pair.replica, string(replica))
	if c.replica && !kept {
		a.set(s, c.pair.replica, Change{Key: replicaKey, Before: replica, After: []byte(a.Store.Name)})
	}
	// No entry for the cache stands for the store of the replica. A sector that is
	// whole here takes its own cache with it then.
	cacheAt := cmp.Or(string(cache), string(replica))
	own := c.replica && c.cache && !kept && cache == nil
	cacheKept := !own && a.heldElsewhere(c, c.pair.cache, cacheAt)
	switch {
	case cacheKept && cache == nil && len(s.Changes) > 0:
		a.set(s, c.pair.cache, Change{Key: cacheKey, After: []byte(cacheAt)})
	case cacheKept:
	case c.cache:
		a.set(s, c.pair.cache, Change{Key: cacheKey, Before: cache, After: []byte(a.Store.Name)})
	default:
		s.note("cache-unknown", "its cache directory is in no store that the index names: attach the store that has it with --allow-splitted")
	}
	switch {
	case len(s.Changes) > 0:
		s.Action = Write
	case c.replica && kept:
		a.conflict(s, c.pair.replica, string(replica))
	case !c.replica && cacheKept:
		a.conflict(s, c.pair.cache, cacheAt)
	default:
		s.Action = Unchanged
	}
	if c.replica && c.cache && !kept && cacheKept {
		s.note("cache-elsewhere", fmt.Sprintf("its cache directory stays in the index as in store %q, which holds it, too", cacheAt))
	}
	if !c.replica && replica == nil && !a.upgraded(ctx, c) {
		s.note("replica-unknown", "its replica is in no store of the index: attach the store that has it with --allow-splitted")
	}
	return nil
}

// set adds a change of the index, where it is one.
func (a *Attach) set(s *Step, kind sector.FileKind, change Change) {
	if bytes.Equal(change.Before, change.After) {
		return
	}
	change.Store = damocles.CollectionIndex
	s.Changes = append(s.Changes, change)
	if change.Before == nil {
		return
	}
	why := "where it is not"
	if _, known := StoreNamed(a.Stores, string(change.Before)); !known {
		why = "which the configuration does not have"
	}
	s.note("entry-replaced", fmt.Sprintf("the index had its %s in store %q, %s", kind, change.Before, why))
}

// heldElsewhere says whether another store, in which the index has the file,
// really has it.
func (a *Attach) heldElsewhere(c claim, kind sector.FileKind, name string) bool {
	return name != "" && name != a.Store.Name && a.holds(name, kind, c)
}

func (a *Attach) conflict(s *Step, kind sector.FileKind, name string) {
	s.conflict(fmt.Sprintf("the index has its %s in store %q, which holds it, too", kind, name),
		"keep one of the two, and attach this store again if it is the one here",
		[]sector.Difference{{Field: kind.String(), Have: name, Want: a.Store.Name}})
}

// holds says whether damocles would find the file in the store of this name. In
// doubt it does: then the entry is left alone. In a store that the configuration
// does not have, damocles finds nothing.
func (a *Attach) holds(name string, kind sector.FileKind, c claim) bool {
	at, known := StoreNamed(a.Stores, name)
	return known && (at.PluginName != "" || fileThere(c.check, at.Store(), kind, c.id))
}

func fileThere(check store.Check, at store.Store, kind sector.FileKind, id sector.ID) bool {
	check.Strict = false
	var err error
	if kind.IsDir() {
		err = check.Cache(at, kind, id)
	} else {
		_, err = check.Replica(at, kind, id)
	}
	_, wrong := errors.AsType[*store.WrongFileError](err)
	return err == nil || (!wrong && !errors.Is(err, fs.ErrNotExist))
}

// upgraded says whether the sector is proven from its update files, so that its
// first replica is not missed.
func (a *Attach) upgraded(ctx context.Context, c claim) bool {
	if c.upgrade {
		return false
	}
	if _, err := os.Lstat(a.Store.Path(sector.Update, c.id)); err == nil {
		return true
	}
	key, _ := damocles.IndexKeys(c.id.Miner, c.id.Number, true)
	_, found, err := a.Home.home.Value(ctx, damocles.CollectionIndex, key)
	return err == nil && found
}
