package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// Locator is damocles's book of which store holds what.
type Locator interface {
	// Locate names the stores of the sector's replica and cache directory, those of
	// the update with upgrade; false where the book has no entry. It is called from
	// several goroutines at once.
	Locate(ctx context.Context, id sector.ID, upgrade bool) (replica, cache string, found bool, err error)
}

// Files picks the sectors of a miner whose files come along in an export, and
// says where they are. Nothing is changed by it.
type Files struct {
	Options
	Source  ExportSource
	Locator Locator
	Stores  []store.Store
	// Moved returns the store's directory in which an object lay before an
	// interrupted run began to move it; false where none did. It may be nil.
	Moved func(sector.ID, sector.FileKind) (string, bool)
	// Target is where they go: what is found there already counts as found.
	Target store.Store
	Chain  Chain // nil where no node was given
	// WithKey takes the replica that an upgraded sector was sealed with, WithUnsealed
	// the unsealed copy, where there are any.
	WithKey      bool
	WithUnsealed bool

	byName map[string]int
}

// pickedFiles is what became of one sector: either it does not come along, and
// the step says why, or its files are known.
type pickedFiles struct {
	step  *Step
	files fileEntry
}

// Find goes through the sectors. The report counts those that do not come
// along; Written are those that do.
func (f *Files) Find(ctx context.Context) (*FileSet, *Report, error) {
	f.defaults()
	f.byName = map[string]int{}
	for i, s := range f.Stores {
		f.byName[s.Name] = i
	}
	out := &FileSet{stores: append(slices.Clone(f.Stores), f.Target)}
	report := &Report{DryRun: f.DryRun}
	var seen []abi.SectorNumber
	feed := func(ctx context.Context, emit func(Raw) error) error { return f.Source.Each(ctx, f.Numbers, emit) }
	err := inOrder(ctx, f.Jobs, f.Chunk, feed, f.pick, func(p *pickedFiles) error {
		if p == nil { // not of this miner
			return nil
		}
		if !f.Numbers.All() {
			seen = append(seen, p.step.ID.Number)
		}
		if p.step.Action == Write {
			out.sectors = append(out.sectors, p.files)
			report.add(p.step)
			f.noteOnly(p.step)
			return nil
		}
		report.add(p.step)
		f.Observe(p.step.event())
		return f.Plan.Step(p.step)
	})
	if err != nil {
		return nil, report, err
	}
	slices.SortFunc(out.sectors, func(a, b fileEntry) int { return compareNumbers(a.id, b.id) })
	slices.Sort(seen)
	for _, missing := range f.Numbers.Missing(seen) {
		s := missingStep(f.Miner, missing)
		report.add(s)
		f.Observe(s.event())
	}
	return out, report, out.plan(f.Plan, f.Target)
}

func compareNumbers(a, b sector.ID) int {
	switch {
	case a.Number < b.Number:
		return -1
	case a.Number > b.Number:
		return 1
	}
	return 0
}

// noteOnly tells of a sector that comes along only where there is a remark to it.
func (f *Files) noteOnly(s *Step) {
	if len(s.Notes) > 0 {
		e := s.event()
		e.Action = Noted
		f.Observe(e)
	}
}

func (f *Files) pick(ctx context.Context, raw Raw) (*pickedFiles, error) {
	nameless := raw.Key != ""
	if raw.ID.Miner != f.Miner && !nameless {
		return nil, nil
	}
	s := &Step{ID: raw.ID, Key: raw.Key, Notes: raw.Notes}
	state, ok := decodeState(s, raw)
	if !ok {
		return &pickedFiles{step: s}, nil
	}
	rec := state.Record(workspaceOf(raw))
	s.State = rec.State
	v, err := settle(ctx, f.Chain, rec)
	if err != nil {
		return nil, err
	}
	s.Notes, s.Upgraded = append(s.Notes, v.notes...), rec.Upgraded
	if v.wrong != "" {
		s.fail(v.wrong, "check both before carrying this sector; the others are not held up")
		return &pickedFiles{step: s}, nil
	}
	carry, err := f.carries(ctx, s, rec, state)
	if err != nil || !carry {
		return &pickedFiles{step: s}, err
	}
	entry, err := f.locate(ctx, s, rec, state.Imported)
	if err != nil {
		return nil, err
	}
	return &pickedFiles{step: s, files: entry}, nil
}

func (f *Files) carries(ctx context.Context, s *Step, rec *sector.Record, state *damocles.SectorState) (bool, error) {
	if rec.Status == sector.Lost {
		s.skipAs("NeedRebuild", "its files are lost, and it waits to be rebuilt")
		return false, nil
	}
	return carries(ctx, f.Chain, s, rec, state)
}

// locate finds the files. A sector whose own metadata may be wrong about an
// upgrade, and of which the chain was not asked, takes both pairs of files.
func (f *Files) locate(ctx context.Context, s *Step, rec *sector.Record, imported bool) (fileEntry, error) {
	e := fileEntry{id: s.ID, size: sizeIndex(rec)}
	if e.size == unknownSize {
		s.fail(fmt.Sprintf("its seal proof %d is of no known sector size", rec.SealProof), mendHint)
		return e, nil
	}
	if err := f.pair(ctx, &e, rec.Upgraded, true); err != nil {
		return e, f.failed(ctx, s, err)
	}
	asked := rec.Chain != nil && rec.Chain.SealedCID.Defined()
	if other := imported && !asked; other || (f.WithKey && rec.Upgraded) {
		if err := f.pair(ctx, &e, !rec.Upgraded, false); err != nil {
			return e, f.failed(ctx, s, err)
		}
	}
	if f.WithUnsealed {
		if err := f.unsealed(&e); err != nil {
			return e, f.failed(ctx, s, err)
		}
	}
	s.Action = Write
	return e, nil
}

