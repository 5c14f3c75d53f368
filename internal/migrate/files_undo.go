package migrate

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

// RollbackFilesCommand marks the journals of the undoing of a move of files.
const RollbackFilesCommand = "rollback-files"

// MovedObject is a replica or a cache directory, and the way that it takes.
type MovedObject struct {
	Kind     sector.FileKind
	From, To string
}

// MovedSector is what a move has taken of one sector out of one store.
type MovedSector struct {
	ID      sector.ID
	Size    abi.SectorSize
	Objects []MovedObject
}

// FilesUndo takes a move of files back: what its journal says was moved, and the
// entries that it changed in the index. It is journaled like any other write.
type FilesUndo struct {
	home  *Home
	moved map[string]map[sector.ID][]MovedObject // by the store to go back to
	index map[string]durable.Entry

	mu sync.Mutex
	// Kept are entries of the index that have changed since, and stay.
	Kept []string
}

// OpenFilesUndo reads the journal of a move out of the home's stores. The home is
// to be one of RollbackFilesCommand.
func OpenFilesUndo(ctx context.Context, home *Home, journal string) (*FilesUndo, error) {
	j, err := durable.OpenJournal(journal)
	if err != nil {
		return nil, journalError("name another journal with --backup, a file that ends in .journal", err)
	}
	u := &FilesUndo{home: home, moved: map[string]map[sector.ID][]MovedObject{}, index: map[string]durable.Entry{}}
	err = j.EachNewestRunFirst(ctx, func(e durable.Entry) error {
		switch e.Store {
		case filesStore:
			return u.add(e)
		case damocles.CollectionIndex:
			// Later runs come first: what stood there before the first one counts, and
			// what the last one wrote.
			if newer, ok := u.index[e.Key]; ok {
				e.After = newer.After
			}
			u.index[e.Key] = e
		}
		return nil
	})
	return u, err
}

func (u *FilesUndo) add(e durable.Entry) error {
	was, is := string(e.Before), e.Key
	id, okID := sector.ParseFileName(filepath.Base(was))
	kind, okKind := sector.ParseFileKind(filepath.Base(filepath.Dir(was)))
	sameName := filepath.Base(is) == filepath.Base(was) && filepath.Base(filepath.Dir(is)) == kind.String()
	if !okID || !okKind || !sameName || !filepath.IsAbs(was) || !filepath.IsAbs(is) {
		return fmt.Errorf("the journal says that %q was moved to %q, which are not places of a sector's files", was, is)
	}
	if was == is {
		return nil
	}
	root := filepath.Dir(filepath.Dir(was))
	if u.moved[root] == nil {
		u.moved[root] = map[sector.ID][]MovedObject{}
	}
	o := MovedObject{Kind: kind, From: is, To: was}
	if !slices.Contains(u.moved[root][id], o) { // a run that went on with it notes it again
		u.moved[root][id] = append(u.moved[root][id], o)
	}
	return nil
}

// Stores are the directories of the stores that something goes back to.
func (u *FilesUndo) Stores() []string { return slices.Sorted(maps.Keys(u.moved)) }

// Each gives what goes back to one store, in the order of the sectors' numbers,
// until fn returns false.
func (u *FilesUndo) Each(root string, fn func(MovedSector, error) bool) {
	ids := slices.SortedFunc(maps.Keys(u.moved[root]), compareNumbers)
	for _, id := range ids {
		s := MovedSector{ID: id, Objects: u.moved[root][id]}
		size, err := u.size(id)
		s.Size = size
		if !fn(s, err) {
			return
		}
	}
}

func (u *FilesUndo) size(id sector.ID) (abi.SectorSize, error) {
	held, err := u.home.Holds(context.Background(), id)
	if err != nil {
		return 0, err
	}
	raw := held.Offline
	if raw == nil {
		raw = held.Online
	}
	if raw == nil {
		return 0, fmt.Errorf("the home has no record of %s any more", id)
	}
	state, err := damocles.DecodeState(raw)
	if err != nil {
		return 0, fmt.Errorf("the record of %s: %w", id, err)
	}
	return state.SectorType.SectorSize()
}

// Intend notes what goes back.
func (u *FilesUndo) Intend(sectors []MovedSector) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range sectors {
		for _, o := range s.Objects {
			if err := u.home.journal.record(Change{Store: filesStore, Key: o.To, Before: []byte(o.From)}); err != nil {
				return err
			}
		}
	}
	return u.home.journal.sync()
}

// Known sets the index back for what has arrived, each entry only while it holds
// what the move wrote.
func (u *FilesUndo) Known(ctx context.Context, sectors []MovedSector) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var changes []Change
	for _, s := range sectors {
		for _, o := range s.Objects {
			c, err := u.entry(s.ID, o.Kind)
			if err != nil {
				return err
			}
			if c != nil {
				changes = append(changes, *c)
			}
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return u.home.apply(ctx, changes)
}

func (u *FilesUndo) entry(id sector.ID, kind sector.FileKind) (*Change, error) {
	replica, cache := damocles.IndexKeys(id.Miner, id.Number, kind == sector.Update || kind == sector.UpdateCache)
	key := replica
	if kind.IsDir() {
		key = cache
	}
	e, changed := u.index[key]
	if !changed || kind == sector.Unsealed {
		return nil, nil
	}
	have, _, err := u.home.home.Value(damocles.CollectionIndex, key)
	if err != nil {
		return nil, fmt.Errorf("read the index for %s: %w", id, err)
	}
	switch {
	case isBefore(have, e):
		return nil, nil
	case !isAfter(have, e):
		u.Kept = append(u.Kept, key)
		return nil, nil
	}
	return &Change{Store: damocles.CollectionIndex, Key: key, Before: have, After: e.Before}, nil
}

// Finish makes the journal of the undoing complete.
func (u *FilesUndo) Finish(ctx context.Context) (Undo, error) { return u.home.Finish(ctx, nil) }

// Abandon leaves it open.
func (u *FilesUndo) Abandon() error { return u.home.Abandon() }

// IsFilesJournal says whether a journal is of a move of files; one that cannot
// be read is none, and whoever opens it next says why.
func IsFilesJournal(path string) bool {
	j, err := durable.OpenJournal(path)
	return err == nil && j.Header.Command == FilesCommand
}
