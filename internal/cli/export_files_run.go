package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/quarantine"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
	"damocles-manager/internal/transfer"
	"damocles-manager/internal/ui"
)

// filesRun is an export of files on its way.
type filesRun struct {
	*app
	options filesOptions
	miner   abi.ActorID
	from    *damoclesSide
	limit   int64

	stores []store.Store
	target store.Store
	move   *migrate.FilesMove // nil where nothing leaves its store
	source fileSource
	chosen *migrate.Report
	set    *migrate.FileSet
}

// fileSource is a damocles: its sectors, and its book of where their files are.
type fileSource interface {
	migrate.ExportSource
	migrate.Locator
}

// open finds the stores, and which of them the target is.
func (r *filesRun) open(ctx context.Context, dest string) error {
	stores, err := r.from.stores(ctx, r.app)
	if err != nil {
		return err
	}
	for _, s := range stores {
		if s.PluginName != "" {
			r.ui.Notice(fmt.Sprintf("the store %s is reached through the plugin %s, which only damocles has: its sectors stay", s.Name, s.PluginName))
			continue
		}
		r.stores = append(r.stores, s.Store())
	}
	if err := outsideStores(dest, stores); err != nil {
		return err
	}
	r.target = store.Store{Dir: dest}
	if info, err := os.Stat(dest); err == nil {
		if same, ok := migrate.StoreAt(stores, info); ok {
			r.target = store.Store{Name: same.Name, Dir: same.Path}
		}
	}
	if r.from.daemon != nil {
		r.source = migrate.NewDaemon(r.from.daemon, r.options.jobs, "", r.from.addr, migrate.FilesCommand, r.miner, r.fs)
		return nil
	}
	home := migrate.NewHome(r.from.home, r.from.dir, migrate.FilesCommand, r.miner, r.fs)
	r.source = home
	if r.options.moves() {
		r.move = migrate.NewFilesMove(home, r.target)
	}
	return nil
}

// outsideStores refuses a target among the sectors' files of a store.
func outsideStores(dest string, stores []migrate.HomeStore) error {
	for _, dir := range []string{dest, realPath(dest)} {
		for at := dir; at != filepath.Dir(at); at = filepath.Dir(at) {
			_, isKind := sector.ParseFileKind(filepath.Base(at))
			if root := filepath.Dir(at); (isKind || filepath.Base(at) == quarantine.DirName) && isStore(root, stores) {
				return fault.Refuse("give the directory of a store itself, as --dest-path "+root,
					"%s is in %s, where a store has its sectors' files: lotus-miner does not start where it finds anything else there", dest, at)
			}
		}
	}
	return nil
}

// realPath is path without links, as far as it is there.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil || path == filepath.Dir(path) {
		return real
	}
	return filepath.Join(realPath(filepath.Dir(path)), filepath.Base(path))
}

// isStore says whether a directory is one of damocles's stores, or any that has a
// sectorstore.json.
func isStore(dir string, stores []migrate.HomeStore) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	if _, known := migrate.StoreAt(stores, info); known {
		return true
	}
	_, err = os.Stat(store.MetaPath(dir))
	return err == nil
}

// stores lists the stores of the damocles: by the home's configuration where it
// is here, and else by what the daemon says.
func (s *damoclesSide) stores(ctx context.Context, a *app) ([]migrate.HomeStore, error) {
	if s.daemon != nil && !s.ours {
		infos, err := s.daemon.StoreList(ctx)
		return migrate.ListedStores(infos), err
	}
	cfg, err := damocles.LoadConfig(s.dir, a.env.Getenv)
	if err != nil {
		return nil, err
	}
	return migrate.HomeStores(cfg)
}

// choose picks the sectors, and says which ones stay.
func (r *filesRun) choose(ctx context.Context, numbers sector.Numbers, node migrate.Chain, plan *migrate.PlanWriter) error {
	f := migrate.Files{
		Source: r.source, Locator: r.source, Stores: r.stores, Target: r.target, Chain: node,
		WithKey: r.options.withKey, WithUnsealed: r.options.withUnsealed,
	}
	f.Miner, f.Numbers, f.DryRun, f.Plan, f.Observe = r.miner, numbers, r.options.dryRun, plan, r.ui.Sector
	f.Jobs, f.Chunk = pace(max(r.options.jobs, 16), node != nil || r.from.daemon != nil)
	if r.move != nil {
		var err error
		if f.Moved, err = r.move.Interrupted(ctx); err != nil {
			return err
		}
	}
	var err error
	r.set, r.chosen, err = f.Find(ctx)
	return err
}

// sectors gives the engine the chosen sectors, as often as it asks.
func (r *filesRun) sectors() iter.Seq2[transfer.Sector, error] {
	return func(yield func(transfer.Sector, error) bool) {
		i := 0
		r.set.Each(func(s migrate.SectorFiles) bool {
			out := transfer.Sector{ID: s.ID, Size: s.Size, Index: i}
			for _, o := range s.Objects {
				out.Objects = append(out.Objects, transfer.Object{
					Kind: o.Kind, From: o.Store.Path(o.Kind, s.ID), To: r.target.Path(o.Kind, s.ID),
				})
			}
			i++
			return yield(out, nil)
		})
	}
}

