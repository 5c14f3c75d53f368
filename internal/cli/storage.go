package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/migrate"
)

func newStorageCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "storage", Short: "Commands for the stores of sealed sectors"}
	cmd.AddCommand(newStorageAttachCommand(a), newStorageFindCommand(a), newStorageListCommand(a), newQuarantineCommand(a))
	return cmd
}

// homeStores are the stores of a home that is opened directly, and its
// configuration.
func (a *app) homeStores(side *damoclesSide) ([]migrate.HomeStore, damocles.Config, error) {
	cfg, err := damocles.LoadConfig(side.dir, a.env.Getenv)
	if err != nil {
		return nil, cfg, err
	}
	stores, err := migrate.HomeStores(cfg)
	return stores, cfg, err
}

// bytesSize writes a size as damocles does, with four digits: 63.42GiB.
func bytesSize(n uint64) string {
	size, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for size >= 1024 && len(units) > 1 {
		size, units = size/1024, units[1:]
	}
	return fmt.Sprintf("%.4g%s", size, units[0])
}
