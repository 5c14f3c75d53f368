package migrate

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// StoreImport makes the storage paths of a lotus-miner stores of a damocles, where
// they are: sections for its configuration, and entries in its index.
type StoreImport struct {
	Miner abi.ActorID
	Lotus []LotusStore
	// Known are the stores that damocles has.
	Known []HomeStore
	// ConfigPath is the configuration; Writer, if not nil, writes the sections into
	// it. Otherwise they are in the events only.
	ConfigPath string
	Writer     ConfigWriter
	// Index is the home whose index gets the sectors, nil for none. It may be open
	// for reading in a dry run.
	Index *Home
	// Owner is the user as whom damocles runs, nil where that is not known here.
	Owner   *store.User
	DryRun  bool
	Plan    *PlanWriter
	Observe func(StoreEvent)

	entries []*storeImportEntry
	indexed map[indexedBlock]uint64 // a bit for each number: a map of a million takes 100 MiB
	carried map[indexedBlock]uint64 // those that the import has brought, and whose files are needed
}

// indexedBlock is 64 sectors' replicas and caches, or those of their upgrades.
type indexedBlock struct {
	miner    string
	block    uint64
	upgraded bool
}

// isNews says of a pair of files for the first time that it is entered.
func (x *StoreImport) isNews(s Event) bool {
	at, bit := indexedBlock{s.Miner, s.Number / 64, s.Upgraded}, uint64(1)<<(s.Number%64)
	if x.indexed[at]&bit != 0 {
		return false
	}
	x.indexed[at] |= bit
	return true
}

// StoreImportReport counts paths by what became of them.
type StoreImportReport struct {
	StoreReport
	// Indexed counts the pairs of a replica and its cache that were entered in the
	// index: one that lies in two stores counts once.
	Indexed int
	// Left counts those that could not be.
	Left int
	// Homeless counts sectors that came along, and of which the index knows no
	// replica: damocles cannot prove them. SomeHomeless are the first.
	Homeless     int
	SomeHomeless []string
	// Unreadable counts stores that the owner of the home cannot work with.
	Unreadable int
}

type storeImportEntry struct {
	lotus  LotusStore
	config damocles.StoreConfig
	event  StoreEvent
	info   os.FileInfo
	known  bool
}

// Run adds the sections, and then enters the sectors: the index must name no
// store that the configuration lacks. A path that cannot be taken holds up no
// other.
func (x *StoreImport) Run(ctx context.Context) (*StoreImportReport, error) {
	report := &StoreImportReport{StoreReport: StoreReport{DryRun: x.DryRun}}
	x.indexed = map[indexedBlock]uint64{}
	for _, l := range x.Lotus {
		if err := x.look(ctx, l, report); err != nil {
			return report, err
		}
	}
	if err := x.sections(); err != nil {
		return report, err
	}
	if err := x.writeConfig(ctx); err != nil {
		return report, err
	}
	for _, e := range x.entries {
		if err := x.index(ctx, e, report); err != nil {
			return report, err
		}
		report.add(e.event.Action)
		x.Observe(e.event)
	}
	return report, x.homeless(ctx, report)
}

// Carried is told of every sector of the import, before Run.
func (x *StoreImport) Carried(s Event) {
	if !s.Proven || s.Action != Write && s.Action != WouldWrite && s.Action != Unchanged {
		return
	}
	if x.carried == nil {
		x.carried = map[indexedBlock]uint64{}
	}
	x.carried[indexedBlock{s.Miner, s.Number / 64, s.Upgraded}] |= 1 << (s.Number % 64)
}

