package cli

import (
	"context"
	"math"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/transfer"
)

type filesOptions struct {
	chainFlags
	writeFlags
	destPath     string
	numbers      []string
	reserve      bool
	jobs         int
	bwlimit      string
	verify       string
	verifyOnly   bool
	trustSize    bool
	withKey      bool
	withUnsealed bool
}

func (o *filesOptions) addFlags(f *pflag.FlagSet) {
	o.chainFlags.addFlags(f)
	f.BoolVar(&o.without, "without-chain", false, "do not ask a chain node, even if FULLNODE_API_INFO names one")
	o.writeFlags.addFlags(f)
	f.StringVar(&o.destPath, "dest-path", "", "the store to export the files to; made if it is missing")
	f.StringArrayVar(&o.numbers, "numbers", nil, "export the specified sector numbers only: 5, 1,2 or 10-20; may be repeated")
	f.BoolVar(&o.reserve, "reserve", false, "reserve source files: copy them, and leave them where they are")
	f.IntVar(&o.jobs, "jobs", 5, "how many sectors at once (two at most on a spinning disk)")
	f.StringVar(&o.bwlimit, "bwlimit", "", "copy no faster than this in all, as 200MiB (a second)")
	f.StringVar(&o.verify, "verify", "", "how a copy is verified: size, or hash, which reads it back (default hash, size with --reserve)")
	f.BoolVar(&o.verifyOnly, "verify-only", false, "copy nothing: hold what is there against the manifest of an earlier export")
	f.BoolVar(&o.trustSize, "trust-size", false, "take a file that is there and of equal size for equal, without reading it")
	f.BoolVar(&o.withKey, "with-key", false, "take also the replica that an upgraded sector was sealed with")
	f.BoolVar(&o.withUnsealed, "with-unsealed", false, "take also the unsealed copies")
}

func newExportFilesCommand(a *app, ex *exportOptions) *cobra.Command {
	var o filesOptions
	cmd := &cobra.Command{
		Use:   "files",
		Short: "Export the files of the sectors",
		Long: `Move the files of a miner's finished sectors to another store, or copy them with
--reserve: replica and cache directory, those of the update for an upgraded
sector. Where it may be either, as after an import, and no chain node is asked,
both come along.

Within a file system a move renames. Across file systems it copies, verifies, and
removes the source only when the copy is whole, synced, read back, and known to
damocles's index. Nothing is ever overwritten. After any interruption the same
command goes on where it stopped. To move, damocles-manager has to be stopped.

If the target can use the stores where they are, better attach them in place:
see export stores.`,
		Example: `  # copy, keep the source
  damocles-manager util sealer sectors export --miner t04079 files --dest-path /storage-nfs-4/dest/t04079 --numbers 160 --reserve

  # what a move would do
  damocles-manager util sealer sectors export --miner t04079 files --dest-path /storage-nfs-4/dest/t04079 --dry-run`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runExportFiles(cmd.Context(), a, *ex, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// check finds what is wrong with the flags, before anything is opened.
func (o *filesOptions) check() error {
	switch {
	case o.destPath == "":
		return fault.BadUsage("give it as in `export --miner f01000 files --dest-path /storage/dest`", "export files needs --dest-path")
	case o.verify != "" && o.verify != string(transfer.VerifySize) && o.verify != string(transfer.VerifyHash):
		return fault.BadUsage("write --verify size or --verify hash", "--verify %q is no way to verify", o.verify)
	case o.verifyOnly && (o.reserve || o.dryRun || o.trustSize):
		return fault.BadUsage("leave the other flags out", "--verify-only changes nothing: it goes with none of --reserve, --dry-run and --trust-size")
	case o.jobs < 1:
		return fault.BadUsage("give --jobs a number from 1 on", "--jobs \"%d\": there is nobody to do the work", o.jobs)
	}
	return nil
}

// filesMemory is what an export of files may take: the files themselves pass by,
// and what is held of a sector is small, so that more would only be garbage.
const filesMemory = 88 << 20

// frugal lowers the limit that the program has set itself, if it has, until the
// function that it returns is called.
func frugal() (done func()) {
	was := debug.SetMemoryLimit(-1)
	if was == math.MaxInt64 || was <= filesMemory {
		return func() {}
	}
	debug.SetMemoryLimit(filesMemory)
	return func() { debug.SetMemoryLimit(was) }
}

// moves says whether files leave their stores.
func (o *filesOptions) moves() bool { return !o.reserve && !o.verifyOnly }

func runExportFiles(ctx context.Context, a *app, ex exportOptions, o filesOptions) (err error) {
	defer frugal()()
	miner, err := ex.minerID()
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	numbers, err := sector.ParseNumbers(o.numbers)
	if err != nil {
		return err
	}
	limit, err := parseRate(o.bwlimit)
	if err != nil {
		return err
	}
	dest, err := a.expandHome(o.destPath)
	if err != nil {
		return err
	}
	if err := a.checkPlan(&o.writeFlags); err != nil {
		return err
	}
	node, err := a.openChain(ctx, o.chainFlags, miner, o.jobs)
	if err != nil {
		return err
	}
	writes := o.moves() && !o.dryRun
	from, err := a.damoclesSide(ctx, access{write: writes, direct: writes, jobs: o.jobs})
	if err != nil {
		return err
	}
	defer closing(&err, from)
	run := &filesRun{app: a, options: o, miner: miner, from: from, limit: limit}
	if err := run.open(ctx, dest); err != nil {
		return err
	}
	plan, planned, err := a.plan(o.writeFlags, migrate.PlanHeader{
		Command: migrate.FilesCommand, Miner: sector.MinerString(miner), Source: from.name(), Target: dest,
	})
	if err != nil {
		return err
	}
	defer planned(&err)
	if err := run.choose(ctx, numbers, node, plan); err != nil {
		return run.failed(err)
	}
	return run.carry(ctx)
}