// failed makes the failure to find a sector's files the sector's own, unless the
// source as a whole failed.
func (f *Files) failed(ctx context.Context, s *Step, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, errBook) {
		return err
	}
	s.failErr(err)
	return nil
}

// errBook marks a failure of the index as a whole.
var errBook = errors.New("read damocles's index")

const unknownSize = 255

func sizeIndex(rec *sector.Record) uint8 {
	i := slices.Index(sectorSizes, abi.SectorSize(rec.Size()))
	if i < 0 {
		return unknownSize
	}
	return uint8(i)
}

// pair finds a replica and its cache directory. Where the pair is wanted only if
// it is there, nothing is said of one that is not.
func (f *Files) pair(ctx context.Context, e *fileEntry, upgrade, wanted bool) error {
	kinds := [2]sector.FileKind{sector.Sealed, sector.Cache}
	if upgrade {
		kinds = [2]sector.FileKind{sector.Update, sector.UpdateCache}
	}
	replica, cache, found, err := f.Locator.Locate(ctx, e.id, upgrade)
	if err != nil {
		return fmt.Errorf("%w for %s: %w", errBook, e.id, err)
	}
	var at [2]uint16
	for i, name := range []string{replica, cache} {
		switch {
		case found && wanted:
			at[i], err = f.booked(e.id, kinds[i], name)
		case wanted:
			at[i], err = f.search(e.id, kinds[i])
		default:
			at[i], err = f.near(e, kinds[i], name)
		}
		if err != nil {
			return err
		}
		if at[i] == 0 && !wanted {
			return nil // half a pair that nobody asked for is none
		}
	}
	e.at[kindIndex(kinds[0])], e.at[kindIndex(kinds[1])] = at[0], at[1]
	return nil
}

// booked returns the store that the index names, plus one.
func (f *Files) booked(id sector.ID, kind sector.FileKind, name string) (uint16, error) {
	if at, moved := f.moved(id, kind); moved {
		return at, nil
	}
	i, known := f.byName[name]
	if !known {
		return 0, fault.New("enter that store in sector-manager.cfg again, or attach the store that has the sector with `util storage attach`",
			"damocles's index says its %s is in the store %q, which the configuration does not have", kind, name)
	}
	return uint16(i + 1), nil
}

// search looks for an object that the index does not know: into every store and
// at the target, the target last. Of two stores that have it one may hold what was
// left over, and nothing says which.
func (f *Files) search(id sector.ID, kind sector.FileKind) (uint16, error) {
	if at, moved := f.moved(id, kind); moved {
		return at, nil
	}
	var at uint16
	places := f.places()
	for i, s := range places {
		if at > 0 && s.Dir == f.Target.Dir {
			continue // where an earlier run has copied it
		}
		there, err := exists(s, kind, id)
		switch {
		case err != nil:
			return 0, err
		case !there:
		case at == 0 || places[at-1].Dir == f.Target.Dir:
			at = uint16(i + 1)
		case !oneFile(places[at-1].Path(kind, id), s.Path(kind, id)):
			return 0, fault.New("find out which is right, as with `sectors check --store`, and attach that store with `util storage attach`",
				"its %s is in more than one store, %s and %s, and damocles's index does not know it", kind, places[at-1].Dir, s.Dir)
		}
	}
	if at > 0 {
		return at, nil
	}
	return 0, fault.New("attach the store that has it with `util storage attach`",
		"its %s is in no store: damocles's index does not know it, and no configured store has it", kind)
}

// near looks for what need not be there in the store that the index names, and
// else only beside the sector's other files: every store is too many to ask for
// every sector.
func (f *Files) near(e *fileEntry, kind sector.FileKind, name string) (uint16, error) {
	if at, moved := f.moved(e.id, kind); moved {
		return at, nil
	}
	candidates := slices.Clone(e.at[:])
	if i, known := f.byName[name]; known {
		candidates = []uint16{uint16(i + 1)}
	}
	for _, at := range candidates {
		if at == 0 {
			continue
		}
		if there, err := exists(f.places()[at-1], kind, e.id); there || err != nil {
			return at, err
		}
	}
	return 0, nil
}

func (f *Files) unsealed(e *fileEntry) error {
	at, err := f.near(e, sector.Unsealed, "")
	e.at[kindIndex(sector.Unsealed)] = at
	return err
}

// places are the stores, and the target behind them.
func (f *Files) places() []store.Store {
	return append(f.Stores[:len(f.Stores):len(f.Stores)], f.Target)
}

// moved says from where an interrupted run was moving an object.
func (f *Files) moved(id sector.ID, kind sector.FileKind) (uint16, bool) {
	if f.Moved == nil {
		return 0, false
	}
	from, ok := f.Moved(id, kind)
	if !ok {
		return 0, false
	}
	i := slices.IndexFunc(f.Stores, func(s store.Store) bool { return s.Dir == from })
	return uint16(i + 1), i >= 0
}

// oneFile says whether two paths lead to one file, as where a store has two names.
func oneFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

func exists(s store.Store, kind sector.FileKind, id sector.ID) (bool, error) {
	if s.Dir == "" {
		return false, nil
	}
	_, err := os.Lstat(s.Path(kind, id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return false, fault.New("run as a user who may read it", "look for it: %w", err)
	}
	return err == nil, err
}