// homeless finds the sectors of the import that lie in none of the stores: on a path
// of a worker, say, which the repo does not name.
func (x *StoreImport) homeless(ctx context.Context, report *StoreImportReport) error {
	if x.Index == nil {
		return nil
	}
	blocks := map[uint64]bool{}
	for at := range x.carried {
		blocks[at.block] = true
	}
	for _, block := range slices.Sorted(maps.Keys(blocks)) {
		for bit := range uint64(64) {
			for _, upgraded := range []bool{false, true} {
				if err := x.isHomeless(ctx, block, bit, upgraded, report); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (x *StoreImport) isHomeless(ctx context.Context, block, bit uint64, upgraded bool, report *StoreImportReport) error {
	id := sector.ID{Miner: x.Miner, Number: sectorNumber(block*64 + bit)}
	at := indexedBlock{sector.MinerString(x.Miner), block, upgraded}
	if x.carried[at]>>bit&1 == 0 || x.DryRun && x.indexed[at]>>bit&1 == 1 {
		return nil
	}
	key, _ := damocles.IndexKeys(id.Miner, id.Number, upgraded)
	_, found, err := x.Index.home.Value(ctx, damocles.CollectionIndex, key)
	if err != nil {
		return fmt.Errorf("read the index for %s: %w", id, err)
	}
	if found {
		return nil
	}
	if report.Homeless++; report.Homeless <= maxListed {
		report.SomeHomeless = append(report.SomeHomeless, id.String())
	}
	return nil
}

// look decides what becomes of one path.
func (x *StoreImport) look(ctx context.Context, l LotusStore, report *StoreImportReport) error {
	e := &storeImportEntry{lotus: l, event: StoreEvent{Type: "store", Path: l.Path, ID: l.ID}}
	x.entries = append(x.entries, e)
	err := l.Err
	if err == nil {
		if e.info, _, err = locate(l.Path); err != nil {
			err = fault.New("see that its disk is mounted, and that this is the machine that has it", "it cannot be looked into: %w", err)
		}
	}
	if err != nil {
		e.event.Action = StoreRefused
		e.event.problem(err)
		return nil
	}
	for _, other := range x.entries[:len(x.entries)-1] {
		if other.info != nil && os.SameFile(other.info, e.info) {
			e.event.Action, e.event.Reason = StoreSkipped, "it is the same directory as "+other.lotus.Path
			return nil
		}
	}
	if err := x.name(e); err != nil {
		return err
	}
	census, err := store.Store{Dir: l.Path}.Census(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		e.event.Action = StoreRefused
		e.event.problem(err)
		return nil
	}
	e.event.Sectors = census.Sectors[x.Miner]
	if x.Owner == nil {
		return nil
	}
	before := len(e.event.Problems)
	err = unreadable(ctx, &e.event, store.Store{Dir: l.Path}, *x.Owner, "the home")
	if len(e.event.Problems) > before {
		report.Unreadable++ // listed, and entered all the same
	}
	return err
}

// name finds the store in damocles's configuration, or gives it a name there.
func (x *StoreImport) name(e *storeImportEntry) error {
	if s, ok := StoreAt(x.Known, e.info); ok {
		e.known, e.config = true, s.StoreConfig
		e.event.Name, e.event.Action = s.Name, StoreUnchanged
		return nil
	}
	e.lotus.note(&e.event)
	e.config = damocles.StoreConfig{
		Name: x.freeName(e.lotus.Path), Path: e.lotus.Path, ReadOnly: !e.lotus.CanStore || e.lotus.Weight == 0,
		AllowMiners: e.lotus.Allow, DenyMiners: e.lotus.Deny,
	}
	e.event.Name = e.config.Name
	switch {
	case x.Writer == nil:
		e.event.Action = StorePrinted
	case x.DryRun:
		e.event.Action = StoreWouldEnter
	default:
		e.event.Action = StoreEntered
	}
	return nil
}

// freeName is the directory's own name, as in the guide, with a number where it
// is taken.
func (x *StoreImport) freeName(path string) string {
	base := filepath.Base(path)
	for name, n := base, 2; ; name, n = fmt.Sprintf("%s_%d", base, n), n+1 {
		taken := name == "/"
		if _, ok := StoreNamed(x.Known, name); ok {
			taken = true
		}
		for _, e := range x.entries {
			taken = taken || e.event.Name == name
		}
		if !taken {
			return name
		}
	}
}

// isNew says whether the store needs a section.
func (e *storeImportEntry) isNew() bool {
	return !e.known && e.event.Name != "" && e.event.Action != StoreRefused
}

// sections writes the section of each new store. lotus's weights are carried
// only where somebody has set one: its default is 10, damocles's 1.
func (x *StoreImport) sections() error {
	const lotusDefault = 10
	weigh := false
	for _, e := range x.entries {
		weigh = weigh || (e.isNew() && !e.config.ReadOnly && e.lotus.Weight != lotusDefault)
	}
	for _, e := range x.entries {
		if !e.isNew() {
			continue
		}
		if weigh && !e.config.ReadOnly {
			e.config.Weight = uint(e.lotus.Weight)
		}
		var err error
		if e.event.Section, err = StoreSection(e.config); err != nil {
			return err
		}
	}
	return nil
}

// Sections are those of the new stores, after Run.
func (x *StoreImport) Sections() []string {
	var out []string
	for _, e := range x.entries {
		if e.isNew() {
			out = append(out, e.event.Section)
		}
	}
	return out
}

func (x *StoreImport) writeConfig(ctx context.Context) error {
	sections := x.Sections()
	if x.Writer == nil || len(sections) == 0 {
		return nil
	}
	before, err := readFile(x.ConfigPath)
	if err != nil {
		return err
	}
	after, err := damocles.AppendStores(x.ConfigPath, before, sections)
	if err != nil {
		return err
	}
	c := Change{Store: configStore, Key: x.ConfigPath, Before: before, After: after}
	if err := x.Plan.Changes("stores of the configuration", []Change{c}); err != nil || x.DryRun {
		return err
	}
	if err := durable.CheckOwner(filepath.Dir(x.ConfigPath)); err != nil {
		return err
	}
	return x.Writer.WriteConfig(ctx, c)
}

// index enters the store's sectors, with what lies in two stores in both.
func (x *StoreImport) index(ctx context.Context, e *storeImportEntry, report *StoreImportReport) error {
	if x.Index == nil || e.event.Name == "" || e.event.Action == StoreRefused {
		return nil
	}
	at := Attach{
		Home: x.Index, Store: store.Store{Name: e.event.Name, Dir: e.lotus.Path}, Stores: x.all(),
		Pattern: "*", Strict: e.config.Strict, Splitted: true,
	}
	at.DryRun, at.Plan = x.DryRun, x.Plan
	left := 0
	at.Observe = func(s Event) {
		if (s.Action == Write || s.Action == WouldWrite) && x.isNews(s) {
			report.Indexed++
		}
		if s.Action != Failed && s.Action != Conflict {
			return
		}
		if left++; left <= maxListed {
			e.event.Notes = append(e.event.Notes, sector.Note{Code: "not-indexed", Text: s.ID() + " is not entered in the index: " + s.Reason})
		}
	}
	_, err := at.runWithin(ctx)
	if left > maxListed {
		e.event.note("not-indexed", fmt.Sprintf("and %d more are not entered; `storage attach` lists them all", left-maxListed))
	}
	report.Left += left
	return err
}

// all are the stores that damocles will have.
func (x *StoreImport) all() []HomeStore {
	out := append([]HomeStore(nil), x.Known...)
	for _, e := range x.entries {
		if e.isNew() {
			out = append(out, HomeStore{StoreConfig: e.config})
		}
	}
	return out
}

// runWithin is Run as a part of another command's run, under its journal.
func (a *Attach) runWithin(ctx context.Context) (*Report, error) {
	a.defaults()
	a.sizes = map[abi.ActorID]abi.SectorSize{}
	r := &run{Options: a.Options, target: a.Home, report: Report{DryRun: a.DryRun}}
	err := a.scan(ctx, func(s *Step) error { return r.take(ctx, s) })
	if err == nil {
		err = r.flush(ctx)
	}
	return &r.report, err
}
