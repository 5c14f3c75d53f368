package cli

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

type exportStoresOptions struct {
	writeFlags
	destRepo string
}

func newExportStoresCommand(a *app, ex *exportOptions) *cobra.Command {
	var o exportStoresOptions
	cmd := &cobra.Command{
		Use:   "stores",
		Short: "Enter the stores of damocles into lotus-miner, where they are",
		Long: `Enter every store of damocles that holds sectors of the miner into a lotus-miner
repo: its path into storage.json, and what lotus-miner has to know of it into its
sectorstore.json, so that both systems go on reading that file. No sector is moved.

lotus-miner has to be stopped; damocles-manager may run. All stores are looked at
first, and one that lotus-miner could not start with keeps all of them out: an ID
or a path that is there twice, names that are no sector's, files that the repo's
owner cannot read. The files as they were are kept in a journal in the repo's
backups, and "export … rollback" brings them back.

A store that is read-only in damocles gets CanStore false, which lotus-miner shows
as "Use: ReadOnly": it proves from it, and puts nothing new there.`,
		Example: `  damocles-manager util sealer sectors export --miner f01000 stores --dest-repo /root/.lotusminer --dry-run
  damocles-manager util sealer sectors export --miner f01000 stores --dest-repo /root/.lotusminer`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runExportStores(cmd.Context(), a, *ex, o) },
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&o.destRepo, "dest-repo", "~/.lotusminer", "the lotus-miner repo to enter them into")
	return cmd
}

func runExportStores(ctx context.Context, a *app, ex exportOptions, o exportStoresOptions) (err error) {
	miner, err := ex.minerID()
	if err != nil {
		return err
	}
	if err := a.checkPlan(&o.writeFlags); err != nil {
		return err
	}
	from, err := a.knownStores(ctx)
	if err != nil {
		return err
	}
	dir, release, err := a.holdDestRepo(ctx, o.destRepo, miner, !o.dryRun)
	if err != nil {
		return err
	}
	defer release(&err)
	plan, planned, err := a.plan(o.writeFlags, migrate.PlanHeader{
		Command: migrate.ExportStoresCommand, Miner: sector.MinerString(miner), Source: from.name, Target: dir,
	})
	if err != nil {
		return err
	}
	defer planned(&err)
	run := migrate.StoreExport{
		Miner: miner, Repo: dir, Stores: from.stores, Scans: from.scans, NewID: newStoreID,
		DryRun: o.dryRun, FS: a.fs, Plan: plan, Observe: a.ui.Store,
	}
	report, err := run.Run(ctx)
	if err != nil {
		return a.interrupted(nil, err)
	}
	a.showExportStores(dir, miner, report)
	return nil
}

func newStoreID() (string, error) {
	id, err := uuid.NewRandom()
	return id.String(), err
}

// holdDestRepo finds a repo that belongs to the miner, and keeps lotus-miner from
// starting on it until release is called, without touching its database.
func (a *app) holdDestRepo(ctx context.Context, path string, miner abi.ActorID, write bool) (dir string, release func(*error), err error) {
	if dir, err = a.findDestRepo(ctx, path, miner, write); err != nil {
		return "", nil, err
	}
	repo, err := a.openDestRepo(ctx, dir, miner, false)
	if err != nil {
		return "", nil, err
	}
	use, err := lotus.Running(dir) // one that is starting has the lock, and no database yet
	if err == nil && use != nil {
		err = fault.Refuse("stop lotus-miner first", "repo %s is in use by %s", dir, use)
	}
	if err != nil {
		closing(&err, repo)
		return "", nil, err
	}
	return dir, func(err *error) { closing(err, repo) }, nil
}

// knownStores are the stores of a damocles, for reading only.
type knownStores struct {
	name   string // of the damocles, for people
	stores []migrate.HomeStore
	scans  func(dir string) (bool, error) // nil: unknown
}

// knownStores takes the stores from the configuration of the home, whether its
// damocles-manager runs or not, and asks a damocles-manager whose home is
// elsewhere.
func (a *app) knownStores(ctx context.Context) (*knownStores, error) {
	loc, err := damocles.FindHome(a.home, a.env.Getenv)
	if err != nil {
		return nil, err
	}
	side := &damoclesSide{dir: loc.Dir, exists: loc.Exists}
	found, err := a.findDaemon(ctx, side, loc, 1)
	if err != nil {
		return nil, err
	}
	if found && !side.ours {
		a.ui.Notice("its stores are looked for on this machine, under the paths that it names")
		stores, err := side.daemon.StoreList(ctx)
		return &knownStores{name: side.addr, stores: migrate.ListedStores(stores)}, err
	}
	if !loc.Exists {
		return nil, fault.New("name it with --home or DAMOCLES_PATH, or start damocles-manager and use --listen",
			"there is no damocles-manager home at %s, and nothing listens at %s", loc.Dir, a.listen)
	}
	cfg, err := damocles.LoadConfig(loc.Dir, a.env.Getenv)
	if err != nil {
		return nil, err
	}
	if !cfg.Found {
		return nil, fault.New("name the home with --home, or the directory of its configuration with DAMOCLES_CONF_DIR",
			"the stores are not known: there is no %s", cfg.Path)
	}
	stores, err := migrate.HomeStores(cfg)
	return &knownStores{name: loc.Dir, stores: stores, scans: migrate.StoreScans(cfg)}, err
}

func (a *app) showExportStores(dir string, miner abi.ActorID, r *migrate.StoreReport) {
	if r.NoStorage {
		a.ui.Info("there was no " + lotus.StorageName + " in the repo, and lotus-miner does not start without one: it gets one")
	}
	if r.Entered+r.Unchanged == 0 {
		a.ui.Printf("damocles has no store with sectors of %s\n", sector.MinerString(miner))
	}
	if r.Entered == 0 && r.Unchanged > 0 {
		a.ui.Printf("the repo has all %d stores already: nothing was changed\n", r.Unchanged)
	}
	a.ui.StoreSummary("export stores", r)
	a.showUndo(&migrate.Report{Journal: r.Journal}, rollbackWords(miner, dir)...)
}
