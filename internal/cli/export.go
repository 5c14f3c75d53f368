package cli

import (
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// exportOptions are shared by the commands below export.
type exportOptions struct {
	miner string
}

func (o *exportOptions) minerID() (abi.ActorID, error) {
	if o.miner == "" {
		return 0, fault.BadUsage("give it as in `export --miner f01000 metadata …`", "export needs --miner")
	}
	return sector.ParseMiner(o.miner)
}

func newExportCommand(a *app) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:     "export",
		Aliases: []string{"export-to-lotus"},
		Short:   "Commands for export sector infos to the given lotus-miner instance",
	}
	cmd.PersistentFlags().StringVar(&o.miner, "miner", "", "the miner whose sectors are exported")
	cmd.AddCommand(newExportMetadataCommand(a, &o), newExportRollbackCommand(a, &o))
	cmd.AddCommand(newExportFilesCommand(a, &o), newExportStoresCommand(a, &o))
	return cmd
}
