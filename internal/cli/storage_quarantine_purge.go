package cli

import (
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

type purgeOptions struct {
	quarantineFlags
	chainFlags
	miner           string
	numbers         []string
	olderThan       time.Duration
	dryRun          bool
	reallyDoIt      bool
	withoutChain    bool
	withoutDamocles bool
}

// purgeAge lets yesterday's mistake still be there.
const purgeAge = 7 * 24 * time.Hour

func (o *purgeOptions) addFlags(f *pflag.FlagSet) {
	o.quarantineFlags.addFlags(f)
	o.chainFlags.addFlags(f)
	f.StringVar(&o.miner, "miner", "", "take the sectors of this miner only")
	f.StringArrayVar(&o.numbers, "numbers", nil, "take these sectors of the miner only, as 1,2 or 10-20; may be repeated")
	f.DurationVar(&o.olderThan, "older-than", purgeAge, "take what is in the quarantine for so long; 0 takes all")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be deleted, and change nothing")
	f.BoolVar(&o.reallyDoIt, "really-do-it", false, "pass this flag if you know what you are doing")
	f.BoolVar(&o.withoutChain, "without-chain", false, "do not ask the chain whether the sectors are there: you know that they are not")
	f.BoolVar(&o.withoutDamocles, "without-damocles", false, "do not look whether damocles counts the sectors as removed: you know that they are")
}

func newQuarantinePurgeCommand(a *app) *cobra.Command {
	var o purgeOptions
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Delete the files of removed sectors for good",
		Long: `Delete files from the quarantine. There is no way back.

What is there for less than a week stays, unless --older-than says otherwise. A
sector that is on chain stays, and one that damocles does not count as removed, or
does not know. Without a chain node, --without-chain says by name that you know
that the sectors are gone; without a damocles, --without-damocles does.

Only what was moved there is deleted. Anything else in the way is left, and listed.`,
		Example: `  damocles-manager util storage quarantine purge --chain /ip4/127.0.0.1/tcp/3453 --dry-run
  damocles-manager util storage quarantine purge --chain /ip4/127.0.0.1/tcp/3453 --miner f01000 --numbers 103 --really-do-it`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPurge(cmd.Context(), a, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *purgeOptions) selection() (*abi.ActorID, sector.Numbers, error) {
	var none sector.Numbers
	switch {
	case o.olderThan < 0:
		return nil, none, fault.BadUsage("0 takes all", "--older-than %s is below 0", o.olderThan)
	case o.miner == "" && len(o.numbers) > 0:
		return nil, none, fault.BadUsage("add --miner f01000", "--numbers needs the miner of the sectors")
	case !o.reallyDoIt && !o.dryRun:
		return nil, none, fault.BadUsage("--dry-run shows what would be done", "pass --really-do-it to confirm this action")
	case o.miner == "":
		return nil, none, nil
	}
	miner, err := sector.ParseMiner(o.miner)
	if err != nil {
		return nil, none, err
	}
	numbers, err := sector.ParseNumbers(o.numbers)
	return &miner, numbers, err
}
