package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

type metadataOptions struct {
	chainFlags
	writeFlags
	destRepo       string
	nextNumber     uint64
	nextGiven      bool
	onlyNextNumber bool
	override       bool
	keepStates     bool
	lowerNumber    bool
	origins        string
	jobs           int
}

func (o *metadataOptions) addFlags(f *pflag.FlagSet) {
	o.chainFlags.addFlags(f)
	o.writeFlags.addFlags(f)
	f.BoolVar(&o.without, "without-chain", false, "do not ask a chain node, even if FULLNODE_API_INFO names one")
	f.StringVar(&o.destRepo, "dest-repo", "~/.lotusminer", "the lotus-miner repo to write into")
	f.Uint64Var(&o.nextNumber, "next-number", 0, "count on above this number, if it is higher than every number in use")
	f.BoolVar(&o.onlyNextNumber, "only-next-number", false, "only update the next sector number")
	f.BoolVar(&o.override, "override", false, "write over records that the repo has and that differ")
	f.BoolVar(&o.keepStates, "keep-states", false, "return sectors in the state that lotus-miner had them in, even one that it acts on at its start")
	f.BoolVar(&o.lowerNumber, "lower-number", false, "let --next-number lower the repo's counter, though never below a sector")
	f.StringVar(&o.origins, "origins", "", "where the originals of the records are kept (default switching/origins in the home)")
	f.IntVar(&o.jobs, "jobs", 16, "how many sectors are asked for at once")
}

