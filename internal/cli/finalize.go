package cli

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

type finalizeOptions struct {
	chainFlags
	writeFlags
	miner        string
	reallyDoIt   bool
	withoutChain bool
}

func (o *finalizeOptions) addFlags(f *pflag.FlagSet) {
	o.chainFlags.addFlags(f)
	o.writeFlags.addFlags(f)
	f.StringVar(&o.miner, "miner", "", "the miner of the sectors")
	f.BoolVar(&o.reallyDoIt, "really-do-it", false, "pass this flag if you know what you are doing")
	f.BoolVar(&o.withoutChain, "without-chain", false, "do not ask the chain whether the sectors are there: you know that they are")
}

func newFinalizeCommand(a *app) *cobra.Command {
	var o finalizeOptions
	cmd := &cobra.Command{
		Use:   "finalize <sectorNum>...",
		Short: "Mark sectors that are on chain as finished",
		Long: `Move sectors that damocles still counts as being sealed, although they are on
chain, to the finished ones, so that they are exported.

The chain is asked whether each sector is there: by the running damocles-manager,
or, where the home is opened directly, through --chain. Without a node,
--without-chain says by name that you know it.`,
		Example: `  damocles-manager util sealer sectors finalize --miner f01000 --really-do-it 117`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fault.BadUsage("as in `"+cmd.CommandPath()+" --miner f01000 --really-do-it 117`", "no sector number given")
			}
			return runFinalize(cmd.Context(), a, o, args)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func runFinalize(ctx context.Context, a *app, o finalizeOptions, numbers []string) (err error) {
	if o.miner == "" {
		return fault.BadUsage("give it as in `finalize --miner f01000 …`", "finalize needs --miner: no miner given")
	}
	var ids []sector.ID
	for _, n := range numbers {
		id, err := parseID(o.miner, n)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if !o.reallyDoIt && !o.dryRun {
		return fault.BadUsage("--dry-run shows what would be done", "pass --really-do-it to confirm this action")
	}
	if err := a.checkPlan(&o.writeFlags); err != nil {
		return err
	}
	o.without = o.withoutChain
	node, err := a.openChain(ctx, o.chainFlags, ids[0].Miner, 1)
	if err != nil {
		return err
	}
	side, err := a.damoclesSide(ctx, access{write: !o.dryRun})
	if err != nil {
		return err
	}
	defer closing(&err, side)
	if side.daemon == nil && node == nil && !o.withoutChain {
		return fault.Refuse("give a chain node with --chain, or say with --without-chain that you know it",
			"whether the sectors are on chain is not known")
	}
	plan, planned, err := a.plan(o.writeFlags, migrate.PlanHeader{
		Command: "finalize", Miner: sector.MinerString(ids[0].Miner), Source: side.name(), Target: side.name(),
	})
	if err != nil {
		return err
	}
	defer planned(&err)
	f := migrate.Finalize{
		Target: a.finalizeTarget(side, ids[0].Miner, o.dryRun), Chain: node, DryRun: o.dryRun, Plan: plan,
		Observe: func(e migrate.Event) { a.showFinalized(e, len(ids)) },
	}
	report, err := f.Run(ctx, ids)
	if err != nil {
		return a.interrupted(report, err)
	}
	if a.json {
		a.ui.Summary("finalize", report)
	}
	a.showUndo(report, "import", "rollback", "--home", side.dir)
	return incomplete(report)
}

// finalizeTarget lets the running damocles-manager do it, which asks its own
// chain node first, or else works on the home.
func (a *app) finalizeTarget(side *damoclesSide, miner abi.ActorID, dryRun bool) migrate.FinalizeTarget {
	if side.daemon == nil {
		return migrate.NewHome(side.home, side.dir, "finalize", miner, a.fs)
	}
	return migrate.Finalizing{Daemon: a.daemonTarget(side, 1, "finalize", miner, dryRun)}
}

func (a *app) showFinalized(e migrate.Event, of int) {
	name := ""
	if of > 1 {
		name = e.ID() + ": "
	}
	if !a.json {
		for _, n := range e.Notes {
			a.ui.Notice(e.ID() + ": " + n.Text)
		}
	}
	switch {
	case a.json:
		a.ui.Sector(e)
	case e.Action == migrate.Write:
		a.ui.Printf("%sfinalize succeed\n", name)
	case e.Action == migrate.WouldWrite:
		a.ui.Printf("%swould be finalized\n", name)
	case e.Action == migrate.Unchanged:
		a.ui.Printf("%salready finalized\n", name)
	default:
		a.ui.Sector(e)
	}
}
