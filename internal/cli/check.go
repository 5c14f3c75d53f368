package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/audit"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/ui"
)

type checkOptions struct {
	chainFlags
	lotusFlags
	miner       string
	numbers     []string
	stores      []string
	window      bool
	winning     bool
	challenges  int
	full        bool
	jobs        int
	timeout     time.Duration
	resume      string
	sealingDone bool
}

func (o *checkOptions) addFlags(f *pflag.FlagSet) {
	o.chainFlags.addFlags(f)
	f.BoolVar(&o.without, "without-chain", false, "do not ask a chain node, even if FULLNODE_API_INFO names one")
	f.StringVar(&o.miner, "miner", "", "check the sectors of this miner only")
	f.StringArrayVar(&o.numbers, "numbers", nil, "check the specified sector numbers only: 5, 1,2 or 10-20; may be repeated")
	f.StringVar(&o.repo, "repo", "", "check the sectors of this lotus-miner repo, in the paths of its storage.json")
	f.StringVar(&o.api, "api", "", "check the sectors of the lotus-miner at this address, in its storage paths, which have to be on this machine")
	f.StringVar(&o.token, "token", "", "the API token of lotus-miner (--token-file keeps it out of the process list)")
	f.StringVar(&o.tokenFile, "token-file", "", "a file with the API token of lotus-miner")
	f.StringArrayVar(&o.stores, "store", nil, "look for the files in this store; may be repeated. Without --repo, --api, --home or --listen, "+
		"every sector in these stores is checked")
	f.BoolVar(&o.window, "window", false, "check the 10 challenges of a Window PoSt (the default)")
	f.BoolVar(&o.winning, "winning", false, "check the 66 challenges of a Winning PoSt")
	f.IntVar(&o.challenges, "challenges", 0, "check so many challenges, spread over the sector")
	f.BoolVar(&o.full, "full", false, "read everything: rebuild the tree from the replica and compare every stored node")
	f.IntVar(&o.jobs, "jobs", 4, "how many sectors at once")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long a sector's files may take to answer (with --full: a single read)")
	f.StringVar(&o.resume, "resume", "", "keep the results in this file, and take those of sectors that have not changed from it")
	f.BoolVar(&o.sealingDone, "sealing-done", false, "only list the sectors that are still being sealed, in damocles and, with --repo or --api, in lotus-miner")
}

