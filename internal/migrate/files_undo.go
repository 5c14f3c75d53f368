package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
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
//
// A journal that an interrupted run left open may have been gone on with by one
// that had another target. So an object can have gone two ways, or more, and
// goes them back in as many rounds, the newest first.
type FilesUndo struct {
	home   *Home
	stores []HomeStore
	rounds []filesRound
	index  map[string][]durable.Entry // the newest first

	mu sync.Mutex
	// Kept are entries of the index that have changed since, and stay.
	Kept []KeptEntry
}

// KeptEntry is an entry of the index that stays.
type KeptEntry struct {
	ID  sector.ID
	Key string
}

// filesRound is what goes back at once, by the store that it goes back to.
type filesRound map[string]map[sector.ID][]MovedObject

// OpenFilesUndo reads the journal of a move out of the home's stores, those of its
// configuration. The home is to be one of RollbackFilesCommand.
func OpenFilesUndo(ctx context.Context, home *Home, stores []HomeStore, journal string) (*FilesUndo, error) {
	j, err := durable.OpenJournal(journal)
	if err != nil {
		return nil, journalError("name another journal with --backup, a file that ends in .journal", err)
	}
	u := &FilesUndo{home: home, stores: stores, index: map[string][]durable.Entry{}}
	err = j.EachNewestRunFirst(ctx, func(e durable.Entry) error {
		switch e.Store {
		case filesStore:
			return u.add(e)
		case damocles.CollectionIndex:
			u.index[e.Key] = append(u.index[e.Key], e)
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
	o := MovedObject{Kind: kind, From: is, To: was}
	ways := u.ways(id, kind)
	round := len(ways)
	if round > 0 && ways[round-1] == o {
		return nil // a run that went on with it notes it again
	}
	if round == len(u.rounds) {
		u.rounds = append(u.rounds, filesRound{})
	}
	root := filepath.Dir(filepath.Dir(was))
	if u.rounds[round][root] == nil {
		u.rounds[round][root] = map[sector.ID][]MovedObject{}
	}
	u.rounds[round][root][id] = append(u.rounds[round][root][id], o)
	return nil
}

// ways are those that an object takes, in the order of the rounds.
func (u *FilesUndo) ways(id sector.ID, kind sector.FileKind) (ways []MovedObject) {
	for o, ok := u.way(0, id, kind); ok; o, ok = u.way(len(ways), id, kind) {
		ways = append(ways, o)
	}
	return ways
}

// way returns the way that an object takes in a round; false where it has none.
func (u *FilesUndo) way(round int, id sector.ID, kind sector.FileKind) (MovedObject, bool) {
	if round >= len(u.rounds) {
		return MovedObject{}, false
	}
	for _, sectors := range u.rounds[round] {
		for _, o := range sectors[id] {
			if o.Kind == kind {
				return o, true
			}
		}
	}
	return MovedObject{}, false
}

// Rounds is how many rounds there are. Each is to be over before the next begins.
func (u *FilesUndo) Rounds() int { return len(u.rounds) }

// Stores are the directories of the stores that something goes back to in a round.
func (u *FilesUndo) Stores(round int) []string { return slices.Sorted(maps.Keys(u.rounds[round])) }

// CheckStores refuses where a directory that files came from is not there any
// more: they would go to the disk below it, and be hidden once it is mounted.
func (u *FilesUndo) CheckStores() error {
	for _, dir := range u.typeDirs() {
		_, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return fault.Refuse("mount its disk; if the directory was removed on purpose, make it again",
				"there is no %s, where the files came from", dir)
		}
		if err != nil {
			return fault.Refuse("see to it that the store can be reached", "look at where the files came from: %w", err)
		}
	}
	return nil
}

// typeDirs are the directories that something goes back to.
func (u *FilesUndo) typeDirs() []string {
	dirs := map[string]bool{}
	for _, round := range u.rounds {
		for _, sectors := range round {
			for _, objects := range sectors {
				for _, o := range objects {
					dirs[filepath.Dir(o.To)] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(dirs))
}

// Each gives what goes back to one store in a round, in the order of the sectors'
// numbers. One of which the size cannot be told comes with the reason, and stays.
func (u *FilesUndo) Each(ctx context.Context, round int, root string, fn func(s MovedSector, wrong error)) error {
	sectors := u.rounds[round][root]
	for _, id := range slices.SortedFunc(maps.Keys(sectors), compareNumbers) {
		s := MovedSector{ID: id}
		for _, o := range sectors[id] {
			if u.goes(round, id, o) {
				s.Objects = append(s.Objects, o)
			}
		}
		if len(s.Objects) == 0 {
			continue
		}
		held, err := u.home.Holds(ctx, id)
		if err != nil {
			return err
		}
		var wrong error
		if s.Size = cmp.Or(stateSize(held.Offline), stateSize(held.Online), u.replicaSize(id)); s.Size == 0 {
			wrong = fault.New("look where its replica is, and run this again",
				"its size is not known: damocles has no record that tells it, and its replica is not where it was moved")
		}
		fn(s, wrong)
	}
	return nil
}

// goes says whether an object takes this way. Where it is at neither end, another
// round has it, or the last one tells of it.
func (u *FilesUndo) goes(round int, id sector.ID, o MovedObject) bool {
	ways := u.ways(id, o.Kind)
	if isDetour(ways, round) {
		return false
	}
	around := false // it may have come to the end of this way without it
	for r, newer := range ways[:round] {
		if isDetour(ways, r) {
			around = around || newer.From == o.To
			continue
		}
		if isThere(newer.From) && !emptied(newer.From, o.Kind) || newer.To == o.To && !isThere(o.From) {
			return false // it has not come so far, or is there by another way
		}
	}
	last := round == len(ways)-1
	return last || isThere(o.From) || isThere(o.To) && !around
}

// isDetour says whether a way only leads away from where an object had been before:
// a later one of the ways starts there as well, or all of them end there.
func isDetour(ways []MovedObject, i int) bool {
	from := ways[i].From
	return from == ways[len(ways)-1].To || slices.ContainsFunc(ways[i+1:], func(o MovedObject) bool { return o.From == from })
}

// replicaSize is the size of a sector by its replica, at an end of any of its ways; 0
// where that is not there, or has the size of no sector. Damocles has no record of a
// sector any more of which the import was undone before the move.
func (u *FilesUndo) replicaSize(id sector.ID) abi.SectorSize {
	for _, p := range pairs() {
		for _, o := range u.ways(id, p.replica) {
			for _, path := range []string{o.From, o.To} {
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && store.KnownSize(info.Size()) {
					return abi.SectorSize(info.Size())
				}
			}
		}
	}
	return 0
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
// what the move wrote, or names the store that the object has just left.
func (u *FilesUndo) Known(ctx context.Context, sectors []MovedSector) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var changes []Change
	for _, s := range sectors {
		for _, o := range s.Objects {
			c, err := u.entry(ctx, s.ID, o)
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

// Finish makes the journal of the undoing complete.
func (u *FilesUndo) Finish(ctx context.Context) (Undo, error) { return u.home.Finish(ctx, nil) }

// Abandon leaves it open.
func (u *FilesUndo) Abandon() error { return u.home.Abandon() }

// IsFilesJournal says whether what the user named to be undone is a journal of a
// move of files. What is no journal by its name, as a backup of a repo, is not.
func IsFilesJournal(path string) (bool, error) {
	if !strings.HasSuffix(path, ".journal") {
		return false, nil
	}
	j, err := durable.OpenJournal(path)
	if err != nil {
		return false, journalError(anotherJournal, err)
	}
	return j.Header.Command == FilesCommand, nil
}
