package cli

import (
	"cmp"
	"context"
	"errors"
	"io/fs"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

func newStorageFindCommand(a *app) *cobra.Command {
	var upgrade bool
	cmd := &cobra.Command{
		Use:   "find [flags] <minerID> <sectorNum>",
		Short: "Find a sector in the stores",
		Long: `Say in which stores damocles looks for a sector's sealed file and cache directory,
whether it knows these stores, and, where they are on this machine, whether the
files are there.`,
		Example: "  damocles-manager util storage find f01000 103",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return fault.BadUsage("as in `"+cmd.CommandPath()+" f01000 103`", "find takes a miner and a sector number")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0], args[1])
			if err != nil {
				return err
			}
			return runFind(cmd.Context(), a, id, upgrade)
		},
	}
	cmd.Flags().BoolVar(&upgrade, "upgrade", false, "find the update files of an upgraded sector")
	return cmd
}

// location is where damocles looks for a sector, a line of --json output.
type location struct {
	Type    string      `json:"type"`
	Miner   string      `json:"miner"`
	Number  uint64      `json:"number"`
	Upgrade bool        `json:"upgrade"`
	Files   []foundFile `json:"files"`
}

// foundFile is one of its files: the replica or the cache directory.
type foundFile struct {
	Kind  string `json:"kind"`
	Store string `json:"store"`
	// Known is whether damocles has such a store.
	Known bool   `json:"known"`
	Path  string `json:"path,omitempty"`
	// There is nil where it was not looked.
	There  *bool  `json:"there,omitempty"`
	Reason string `json:"reason,omitempty"`
}

func runFind(ctx context.Context, a *app, id sector.ID, upgrade bool) (err error) {
	side, err := a.damoclesSide(ctx, access{})
	if err != nil {
		return err
	}
	defer closing(&err, side)
	sealed, cache, found, err := side.index(ctx, id, upgrade)
	if err != nil {
		return err
	}
	if !found {
		return side.notFound(ctx, id, upgrade)
	}
	at := location{Type: "location", Miner: sector.MinerString(id.Miner), Number: uint64(id.Number), Upgrade: upgrade}
	kinds := []sector.FileKind{sector.Sealed, sector.Cache}
	if upgrade {
		kinds = []sector.FileKind{sector.Update, sector.UpdateCache}
	}
	look, err := a.storeFinder(ctx, side)
	if err != nil {
		return err
	}
	for i, name := range []string{sealed, cache} {
		f, err := look(name, kinds[i], id)
		if err != nil {
			return err
		}
		at.Files = append(at.Files, f)
	}
	a.ui.Printf("sector %s located, sealed file in %q, cache dir in %q\n", id, sealed, cache)
	return a.showLocation(at)
}

func (s *damoclesSide) index(ctx context.Context, id sector.ID, upgrade bool) (sealed, cache string, found bool, err error) {
	if s.daemon != nil {
		return s.daemon.Index(ctx, abi.SectorID(id), upgrade)
	}
	return s.home.Index(ctx, abi.SectorID(id), upgrade)
}

// notFound looks at the other pair of files for the hint.
func (s *damoclesSide) notFound(ctx context.Context, id sector.ID, upgrade bool) error {
	hint, what := "enter the sectors of a store with: damocles-manager util storage attach <storage path>", "sector"
	if upgrade {
		what = "update of sector"
	}
	if _, _, other, err := s.index(ctx, id, !upgrade); err == nil && other {
		hint = "its update files are in the index: find them with --upgrade"
		if upgrade {
			hint = "its first files are in the index: find them without --upgrade"
		}
	}
	return fault.New(hint, "the %s %s is in no store that the index names", what, id)
}

// storeFinder returns what looks for a file in the store of a name.
func (a *app) storeFinder(ctx context.Context, side *damoclesSide) (func(string, sector.FileKind, sector.ID) (foundFile, error), error) {
	if side.daemon != nil {
		return func(name string, kind sector.FileKind, id sector.ID) (foundFile, error) {
			f := foundFile{Kind: kind.String(), Store: name}
			info, known, err := side.daemon.StoreBasicInfo(ctx, name)
			if f.Known = known; err != nil || !known {
				return f, err
			}
			f.at(store.Store{Name: name, Dir: info.Path}, kind, id, side.ours)
			return f, nil
		}, nil
	}
	stores, _, err := a.homeStores(side)
	return func(name string, kind sector.FileKind, id sector.ID) (foundFile, error) {
		f := foundFile{Kind: kind.String(), Store: name}
		at, known := migrate.StoreNamed(stores, name)
		if f.Known = known; known {
			f.at(at.Store(), kind, id, at.PluginName == "")
		}
		return f, nil
	}, err
}

// at looks for the file where the store is on this machine.
func (f *foundFile) at(s store.Store, kind sector.FileKind, id sector.ID, local bool) {
	f.Path = s.Path(kind, id)
	if !local {
		return
	}
	var err error
	if kind.IsDir() {
		err = store.Check{}.Cache(s, kind, id)
	} else {
		_, err = store.Check{}.Replica(s, kind, id)
	}
	there := err == nil
	f.There = &there
	switch wrong, ok := errors.AsType[*store.WrongFileError](err); {
	case ok:
		f.Reason = wrong.Reason
	case errors.Is(err, fs.ErrNotExist):
		f.Reason = "is not there"
	case err != nil:
		f.Reason = err.Error()
	}
}

func (a *app) showLocation(at location) error {
	whole := true
	said := map[string]bool{}
	for _, f := range at.Files {
		whole = whole && f.Known && (f.There == nil || *f.There)
		if said[f.Store] {
			continue
		}
		said[f.Store] = true
		if f.Known {
			a.ui.Printf("store instance exists\t{\"instance\": %q}\n", f.Store)
		} else {
			a.ui.Printf("store instance not found, check your config file\t{\"instance\": %q}\n", f.Store)
		}
	}
	for _, f := range at.Files {
		if f.There != nil {
			a.ui.Printf("%s: %s\n", f.Path, cmp.Or(f.Reason, "is there"))
		}
	}
	err := errors.Join(a.ui.Object(at), a.ui.Object(countLine{"summary", 1}))
	if err == nil && !whole {
		err = errIncomplete
	}
	return err
}

// countLine is the summary of a command that only counts.
type countLine struct {
	Type  string `json:"type"`
	Count int    `json:"count"`
}