func newCheckCommand(a *app) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check that sectors can be proven, and that chain, metadata and disk agree",
		Long: `Check that the files of every sector that is to be proven would give a PoSt that
the chain takes, and, with a chain node, hold chain, metadata and disk against
each other. Nothing is created or changed but the file of --resume.

The sectors are those of damocles (its running daemon, or its home), with --repo
or --api those of a lotus-miner, and with --store alone whatever lies in these
stores. The CommR of each comes from the chain where a node is given, else from
the metadata. Where a sector lies in more than one store, and no index says which
is meant, every copy has to be good.

Challenges read a small part of a sector: they find files that are missing,
truncated, swapped, zeroed or of another sector, and large damage. Only --full
finds a flipped bit.

Exit code 4 says that something cannot be proven or does not agree, 3 that
something could not be decided. --sealing-done refuses (5) while anything is
still being sealed.`,
		Example: `  # before a switch: is all sealing done?
  damocles-manager util sealer sectors check --sealing-done --repo ~/.lotusminer

  # every sector of damocles, held against the chain
  damocles-manager util sealer sectors check --miner f01000 --chain /ip4/127.0.0.1/tcp/1234/http

  # the files of lotus-miner's sectors at another place, all of them, and again after an interruption
  damocles-manager util sealer sectors check --repo ~/.lotusminer --store /storage/new --full --resume results.jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			if o.sealingDone {
				return runSealingDone(cmd.Context(), a, o)
			}
			return runCheck(cmd.Context(), a, o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// check finds what is wrong with the flags, before anything is opened.
func (o *checkOptions) check(f *pflag.FlagSet) error {
	var depth []string
	for _, name := range []string{"window", "winning", "challenges", "full"} {
		if f.Changed(name) {
			depth = append(depth, "--"+name)
		}
	}
	switch {
	case len(depth) > 1:
		return fault.BadUsage("give one of them; --full includes the others", "%s cannot be given together", strings.Join(depth, " and "))
	case f.Changed("challenges") && (o.challenges < 1 || o.challenges > 1e6):
		return fault.BadUsage("give a number from 1 to 1000000; --full reads everything", "--challenges %d is out of range", o.challenges)
	case o.jobs < 1 || o.jobs > maxJobs:
		return fault.BadUsage("the default, 4, suits most; give a number from 1 to 1024", "--jobs %d is out of range", o.jobs)
	case o.timeout <= 0:
		return fault.BadUsage("write it as 90s or 2m", "--timeout %s leaves no time", o.timeout)
	case o.sealingDone && (len(depth) > 0 || len(o.stores) > 0 || o.resume != ""):
		return fault.BadUsage("leave the other flags out, and run check a second time with them", "--sealing-done looks at the metadata only")
	}
	for _, dir := range o.stores {
		if dir == "" {
			return fault.BadUsage("give it a value, or leave it out; if it comes from a variable or a file, that is empty", "--store is empty")
		}
	}
	return nil
}

func (o *checkOptions) plan() (audit.Plan, error) {
	p := audit.Plan{Kind: audit.Window}
	switch {
	case o.full:
		p.Kind = audit.Full
	case o.winning:
		p.Kind = audit.Winning
	case o.challenges > 0:
		p.Kind, p.Challenges = audit.Challenges, o.challenges
	}
	_, err := rand.Read(p.Randomness[:]) // each run looks at other places
	return p, err
}

// selection reads --miner and --numbers.
func (o *checkOptions) selection() (miner *abi.ActorID, numbers sector.Numbers, err error) {
	if o.miner != "" {
		id, err := sector.ParseMiner(o.miner)
		if err != nil {
			return nil, numbers, err
		}
		miner = &id
	}
	numbers, err = sector.ParseNumbers(o.numbers)
	return miner, numbers, err
}

func runCheck(ctx context.Context, a *app, o checkOptions) (err error) {
	var opt audit.Options
	if opt.Miner, opt.Numbers, err = o.selection(); err != nil {
		return err
	}
	if opt.Plan, err = o.plan(); err != nil {
		return err
	}
	node, err := a.dialChain(ctx, o.chainFlags, o.jobs)
	if err != nil {
		return err
	}
	if node != nil {
		_, due, err := node.HeadTime(ctx)
		if err != nil {
			return err
		}
		opt.Chain, opt.Behind = node, time.Since(due)
	}
	opt.Jobs, opt.Timeout, opt.Workers = o.jobs, o.timeout, runtime.GOMAXPROCS(0)
	from, err := a.checkSource(ctx, o, &opt)
	if err != nil {
		return err
	}
	defer closing(&err, from)
	if o.resume != "" {
		if opt.Resume, err = a.openResume(ctx, o.resume, &opt); err != nil {
			return err
		}
		defer closing(&err, opt.Resume)
	}
	shown := &checkShown{app: a}
	p := &ui.Progress{}
	opt.Observer, opt.Total, opt.Done = shown, func(n int) { p.SetTotal(int64(n)) }, func() { p.Add(1) }
	var sum *audit.Summary
	err = a.ui.While(ctx, "checking", p, func(ctx context.Context) error {
		sum, err = audit.Run(ctx, opt)
		return err
	})
	if err != nil {
		return err
	}
	return shown.end(sum)
}

// openResume opens the file of results, which must not lie in a store.
func (a *app) openResume(ctx context.Context, path string, opt *audit.Options) (*audit.Resume, error) {
	path, err := a.expandHome(path)
	if err != nil {
		return nil, err
	}
	for _, s := range opt.Stores {
		if rel, err := filepath.Rel(s.Dir, path); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return nil, fault.BadUsage("name a file elsewhere: a check changes nothing in the stores", "--resume %s lies in the store %s", path, s.Dir)
		}
	}
	r, err := audit.OpenResume(ctx, a.fs, path)
	if err == nil && r.Len() > 0 {
		a.ui.Info("taking over the results of unchanged sectors from " + path)
	}
	return r, err
}

// verdictError is what the exit code is made of.
func verdictError(v post.Verdict) error {
	switch v {
	case post.NotProvable:
		return errCheck
	case post.Undecided:
		return errIncomplete
	case post.Provable:
		return nil
	}
	return errors.New("a verdict that nobody knows")
}
