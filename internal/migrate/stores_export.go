package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// StoreExport enters damocles's stores into a lotus-miner repo: those that hold
// sectors of the miner become storage paths, where they are, and stay damocles's.
// It is done for all of them or for none.
type StoreExport struct {
	Miner abi.ActorID
	// Repo is the directory of a repo whose lotus-miner is stopped and stays so.
	Repo   string
	Stores []HomeStore
	// Scans says whether damocles looks for a sectorstore.json in a directory. Nil
	// is unknown: the stores were named by a running damocles-manager.
	Scans func(dir string) (bool, error)
	// NewID makes an ID for a store that has none.
	NewID   func() (string, error)
	DryRun  bool
	FS      durable.FS
	Plan    *PlanWriter
	Observe func(StoreEvent)
}

// storeEntry is a store, or a path of storage.json, as it was found.
type storeEntry struct {
	HomeStore
	event  StoreEvent
	info   os.FileInfo // nil: not there
	real   string      // without links; empty: not there
	listed bool        // storage.json names it
	own    bool        // it is one of damocles's
	change *Change     // of its sectorstore.json
}

// Run looks at every store first, and changes nothing if one of them cannot be
// entered: the error is fault.Refused then, and Observe was told why.
func (x *StoreExport) Run(ctx context.Context) (*StoreReport, error) {
	report := &StoreReport{DryRun: x.DryRun}
	storage, raw, err := lotus.ReadStorage(x.Repo)
	if err != nil {
		return report, err
	}
	report.NoStorage = !storage.Found
	entries, err := x.survey(ctx, storage)
	if err != nil {
		return report, err
	}
	x.compare(entries)
	if err := x.settle(entries, report); err != nil {
		return report, err
	}
	changes, err := x.changes(storage, raw, entries)
	if err != nil {
		return report, err
	}
	for _, c := range changes {
		if err := x.Plan.Changes("storage paths", []Change{c}); err != nil {
			return report, err
		}
	}
	if x.DryRun {
		return report, nil
	}
	files := NewRepoFiles(x.Repo, ExportStoresCommand, x.Miner, x.FS)
	if err := files.apply(ctx, changes); err != nil {
		if fault.KindOf(err) == fault.Refused { // that would promise that nothing was changed
			err = fault.New(fault.HintOf(err), "%s", err.Error())
		}
		return report, errors.Join(err, files.journal.abandon())
	}
	undo, err := files.finish()
	report.Journal = undo.Journal
	return report, err
}

