package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// AttachCommand marks the journals of `storage attach`.
const AttachCommand = "attach"

// Attach enters the sectors that a store holds into damocles's index, in place.
type Attach struct {
	// Options need no Miner, Numbers or Jobs here.
	Options
	Home *Home
	// Store is what is attached, under the name that damocles's configuration has
	// for it, or will have.
	Store store.Store
	// Stores are those of the configuration.
	Stores []HomeStore
	// Pattern is a glob that the names of the sectors' files have to match.
	Pattern string
	// Strict takes no symbolic links.
	Strict bool
	// Splitted takes a replica without its cache directory in this store, and a
	// cache directory without its replica: the other half is in another store.
	Splitted bool

	sizes   map[abi.ActorID]abi.SectorSize
	matched bool
}

// pair is what a sector is proven from: a replica and its cache directory.
type pair struct {
	replica, cache sector.FileKind
	upgrade        bool
}

func pairs() []pair {
	return []pair{
		{sector.Sealed, sector.Cache, false},
		{sector.Update, sector.UpdateCache, true},
	}
}

// Run looks at every file of the store that matches, and enters what is whole.
// Each pair of files that a sector has is a step of its own. What the index has
// in another store that holds it, too, is a conflict and stays; an entry that
// leads nowhere is replaced.
func (a *Attach) Run(ctx context.Context) (*Report, error) {
	a.defaults()
	a.sizes = map[abi.ActorID]abi.SectorSize{}
	r := &run{Options: a.Options, target: a.Home, report: Report{DryRun: a.DryRun}}
	err := a.scan(ctx, func(s *Step) error { return r.take(ctx, s) })
	if err == nil {
		err = r.finish(ctx, func(context.Context, *Report) ([]Change, error) { return nil, nil })
	}
	if err != nil {
		return &r.report, joinAbandon(err, a.Home)
	}
	return &r.report, nil
}

func (a *Attach) scan(ctx context.Context, take func(*Step) error) error {
	for _, p := range pairs() {
		err := a.each(ctx, p.replica, take, func(id sector.ID) (*Step, error) { return a.replica(ctx, p, id) })
		if err != nil {
			return err
		}
		if !a.Splitted {
			continue
		}
		err = a.each(ctx, p.cache, take, func(id sector.ID) (*Step, error) { return a.cacheAlone(ctx, p, id) })
		if err != nil {
			return err
		}
	}
	if a.matched || a.Pattern == "*" {
		return nil
	}
	return take(&Step{
		Key: a.Pattern, Action: Missing, Reason: fmt.Sprintf("no sector's file in %s matches %q", a.Store.Dir, a.Pattern),
		Hint: "check --pattern; without it all sectors are taken",
	})
}

// each plans what matches in one type directory. A nil step is none.
func (a *Attach) each(ctx context.Context, kind sector.FileKind, take func(*Step) error, plan func(sector.ID) (*Step, error)) error {
	return a.Store.Each(ctx, kind, func(e store.Entry) error {
		if ok, err := filepath.Match(a.Pattern, e.Name); err != nil || !ok {
			return err
		}
		if e.Err != nil {
			return take(&Step{Key: filepath.Join(kind.String(), e.Name), Action: Skipped, State: "no sector file", Reason: e.Err.Error()})
		}
		a.matched = true
		s, err := plan(e.ID)
		if err != nil || s == nil {
			return err
		}
		return take(s)
	})
}

// replica plans a sector of which the replica is here.
func (a *Attach) replica(ctx context.Context, p pair, id sector.ID) (*Step, error) {
	s := &Step{ID: id, State: p.replica.String(), Upgraded: p.upgrade}
	check, err := a.check(ctx, s)
	if err != nil {
		return nil, err
	}
	size, err := check.Replica(a.Store, p.replica, id)
	if err != nil {
		return s.wrongFile(err), nil
	}
	check.Size = abi.SectorSize(size)
	if _, known := a.sizes[id.Miner]; !known {
		a.sizes[id.Miner] = check.Size
	}
	err = check.Cache(a.Store, p.cache, id)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !a.Splitted:
		return s.fail("its directory in "+p.cache.String()+" is not in this store",
			"where it is in another store, attach both with --allow-splitted"), nil
	case errors.Is(err, fs.ErrNotExist):
		return s, a.enter(ctx, claim{pair: p, id: id, check: check, replica: true}, s)
	case err != nil:
		return s.wrongFile(err), nil
	}
	s.State += "+" + p.cache.String()
	return s, a.enter(ctx, claim{pair: p, id: id, check: check, replica: true, cache: true}, s)
}

// cacheAlone plans a sector of which only the cache directory is here.
func (a *Attach) cacheAlone(ctx context.Context, p pair, id sector.ID) (*Step, error) {
	if _, err := os.Lstat(a.Store.Path(p.replica, id)); !errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has a step already, by its replica
	}
	s := &Step{ID: id, State: p.cache.String(), Upgraded: p.upgrade}
	check, err := a.check(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := check.Cache(a.Store, p.cache, id); err != nil {
		return s.wrongFile(err), nil
	}
	return s, a.enter(ctx, claim{pair: p, id: id, check: check, cache: true}, s)
}

func (s *Step) wrongFile(err error) *Step {
	var wrong *store.WrongFileError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return s.fail(err.Error(), "run this as a user who may read the store")
	case errors.As(err, &wrong):
		return s.fail(err.Error(), "it is not entered: damocles could not prove it from these files")
	default:
		return s.fail(err.Error(), "check that the disk is mounted and sound, then run the command again")
	}
}

// check says what the sector's files must be like. All sectors of a miner have
// one size: that of its metadata, or else that of its first file.
func (a *Attach) check(ctx context.Context, s *Step) (store.Check, error) {
	check := store.Check{Strict: a.Strict}
	held, err := a.Home.Holds(ctx, s.ID)
	if err != nil {
		return check, err
	}
	if held.Online == nil && held.Offline == nil {
		s.note("no-metadata", "damocles has no metadata of it: import it, or terminating and rebuilding it will not work")
	}
	for _, raw := range [][]byte{held.Offline, held.Online} {
		if check.Size = stateSize(raw); check.Size != 0 {
			return check, nil
		}
	}
	if _, known := a.sizes[s.ID.Miner]; !known {
		size, err := a.Home.sectorSize(ctx, s.ID.Miner)
		if err != nil {
			return check, err
		}
		if size != 0 {
			a.sizes[s.ID.Miner] = size
		}
	}
	check.Size = a.sizes[s.ID.Miner]
	return check, nil
}

// stateSize is the size of a sector by its state, 0 where that does not tell.
func stateSize(raw []byte) abi.SectorSize {
	var state struct{ SectorType *abi.RegisteredSealProof }
	if json.Unmarshal(raw, &state) != nil || state.SectorType == nil {
		return 0
	}
	size, err := state.SectorType.SectorSize()
	if err != nil {
		return 0
	}
	return size
}

// sectorSize is that of the miner's sectors by the first state that tells, 0
// where none does.
func (h *Home) sectorSize(ctx context.Context, miner abi.ActorID) (size abi.SectorSize, err error) {
	found := errors.New("found")
	for _, ws := range []damocles.Workspace{damocles.Offline, damocles.Online} {
		err := h.home.Each(ctx, ws, &miner, func(kv damocles.KV) error {
			if size = stateSize(kv.Value); size != 0 {
				return found
			}
			return nil
		})
		if errors.Is(err, found) {
			return size, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}
