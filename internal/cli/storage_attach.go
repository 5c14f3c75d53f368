package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/store"
	"damocles-manager/internal/ui"
)

type attachOptions struct {
	writeFlags
	name          string
	strict        bool
	readOnly      bool
	allowSplitted bool
	pattern       string
}

func (o *attachOptions) addFlags(f *pflag.FlagSet) {
	o.writeFlags.addFlags(f)
	f.StringVar(&o.name, "name", "", "what damocles is to call the store (default: its path)")
	f.BoolVar(&o.strict, "strict", false, "take regular files only, no symbolic links")
	f.BoolVar(&o.readOnly, "read-only", false, "say in the section to add that nothing is to be written there")
	f.BoolVar(&o.allowSplitted, "allow-splitted", false, "take also sectors of which the cache directory, or the sealed file, is in another store")
	f.StringVar(&o.pattern, "pattern", "*", "the glob pattern for matching target sectors. e.g. s-t01000-1[0-9] or s-t01000-10001")
}

func newStorageAttachCommand(a *app) *cobra.Command {
	var o attachOptions
	cmd := &cobra.Command{
		Use:   "attach [flags] <storage path>",
		Short: "Attach a local storage path, and enter its sectors into the index",
		Long: `Enter the sectors that lie in a directory, as lotus-miner or damocles has put them
there, into damocles's index, without moving a file. A sector is entered if its
sealed file has the right size and its cache directory has every file it needs.

What the index has in another store that holds it, too, stays as it is, and is
listed. The section for sector-manager.cfg is printed where the directory is not
in it yet. damocles-manager has to be stopped.`,
		Example: `  damocles-manager util storage attach --name lotus-1 --dry-run /storage/lotus-1
  damocles-manager util storage attach --name lotus-1 --allow-splitted /storage/lotus-1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return fault.BadUsage("as in `"+cmd.CommandPath()+" /storage/lotus-1`", "attach takes one storage path")
		},
		RunE:              func(cmd *cobra.Command, args []string) error { return runAttach(cmd.Context(), a, o, args[0]) },
		ValidArgsFunction: offerDirectories(),
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&a.verbose, "verbose", "v", false, "print a line for every sector, and the log")
	return cmd
}

func runAttach(ctx context.Context, a *app, o attachOptions, path string) (err error) {
	if _, err := filepath.Match(o.pattern, ""); err != nil || strings.Contains(o.pattern, "/") {
		return fault.BadUsage("it is for names, as s-t01000-1[0-9]", "--pattern %q is not a glob pattern of names", o.pattern)
	}
	dir, err := a.expandHome(path)
	if err != nil {
		return err
	}
	if err := store.CheckDir(dir); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	if err := a.checkPlan(&o.writeFlags); err != nil {
		return err
	}
	side, err := a.damoclesSide(ctx, access{write: !o.dryRun, direct: true})
	if err != nil {
		return err
	}
	defer closing(&err, side)
	stores, cfg, err := a.homeStores(side)
	if err != nil {
		return err
	}
	as, configured, err := migrate.AttachAs(stores, dir, o.name)
	if err != nil {
		return err
	}
	as.Strict, as.ReadOnly = as.Strict || o.strict, as.ReadOnly || o.readOnly
	unreadable, err := a.unreadable(ctx, side.dir, dir)
	if err != nil {
		return err
	}
	plan, planned, err := a.plan(o.writeFlags, migrate.PlanHeader{Command: migrate.AttachCommand, Source: dir, Target: side.dir})
	if err != nil {
		return err
	}
	defer planned(&err)
	progress := &ui.Progress{}
	at := migrate.Attach{
		Home: migrate.NewHome(side.home, side.dir, migrate.AttachCommand, 0, a.fs), Store: store.Store{Name: as.Name, Dir: dir},
		Stores: stores, Pattern: o.pattern, Strict: as.Strict, Splitted: o.allowSplitted,
	}
	at.DryRun, at.Plan = o.dryRun, plan
	at.Observe = func(e migrate.Event) { progress.Add(1); a.ui.Sector(e) }
	var report *migrate.Report
	err = a.ui.While(ctx, "attaching", progress, func(ctx context.Context) error {
		var err error
		report, err = at.Run(ctx)
		return err
	})
	if err != nil {
		return a.interrupted(report, err)
	}
	return a.endAttach(side, attached{
		as: as, dir: dir, configured: configured, config: cfg.Path, unreadable: unreadable, report: report,
	})
}

// attached is what is told at the end of an attach.
type attached struct {
	as         migrate.HomeStore
	dir        string
	configured bool
	config     string
	unreadable int
	report     *migrate.Report
}

// storeLine is the store that was attached, in --json output.
type storeLine struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	Path       string `json:"path"`
	Strict     bool   `json:"strict"`
	ReadOnly   bool   `json:"readOnly"`
	Configured bool   `json:"configured"`
	Section    string `json:"section,omitempty"`
	Unreadable int    `json:"unreadable,omitempty"`
}

func (a *app) endAttach(side *damoclesSide, at attached) error {
	line := storeLine{
		Type: "store", Name: at.as.Name, Path: at.dir, Strict: at.as.Strict, ReadOnly: at.as.ReadOnly,
		Configured: at.configured, Unreadable: at.unreadable,
	}
	if !at.configured {
		var err error
		if line.Section, err = migrate.StoreSection(damocles.StoreConfig{
			Name: line.Name, Path: line.Path, Strict: line.Strict, ReadOnly: line.ReadOnly,
		}); err != nil {
			return err
		}
	}
	if err := a.ui.Object(line); err != nil {
		return err
	}
	if at.report.Empty() {
		a.ui.Printf("there is no sector in %s\n", at.dir)
	}
	a.ui.Summary(migrate.AttachCommand, at.report)
	if line.Section != "" {
		a.ui.Printf("add the section below into %s, so that damocles-manager knows the store:\n\n%s\n", at.config, line.Section)
	}
	a.showUndo(at.report, "import", "rollback", "--home", side.dir)
	if line.Unreadable > 0 {
		return errIncomplete
	}
	return incomplete(at.report)
}

// unreadable lists what the owner of the home, who runs damocles-manager, may
// not read in a store, and counts it.
func (a *app) unreadable(ctx context.Context, home, dir string) (n int, err error) {
	const shown = 20
	who, err := store.UserOf(home)
	if err != nil {
		return 0, err
	}
	err = store.Store{Dir: dir}.Unreadable(ctx, who, func(path, why string) error {
		if n++; n <= shown {
			a.ui.Notice(path + ": " + why)
		}
		return nil
	})
	if n > shown {
		a.ui.Notice(fmt.Sprintf("… and %d more paths that %s may not use", n-shown, who.Name))
	}
	if n > 0 {
		a.ui.Notice("hint:  the home belongs to " + who.Name + ": give the store to that user, or the permission, before damocles-manager is started")
	}
	return n, err
}