// survey looks at each path of storage.json and at each store.
func (x *StoreExport) survey(ctx context.Context, storage *lotus.Storage) ([]*storeEntry, error) {
	var out []*storeEntry
	for _, path := range storage.Paths() {
		out = append(out, listedPath(path))
	}
	for _, s := range x.Stores {
		e := &storeEntry{HomeStore: s, own: true}
		e.event = StoreEvent{Type: "store", Name: s.Name, Path: s.Path}
		if s.PluginName != "" {
			e.event.Action, e.event.Reason = StoreSkipped, "it is kept by the plugin "+s.PluginName+", and no directory"
			out = append(out, e)
			continue
		}
		if err := x.look(ctx, e); err != nil {
			return nil, err
		}
		for _, other := range out {
			if !other.own && e.info != nil && other.info != nil && os.SameFile(e.info, other.info) {
				e.listed = true
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// look fills in what the store holds, and whether lotus-miner could work with it.
func (x *StoreExport) look(ctx context.Context, e *storeEntry) error {
	const mount = "see that its disk is mounted, or take it out of damocles's configuration"
	var err error
	if e.info, e.real, err = locate(e.Path); err != nil {
		e.event.problem(fault.New(mount, "it cannot be looked into: %w", err))
		return nil
	}
	bad, err := badNames(ctx, e.Store())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e.event.problem(err)
		return nil
	}
	census, err := e.Store().Census(ctx)
	if err != nil {
		if len(bad) == 0 { // a file in the place of a type directory has been told of
			return err
		}
		census = &store.Census{}
	}
	e.event.Sectors = census.Sectors[x.Miner]
	if e.event.Sectors == 0 && err == nil {
		e.event.Action, e.event.Reason = StoreSkipped, "it holds no sector of "+sector.MinerString(x.Miner)
		return nil
	}
	if len(bad) > 0 {
		e.event.problem(fault.New("move them away, then run this again", "%s", someOf(bad)))
	}
	e.others(census, x.Miner)
	if err := x.share(e); err != nil {
		e.event.problem(err)
		return nil
	}
	return x.access(ctx, e, census)
}

// others notes the other miners whose sectors lotus-miner will find.
func (e *storeEntry) others(census *store.Census, miner abi.ActorID) {
	var miners []abi.ActorID
	for other := range census.Sectors {
		if other != miner {
			miners = append(miners, other)
		}
	}
	slices.Sort(miners)
	for _, other := range miners {
		e.event.note("other-miner", fmt.Sprintf("it also holds %d sectors of %s, which lotus-miner will declare as well; "+
			"its paths are meant for one miner (`export files` carries the sectors to a place of their own)", census.Sectors[other], sector.MinerString(other)))
	}
}

// share makes the sectorstore.json that both systems read.
func (x *StoreExport) share(e *storeEntry) error {
	meta, raw, err := store.ReadMeta(e.Path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	shared := store.Shared{
		Dir: e.Path, Name: e.Name, Scanned: e.Scanned || x.Scans == nil, NewID: x.NewID,
		ReadOnly: e.ReadOnly, Allow: e.AllowMiners, Deny: e.DenyMiners,
	}
	if err := x.scanned(e, &shared, meta == nil); err != nil {
		return err
	}
	out, changed, notes, err := meta.Share(shared)
	if err != nil {
		return fault.New(fault.HintOf(err), "%s: %w", store.MetaPath(e.Path), err)
	}
	e.event.Notes = append(e.event.Notes, notes...)
	l, err := out.Lotus()
	if err != nil {
		return err
	}
	e.event.ID = l.ID
	if !changed {
		return nil
	}
	after, err := out.Encode()
	if err != nil {
		return err
	}
	e.change = &Change{Store: store.MetaName, Key: store.MetaPath(e.Path), Before: raw, After: after}
	return nil
}

// scanned finds out whether damocles reads a sectorstore.json in the store. A new
// one must not make it find the store a second time.
func (x *StoreExport) scanned(e *storeEntry, shared *store.Shared, none bool) error {
	if x.Scans == nil {
		if none {
			e.event.note("scan-unknown", "it gets a sectorstore.json: see that ScanPersistStores of that damocles-manager does not match its directory, or the store is found twice")
		}
		return nil
	}
	if e.Scanned {
		return nil
	}
	scans, err := x.Scans(e.Path)
	if err != nil || !scans {
		return err
	}
	if none {
		return fault.New("take its section out of [[Common.PersistStores]] once it has the file, or its directory out of ScanPersistStores",
			"damocles has it in [[Common.PersistStores]], and ScanPersistStores matches its directory, too: with a sectorstore.json it would find it twice")
	}
	shared.Scanned = true
	return nil
}

// changes are the files to write, in their order: a path must be ready before
// storage.json names it, or lotus-miner would not start.
func (x *StoreExport) changes(storage *lotus.Storage, raw []byte, entries []*storeEntry) ([]Change, error) {
	var out []Change
	var paths []string
	for _, e := range entries {
		if e.event.Action != StoreEntered && e.event.Action != StoreWouldEnter {
			continue
		}
		if e.change != nil {
			out = append(out, *e.change)
		}
		if !e.listed {
			paths = append(paths, e.Path)
		}
	}
	if len(paths) == 0 && storage.Found {
		return out, nil
	}
	after, err := storage.With(paths...).Encode()
	if err != nil {
		return nil, err
	}
	return append(out, Change{Store: lotus.StorageName, Key: lotus.StoragePath(x.Repo), Before: raw, After: after}), nil
}

// settle decides over each store, and refuses all if one cannot be entered.
func (x *StoreExport) settle(entries []*storeEntry, report *StoreReport) error {
	for _, e := range entries {
		switch {
		case len(e.event.Problems) > 0:
			e.event.Action = StoreRefused
		case e.event.Action == StoreSkipped:
		case !e.own:
			e.event.Action = "" // what only lotus-miner has is its own affair
		case e.listed && e.change == nil:
			e.event.Action = StoreUnchanged
		case x.DryRun:
			e.event.Action = StoreWouldEnter
		default:
			e.event.Action = StoreEntered
		}
		report.add(e.event.Action)
	}
	for _, e := range entries {
		if report.Refused > 0 && (e.event.Action == StoreEntered || e.event.Action == StoreWouldEnter) {
			e.event.Action, e.event.Reason = StoreSkipped, "others cannot be entered"
		}
		if e.event.Action != "" || len(e.event.Notes) > 0 {
			e.event.Action = cmp.Or(e.event.Action, StoreUnchanged)
			x.Observe(e.event)
		}
	}
	if report.Refused > 0 {
		return fault.Refuse("see to what is listed, then run this again",
			"%d of the stores cannot be entered into %s: nothing was changed", report.Refused, x.Repo)
	}
	return nil
}