func (r *filesRun) carry(ctx context.Context) error {
	o := r.options
	shown := r.ui.NewTransfer(r.verb())
	shown.DryRun = o.dryRun
	opt := transfer.Options{
		Keep: o.reserve, DryRun: o.dryRun, Verify: transfer.Verify(o.verify), TrustSize: o.trustSize,
		Jobs: o.jobs, BytesPerSecond: r.limit, FS: r.fs, Log: r.log, Target: r.target.Dir,
		Observe: shown.Observe, Progress: shown.Progress,
	}
	if r.move != nil && !o.dryRun {
		opt.Journal = intends(func(s []transfer.Sector) error { return r.move.Intend(r.files(s)) })
		opt.Known = func(ctx context.Context, done []transfer.Sector) error { return r.move.Known(ctx, r.files(done)) }
	}
	work := transfer.Run
	if o.verifyOnly {
		work = transfer.VerifyOnly
	}
	var report *transfer.Report
	err := shown.While(ctx, func(ctx context.Context) error {
		var err error
		report, err = work(ctx, opt, r.sectors)
		return err
	})
	if err != nil {
		return r.failed(err)
	}
	return r.finish(ctx, report)
}

func (r *filesRun) verb() string {
	switch {
	case r.options.verifyOnly:
		return ui.Checking
	case r.options.reserve:
		return ui.Copying
	default:
		return ui.Moving
	}
}

// files gives the engine's sectors back as those they were made of.
func (r *filesRun) files(sectors []transfer.Sector) []migrate.SectorFiles {
	out := make([]migrate.SectorFiles, len(sectors))
	for i, s := range sectors {
		out[i] = r.set.At(s.Index)
	}
	return out
}

// failed ends a run that was stopped. The journal stays open, so that the next
// run goes on with it.
func (r *filesRun) failed(err error) error {
	if r.move != nil {
		err = errors.Join(err, r.move.Abandon())
	}
	return r.interrupted(nil, err)
}

func (r *filesRun) finish(ctx context.Context, report *transfer.Report) error {
	s := ui.NewFilesSummary(r.chosen, report)
	switch o := r.options; {
	case o.verifyOnly:
		s.Good = report.Done
	case o.reserve:
		s.Copied = report.Done
	default:
		s.Moved = report.Done
	}
	manifest := filepath.Join(r.target.Dir, transfer.ManifestName)
	if _, err := os.Stat(manifest); err == nil {
		s.Manifest = manifest
	}
	if err := r.endMove(ctx, s); err != nil {
		return err
	}
	err := r.keepManifest(s)
	r.show(s) // whatever became of the copy: the sectors are moved, and this says how to undo it
	if err != nil {
		return err
	}
	if s.Failed+s.Unfinished+s.Missing+s.Unknown > 0 {
		return errIncomplete
	}
	return nil
}

// endMove makes the journal complete. Where sectors failed it stays open: what
// was begun with them is gone on with by the next run.
func (r *filesRun) endMove(ctx context.Context, s *ui.FilesSummary) error {
	if r.move == nil || r.options.dryRun {
		return nil
	}
	if s.Failed > 0 {
		s.Journal = r.move.Journal()
		return r.move.Abandon()
	}
	undo, err := r.move.Finish(ctx)
	s.Journal = undo.Journal
	return err
}

// keepManifest copies the manifest into the home.
func (r *filesRun) keepManifest(s *ui.FilesSummary) error {
	if s.Manifest == "" || r.options.dryRun || r.options.verifyOnly || !r.from.exists {
		return nil
	}
	if _, err := migrate.KeepManifest(r.fs, r.from.dir, s.Manifest); err != nil {
		return fmt.Errorf("copy the manifest %s into the home: %w", s.Manifest, err)
	}
	return nil
}

func (r *filesRun) show(s *ui.FilesSummary) {
	if s.Total() == 0 && s.Unfinished+s.Missing == 0 {
		r.ui.Printf("damocles has no finished sectors of %s\n", sector.MinerString(r.miner))
	}
	r.ui.FilesSummary(s)
	if s.Unhashed > 0 {
		r.ui.Notice("the manifest has no hash of files that were renamed, or copied with --verify size: their content was not read; `util sealer sectors check` reads it")
	}
	if s.Moved > 0 && !s.DryRun && r.target.Name == "" {
		r.ui.Info("damocles's index no longer names the moved sectors, as " + r.target.Dir +
			" is none of its stores; `util storage attach` would enter them again")
	}
	r.showUndo(&migrate.Report{Journal: s.Journal}, "export", "--miner", sector.MinerString(r.miner),
		"rollback", "--home", r.from.dir)
}