func newExportMetadataCommand(a *app, ex *exportOptions) *cobra.Command {
	var o metadataOptions
	cmd := &cobra.Command{
		Use:   "metadata",
		Short: "Export metadata of the sectors",
		Long: `Write the finished sectors of a miner from damocles into a lotus-miner repo, and
make lotus-miner count on above every sector number in use.

lotus-miner has to be stopped. The repo is backed up first, in lotus-miner's own
format, to backups in it; everything is written in one transaction, whole or not
at all, and read back. Running it again changes nothing that is there and equal.`,
		Example: `  # what would happen
  damocles-manager util sealer sectors export --miner f01000 metadata --dest-repo /root/.lotusminer --dry-run

  damocles-manager util sealer sectors export --miner f01000 metadata --dest-repo /root/.lotusminer

  # only the number; neither home nor daemon is needed
  damocles-manager util sealer sectors export --miner f01000 metadata --dest-repo /root/.lotusminer \
    --next-number 1000 --only-next-number`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.nextGiven = cmd.Flags().Changed("next-number")
			return runExportMetadata(cmd.Context(), a, *ex, o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *metadataOptions) next() *uint64 {
	if !o.nextGiven {
		return nil
	}
	return &o.nextNumber
}

func (o *metadataOptions) check() error {
	switch {
	case o.onlyNextNumber && !o.nextGiven:
		return fault.BadUsage("give the highest number in use, as in --next-number 1000",
			"flag next-number must be set when only update the value of it")
	case o.lowerNumber && !o.nextGiven:
		return fault.BadUsage("give --next-number, too", "--lower-number needs the number to lower to")
	case o.nextGiven && o.nextNumber > abi.MaxSectorNumber:
		return fault.BadUsage(fmt.Sprintf("give a number from 0 to %d", uint64(abi.MaxSectorNumber)),
			"--next-number \"%d\" is not a sector number", o.nextNumber)
	}
	return checkJobs(o.jobs)
}

func runExportMetadata(ctx context.Context, a *app, ex exportOptions, o metadataOptions) (err error) {
	miner, err := ex.minerID()
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if err := a.checkPlan(&o.writeFlags); err != nil {
		return err
	}
	node, err := a.metadataChain(ctx, o, miner)
	if err != nil {
		return err
	}
	var from *damoclesSide
	if !o.onlyNextNumber { // it is opened first, since that changes nothing
		if from, err = a.damoclesSide(ctx, access{jobs: o.jobs}); err != nil {
			return err
		}
		defer closing(&err, from)
	}
	dir, err := a.findDestRepo(ctx, o.destRepo, miner, !o.dryRun)
	if err != nil {
		return err
	}
	repo, err := a.openDestRepo(ctx, dir, miner, !o.dryRun)
	if err != nil {
		return err
	}
	defer closing(&err, repo)
	target := migrate.NewRepo(repo, dir, "export", miner, a.fs)
	if o.onlyNextNumber {
		return a.exportNumber(ctx, target, dir, miner, node, o)
	}
	origins, err := a.openOrigins(from, o.origins, !o.dryRun)
	if err != nil {
		return err
	}
	defer closing(&err, origins)
	plan, planned, err := a.plan(o.writeFlags, migrate.PlanHeader{
		Command: "export", Miner: sector.MinerString(miner), Source: from.name(), Target: dir,
	})
	if err != nil {
		return err
	}
	defer planned(&err)

	source := a.exportSource(from, miner, o.jobs)
	progress := a.progress(ctx, source, miner, sector.Numbers{})
	run := migrate.Export{
		Options: a.runOptions(sector.Numbers{}, o.writeFlags, o.override, plan, progress),
		Source:  source, Target: target, Origins: origins, Chain: node,
		KeepStates: o.keepStates, Next: o.next(), LowerNumber: o.lowerNumber,
	}
	run.Miner = miner
	run.Jobs, run.Chunk = pace(o.jobs, node != nil)
	var report *migrate.Report
	err = a.ui.While(ctx, "exporting", progress, func(ctx context.Context) error {
		var err error
		report, err = run.Run(ctx)
		return err
	})
	if err != nil {
		return a.interrupted(nil, err) // the repo is written whole or not at all
	}
	a.showExport(dir, miner, report, o)
	return incomplete(report)
}

// metadataChain opens the chain node. The number alone is not lowered without one: the
// repo may lack the sector that has it, and damocles is not asked.
func (a *app) metadataChain(ctx context.Context, o metadataOptions, miner abi.ActorID) (migrate.Chain, error) {
	node, err := a.openChain(ctx, o.chainFlags, miner, o.jobs)
	if err == nil && node == nil && o.onlyNextNumber && o.lowerNumber {
		err = fault.Refuse("give a chain node with --chain, or leave --only-next-number out: then damocles is asked, too",
			"whether the numbers above %d are in use is not known", o.nextNumber)
	}
	return node, err
}

// findDestRepo finds a repo that belongs to the miner. A repo of another one is
// refused here, before it is opened for writing, which rearranges its files.
func (a *app) findDestRepo(ctx context.Context, path string, miner abi.ActorID, write bool) (dir string, err error) {
	if dir, err = a.expandHome(path); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil && write {
		if err := durable.CheckOwner(dir); err != nil {
			return "", err
		}
	}
	repo, err := a.openDestRepo(ctx, dir, miner, false)
	if err != nil {
		return "", err
	}
	return dir, repo.Close()
}

func (a *app) openDestRepo(ctx context.Context, dir string, miner abi.ActorID, write bool) (*lotus.Repo, error) {
	repo, err := lotus.OpenRepo(ctx, dir, lotus.Options{Write: write, FS: a.fs, Log: a.log})
	if err != nil {
		return nil, err
	}
	owner, err := repo.Miner()
	if err == nil && owner != miner {
		err = fault.Refuse("name the repo of "+sector.MinerString(miner)+" with --dest-repo, or the right --miner",
			"the repo %s belongs to %s, not to %s", dir, sector.MinerString(owner), sector.MinerString(miner))
	}
	if err != nil {
		closing(&err, repo)
		return nil, err
	}
	if log := lotus.MetadataLog(dir); write && log != "" {
		a.ui.Notice("lotus-miner keeps a log of its metadata in " + log + ", which does not get what is written here: " +
			"move its files away before you start lotus-miner, which then begins a new log with all that there is")
	}
	return repo, nil
}

func (a *app) exportSource(from *damoclesSide, miner abi.ActorID, jobs int) migrate.ExportSource {
	if from.daemon != nil {
		return migrate.NewDaemon(from.daemon, jobs, "", from.addr, "export", miner, a.fs)
	}
	return migrate.NewHome(from.home, from.dir, "export", miner, a.fs)
}

// exportNumber sets the number alone.
func (a *app) exportNumber(ctx context.Context, target *migrate.Repo, dir string, miner abi.ActorID, node migrate.Chain, o metadataOptions) (err error) {
	plan, planned, err := a.plan(o.writeFlags, migrate.PlanHeader{
		Command: "export", Miner: sector.MinerString(miner), Source: "--next-number", Target: dir,
	})
	if err != nil {
		return err
	}
	defer planned(&err)
	report, err := migrate.SetNumber(ctx, target, miner, node, migrate.SetNumberOptions{
		Next: o.nextNumber, Lower: o.lowerNumber, DryRun: o.dryRun, Plan: plan,
	})
	if err != nil {
		return a.interrupted(nil, err) // the repo is written whole or not at all
	}
	a.showNumber(dir, miner, report, o)
	if a.json {
		a.ui.Summary("export", report)
	}
	return nil
}

// showExport ends with the lines that the original ends with.
func (a *app) showExport(dir string, miner abi.ActorID, r *migrate.Report, o metadataOptions) {
	if r.Empty() {
		a.ui.Printf("damocles has no sectors of %s\n", sector.MinerString(miner))
	}
	if r.AllThere() {
		a.ui.Printf("the repo has all %d sectors already, equal: nothing was changed\n", r.Unchanged)
	}
	a.ui.Summary("export", r)
	a.ui.Printf("export failure number: %d\n", r.Failed+r.Conflicts)
	a.showNumber(dir, miner, r, o)
}

func (a *app) showNumber(dir string, miner abi.ActorID, r *migrate.Report, o metadataOptions) {
	n := r.Numbers
	if o.nextGiven {
		a.ui.Printf("next sector number: %d\n", o.nextNumber)
		if n.Last != nil && *n.Last > o.nextNumber {
			a.ui.Info("a higher number is in use, and stays")
		}
	}
	if n.GapsClosed > 0 {
		a.ui.Printf("free numbers below that lotus-miner will leave out: %d\n", n.GapsClosed)
	}
	switch {
	case n.Last == nil:
		a.ui.Printf("no sector number is in use: the counter was left alone\n")
	case n.Written && o.dryRun:
		a.ui.Printf("would update next sector number: %d\n", *n.Last)
	case n.Written:
		a.ui.Printf("update next sector number: %d\n", *n.Last)
	default:
		a.ui.Printf("next sector number is %d already\n", *n.Last)
	}
	a.showUndo(r, rollbackWords(miner, dir)...)
}
