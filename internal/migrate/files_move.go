package migrate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// filesStore is the name under which a journal notes moves of files: the key is
// the path at the target, the value before is the path at the source.
const filesStore = "files"

// FilesCommand marks the journals of moves of files.
const FilesCommand = "export-files"

// Locate reads the index.
func (h *Home) Locate(ctx context.Context, id sector.ID, upgrade bool) (replica, cache string, found bool, err error) {
	return h.home.Index(ctx, abi.SectorID(id), upgrade)
}

// FilesMove keeps a home's book of a move of files: a journal of what is moved
// where, and the index. Its methods may be called from several goroutines.
type FilesMove struct {
	home   *Home
	target store.Store
	mu     sync.Mutex
}

// NewFilesMove is for moves into target, whose Name is empty where it is no
// store of damocles's configuration.
func NewFilesMove(home *Home, target store.Store) *FilesMove {
	return &FilesMove{home: home, target: target}
}

// Intend has the journal say what is about to be moved.
func (m *FilesMove) Intend(sectors []SectorFiles) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range sectors {
		for _, o := range s.Objects {
			err := m.home.journal.record(Change{
				Store: filesStore, Key: m.target.Path(o.Kind, s.ID), Before: []byte(o.Store.Path(o.Kind, s.ID)),
			})
			if err != nil {
				return err
			}
		}
	}
	return m.home.journal.sync()
}

// Known enters the target in the index, or takes the entry out where the target
// is no store of damocles's.
func (m *FilesMove) Known(ctx context.Context, sectors []SectorFiles) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var changes []Change
	for _, s := range sectors {
		for _, upgrade := range []bool{false, true} {
			more, err := m.entry(ctx, s, upgrade)
			if err != nil {
				return err
			}
			changes = append(changes, more...)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return m.home.apply(ctx, changes)
}

func (m *FilesMove) entry(ctx context.Context, s SectorFiles, upgrade bool) ([]Change, error) {
	replica := sector.Sealed
	if upgrade {
		replica = sector.Update
	}
	if !s.has(replica) {
		return nil, nil
	}
	found, err := m.home.home.IndexChanges(ctx, abi.SectorID(s.ID), upgrade, m.target.Name, m.target.Name)
	if err != nil {
		return nil, fmt.Errorf("read the index for %s: %w", s.ID, err)
	}
	out := make([]Change, len(found))
	for i, c := range found {
		out[i] = Change(c)
	}
	return out, nil
}

func (s SectorFiles) has(kind sector.FileKind) bool {
	return slices.ContainsFunc(s.Objects, func(o FileObject) bool { return o.Kind == kind })
}

// Finish makes the journal complete, and names it.
func (m *FilesMove) Finish(ctx context.Context) (Undo, error) { return m.home.Finish(ctx, nil) }

// Journal is the path of the journal, empty where nothing was moved.
func (m *FilesMove) Journal() string { return m.home.journal.undo().Journal }

// Abandon leaves the journal open: the next run goes on with it.
func (m *FilesMove) Abandon() error { return m.home.Abandon() }

// Interrupted reads from the journal that an interrupted run left open which
// objects it was moving, and from which store. Only those count that are still
// there: the others have arrived.
func (m *FilesMove) Interrupted(ctx context.Context) (func(sector.ID, sector.FileKind) (string, bool), error) {
	path, err := m.home.journal.unended()
	if err != nil || path == "" {
		return nil, err
	}
	j, err := durable.OpenJournal(path)
	if err != nil {
		return nil, journalError("look at that file, and move it away; then run this again", err)
	}
	type object struct {
		id   sector.ID
		kind sector.FileKind
	}
	from := map[object]string{}
	dirs := map[string]string{} // so that a directory is held once, not for every sector
	err = j.EachNewestRunFirst(ctx, func(e durable.Entry) error {
		if e.Store != filesStore {
			return nil
		}
		was := string(e.Before)
		id, okID := sector.ParseFileName(filepath.Base(was))
		kind, okKind := sector.ParseFileKind(filepath.Base(filepath.Dir(was)))
		if !okID || !okKind || was == e.Key || !isThere(was) || !m.finishes(e.Key) && emptied(was, kind) {
			return nil
		}
		dir := filepath.Dir(filepath.Dir(was))
		if dirs[dir] == "" {
			dirs[dir] = dir
		}
		from[object{id, kind}] = dirs[dir]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(id sector.ID, kind sector.FileKind) (string, bool) {
		dir, ok := from[object{id, kind}]
		return dir, ok
	}, nil
}

// finishes says that this run has the target of an interrupted one.
func (m *FilesMove) finishes(key string) bool {
	return filepath.Dir(filepath.Dir(key)) == filepath.Clean(m.target.Dir)
}

// emptied says that a cache directory has arrived elsewhere, and stands here for what
// is not carried or was not removed yet: of what a sector needs, p_aux goes first.
func emptied(path string, kind sector.FileKind) bool {
	return kind.IsDir() && !isThere(filepath.Join(path, sector.PAuxName))
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

var _ Locator = (*Home)(nil)
