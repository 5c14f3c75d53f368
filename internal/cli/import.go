package cli

import (
	"cmp"
	"context"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

type importOptions struct {
	lotusFlags
	chainFlags
	writeFlags
	override          bool
	numbers           []string
	jobs              int
	includeTerminated bool
	origins           string
	withStores        bool
	writeConfig       bool
}

func (o *importOptions) addFlags(f *pflag.FlagSet) {
	o.lotusFlags.addFlags(f)
	o.chainFlags.addFlags(f)
	o.writeFlags.addFlags(f)
	f.BoolVar(&o.override, "override", false, "override the previous sector state")
	f.StringArrayVar(&o.numbers, "numbers", nil, "import the specified sector numbers only: 5, 1,2 or 10-20; may be repeated")
	f.IntVar(&o.jobs, "jobs", 16, "how many sectors are asked for at once")
	f.BoolVar(&o.includeTerminated, "include-terminated", false, "carry terminated sectors, too, as terminated")
	f.StringVar(&o.origins, "origins", "", "where the originals of the records are kept (default switching/origins in the home)")
	f.BoolVar(&o.withStores, "with-stores", false, "also make lotus-miner's storage paths stores of damocles, where they are: print their sections for sector-manager.cfg, and enter their sectors into the index")
	f.BoolVar(&o.writeConfig, "write-config", false, "with --with-stores: add the sections to sector-manager.cfg")
}

func newImportCommand(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Import sector infos from the given lotus-miner instance",
		Long: `Import the sectors of a lotus-miner into damocles.

The sectors come from the running lotus-miner (--api, MINER_API_INFO, or the api
and token files of the repo), or, where it is stopped, from its repo, which has
everything. They go through the running damocles-manager (--listen), or, where
none listens, into its home, which is made if it is missing.

Running it again changes nothing that is there and equal. What differs is listed
field by field, and written only with --override.`,
		Example: `  # what would happen
  damocles-manager util sealer sectors import --repo ~/.lotusminer --dry-run

  # as in the guide, from a running lotus-miner
  damocles-manager util sealer sectors import --api=$(cat ~/.lotusminer/api) --token-file ~/.lotusminer/token

  # the sectors' files stay where they are: damocles gets lotus-miner's storage paths
  damocles-manager util sealer sectors import --repo ~/.lotusminer --with-stores --write-config

  # some sectors, with a chain node that decides those in doubt
  damocles-manager util sealer sectors import --repo ~/.lotusminer --numbers 200-300 --chain /ip4/127.0.0.1/tcp/1234`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runImport(cmd.Context(), a, o) },
	}
	o.addFlags(cmd.Flags())
	cmd.AddCommand(newImportRollbackCommand(a))
	return cmd
}

func runImport(ctx context.Context, a *app, o importOptions) (err error) {
	numbers, err := sector.ParseNumbers(o.numbers)
	if err != nil {
		return err
	}
	if err := checkJobs(o.jobs); err != nil {
		return err
	}
	if err := a.checkPlan(&o.writeFlags); err != nil {
		return err
	}
	from, err := a.lotusSide(ctx, o.lotusFlags, o.jobs)
	if err != nil {
		return err
	}
	defer closing(&err, from)
	node, err := a.openChain(ctx, o.chainFlags, from.miner, o.jobs)
	if err != nil {
		return err
	}
	to, err := a.damoclesSide(ctx, access{write: !o.dryRun, create: true, jobs: o.jobs})
	if err != nil {
		return err
	}
	defer closing(&err, to)
	origins, err := a.openOrigins(to, o.origins, !o.dryRun)
	if err != nil {
		return err
	}
	defer closing(&err, origins)

	target := a.importTarget(to, from, o)
	stores, err := a.importStores(ctx, to, from, target, o)
	if err != nil {
		return err
	}
	plan, planned, err := a.plan(o.writeFlags, migrate.PlanHeader{
		Command: "import", Miner: sector.MinerString(from.miner), Source: from.name, Target: to.name(),
	})
	if err != nil {
		return err
	}
	defer planned(&err)

	progress := a.progress(ctx, from.source, from.miner, numbers)
	im := migrate.Import{
		Options:           a.runOptions(numbers, o.writeFlags, o.override, plan, progress),
		Source:            from.source,
		Target:            target,
		Origins:           origins,
		Chain:             node,
		IncludeTerminated: o.includeTerminated,
		After:             stores.after(plan),
	}
	im.Miner = from.miner
	stores.watch(&im.Options)
	im.Jobs, im.Chunk = pace(o.jobs, from.remote || node != nil || to.daemon != nil)
	var report *migrate.Report
	err = a.ui.While(ctx, "importing", progress, func(ctx context.Context) error {
		var err error
		report, err = im.Run(ctx)
		return err
	})
	if err != nil {
		return a.interrupted(report, err)
	}
	left := stores.show()
	a.showImport(to, from, report)
	return cmp.Or(left, incomplete(report))
}

func (a *app) importTarget(to *damoclesSide, from *lotusSide, o importOptions) migrate.ImportTarget {
	switch {
	case to.daemon != nil:
		return a.daemonTarget(to, o.jobs, "import", from.miner, o.dryRun)
	case to.home != nil:
		return migrate.NewHome(to.home, to.dir, "import", from.miner, a.fs)
	default:
		return migrate.NoHome{}
	}
}

// daemonTarget keeps the journal of what goes through a running
// damocles-manager in its home, where that is on this machine.
func (a *app) daemonTarget(to *damoclesSide, jobs int, command string, miner abi.ActorID, dryRun bool) *migrate.Daemon {
	journal := ""
	if to.switchingDir() != "" {
		journal = migrate.JournalDir(to.dir)
	} else if !dryRun {
		a.ui.Notice("there is no home on this machine: no journal is kept, and this cannot be undone with a command")
	}
	return migrate.NewDaemon(to.daemon, jobs, journal, to.name(), command, miner, a.fs)
}

func (a *app) showImport(to *damoclesSide, from *lotusSide, r *migrate.Report) {
	if r.Empty() {
		a.ui.Printf("lotus-miner has no sectors\n")
	}
	if r.AllThere() {
		a.ui.Printf("damocles has all %d sectors already, equal: nothing was changed\n", r.Unchanged)
	}
	if from.remote && r.Written > 0 {
		a.ui.Info("lotus-miner's API leaves out fields that its repo has (" + lackingOverRPC() +
			"); stop it and import with --repo to carry them")
	}
	a.ui.Summary("import", r)
	if r.Numbers.Last != nil {
		a.ui.Printf("next sector number in damocles: above %d\n", *r.Numbers.Last)
	}
	if r.Numbers.ConfigLines != "" {
		a.ui.Printf("the counter of a running damocles-manager cannot be set; see that its sector-manager.cfg says for this miner:\n%s", r.Numbers.ConfigLines)
	}
	a.showUndo(r, "import", "rollback", "--home", to.dir)
}
