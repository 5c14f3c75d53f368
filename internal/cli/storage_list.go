package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/migrate"
)

func newStorageListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the stores and the room in them",
		Long:    "List the stores that damocles knows, and how much room there is in each.",
		Example: "  damocles-manager util storage list",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStorageList(cmd.Context(), a) },
	}
}

// listedStore is a line of --json output. Sizes are in bytes.
type listedStore struct {
	Type        string       `json:"type"`
	Name        string       `json:"name"`
	Path        string       `json:"path"`
	FileSystem  string       `json:"fileSystem,omitempty"`
	Strict      bool         `json:"strict"`
	ReadOnly    bool         `json:"readOnly"`
	Weight      uint         `json:"weight"`
	Total       uint64       `json:"total"`
	Free        uint64       `json:"free"`
	Used        uint64       `json:"used"`
	UsedPercent float64      `json:"usedPercent"`
	Reserved    uint64       `json:"reserved"`
	ReservedBy  []listedRoom `json:"reservedBy,omitempty"`
	Error       string       `json:"error,omitempty"`
}

// listedRoom is the room that a sector has reserved.
type listedRoom struct {
	By   string    `json:"by"`
	Size uint64    `json:"size"`
	At   time.Time `json:"at"`
}

func runStorageList(ctx context.Context, a *app) (err error) {
	side, err := a.damoclesSide(ctx, access{})
	if err != nil {
		return err
	}
	defer closing(&err, side)
	var stores []listedStore
	if side.daemon != nil {
		stores, err = daemonStores(ctx, side.daemon)
	} else {
		stores, err = a.listHomeStores(ctx, side)
	}
	if err != nil {
		return err
	}
	if len(stores) == 0 {
		a.ui.Printf("No Stores\n")
	}
	broken := 0
	for _, s := range stores {
		if err := a.ui.Object(s); err != nil {
			return err
		}
		a.showStore(s)
		if s.Error != "" {
			broken++
		}
	}
	if err := a.ui.Object(countLine{"summary", len(stores)}); err != nil {
		return err
	}
	if broken > 0 {
		return errIncomplete
	}
	return nil
}

func daemonStores(ctx context.Context, daemon *damocles.Client) ([]listedStore, error) {
	infos, err := daemon.StoreList(ctx)
	var out []listedStore
	for _, info := range infos {
		out = append(out, storeOf(info, nil))
	}
	return out, err
}

func (a *app) listHomeStores(ctx context.Context, side *damoclesSide) ([]listedStore, error) {
	stores, cfg, err := a.homeStores(side)
	if err != nil {
		return nil, err
	}
	weights, err := cfg.Weights()
	if err != nil {
		return nil, err
	}
	summary, err := side.home.Reserved(ctx)
	if err != nil {
		return nil, err
	}
	reserved, err := damocles.Reservations(summary)
	if err != nil { // that holds nothing up: the rest is as good
		a.ui.Notice(err.Error())
	}
	var out []listedStore
	for _, s := range stores {
		info := damocles.StoreInfo{Name: s.Name, Path: s.Path, Strict: s.Strict, ReadOnly: s.ReadOnly, Weight: s.Weight}
		if !s.Scanned {
			info.Weight = weights[s.Name]
		}
		err := readStore(&info, s, reserved[s.Name])
		out = append(out, storeOf(info, err))
	}
	return out, nil
}

func readStore(info *damocles.StoreInfo, s migrate.HomeStore, reserved []damocles.Reservation) error {
	if s.PluginName != "" {
		return fmt.Errorf("it is kept by the plugin %q, which only a running damocles-manager can ask", s.PluginName)
	}
	return info.ReadDisk(reserved)
}

func storeOf(s damocles.StoreInfo, err error) listedStore {
	line := listedStore{
		Type: "store", Name: s.Name, Path: s.Path, FileSystem: s.Type, Strict: s.Strict, ReadOnly: s.ReadOnly, Weight: s.Weight,
		Total: s.Total, Free: s.Free, Used: s.Used, UsedPercent: s.UsedPercent, Reserved: s.Reserved,
	}
	for _, r := range s.ReservedBy {
		line.ReservedBy = append(line.ReservedBy, listedRoom{By: r.By, Size: r.Size, At: time.Unix(r.At, 0).UTC()})
	}
	if err != nil {
		line.Error = err.Error()
	}
	return line
}

func (a *app) showStore(s listedStore) {
	a.ui.Printf("%s:\n\tPath: %s\n", s.Name, s.Path)
	if s.Error != "" {
		a.ui.Printf("\tError: %s\n\n", s.Error)
		return
	}
	a.ui.Printf("\tType: %s\n\tReadOnly: %t\n\tWeight: %d\n", s.FileSystem, s.ReadOnly, s.Weight)
	a.ui.Printf("\tTotal: %s\n\tFree: %s\n\tUsed: %s\n\tUsedPercent: %.02f%%\n\tReserved: %s\n",
		bytesSize(s.Total), bytesSize(s.Free), bytesSize(s.Used), s.UsedPercent, bytesSize(s.Reserved))
	if len(s.ReservedBy) > 0 {
		a.ui.Printf("\tReserved Items:\n")
	}
	for i, r := range s.ReservedBy {
		a.ui.Printf("\t\t#%d: %s, %s, %s ago\n", i, r.By, bytesSize(r.Size), time.Since(r.At).Truncate(time.Second))
	}
	a.ui.Printf("\n")
}
