package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/quarantine"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

type quarantineRestoreOptions struct {
	quarantineFlags
	dryRun bool
}

func newQuarantineRestoreCommand(a *app) *cobra.Command {
	var o quarantineRestoreOptions
	cmd := &cobra.Command{
		Use:   "restore [flags] <minerID> <sectorNum>...",
		Short: "Move the files of removed sectors back",
		Long: `Move the files of sectors from the quarantine back to where they were. Nothing is
replaced: where something stands in the way, or a file is not whole, the entry
stays as it is. If a sector was removed several times, the newest comes first.

What damocles has written down about the sector is not changed.`,
		Example: `  damocles-manager util storage quarantine restore f01000 103 --dry-run
  damocles-manager util storage quarantine restore f01000 103 104`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) >= 2 {
				return nil
			}
			return fault.BadUsage("as in `"+cmd.CommandPath()+" f01000 103`", "restore takes a miner and sector numbers")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var ids []sector.ID
			for _, n := range args[1:] {
				id, err := parseID(args[0], n)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return runQuarantineRestore(cmd.Context(), a, o, ids)
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be moved, and change nothing")
	return cmd
}

// restoreSum is the summary of a restore.
type restoreSum struct {
	Type     string `json:"type"`
	DryRun   bool   `json:"dryRun"`
	Restored int    `json:"restored"`
	Failed   int    `json:"failed"`
	Missing  int    `json:"missing"`
}

// restorer is a restore on its way.
type restorer struct {
	*app
	dryRun bool
	q      *quarantine.Quarantine
	sum    restoreSum
	// taken are the places that a dry run would have filled.
	taken map[string]bool
}

func runQuarantineRestore(ctx context.Context, a *app, o quarantineRestoreOptions, ids []sector.ID) (err error) {
	stores, side, err := o.withSide(ctx, a)
	if err != nil {
		return err
	}
	defer closing(&err, side)
	r := restorer{
		app: a, dryRun: o.dryRun, q: quarantine.New(a.fs, stores, nil, a.log), taken: map[string]bool{},
		sum: restoreSum{Type: "summary", DryRun: o.dryRun},
	}
	found := map[sector.ID]bool{}
	for _, s := range stores {
		entries, err := r.choose(ctx, s, ids)
		if err != nil {
			return err
		}
		for _, e := range slices.Backward(entries) { // the newest first
			found[e.Sector] = true
			if err := r.restore(ctx, e); err != nil {
				return a.interrupted(nil, err)
			}
		}
	}
	for _, id := range ids {
		if found[id] {
			continue
		}
		found[id] = true // it may have been given twice
		r.sum.Missing++
		if err := a.showEntry(missingLine(id, id.String())); err != nil {
			return err
		}
	}
	return r.end()
}

func (r *restorer) choose(ctx context.Context, s store.Store, ids []sector.ID) (entries []quarantine.Entry, err error) {
	err = quarantine.List(ctx, []store.Store{s}, func(e quarantine.Entry) error {
		if e.Name == "" { // the store as a whole cannot be looked into
			r.sum.Failed++
			return r.showEntry(lineOf(&e).because(entryFailed, e.Err))
		}
		if slices.Contains(ids, e.Sector) && !e.Empty {
			entries = append(entries, e)
		}
		return nil
	})
	return entries, err
}

// restore moves one entry back. What is wrong with it stops no other.
func (r *restorer) restore(ctx context.Context, e quarantine.Entry) error {
	line := lineOf(&e)
	err := e.CanRestore()
	if err == nil {
		err = r.inTheWay(&e)
	}
	if err == nil && !r.dryRun {
		line.Left, err = r.q.Restore(ctx, e)
	}
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case err != nil:
		r.sum.Failed++
		return r.showEntry(line.because(entryFailed, err))
	}
	r.sum.Restored++
	line.Action = entryRestored
	if r.dryRun {
		line.Action = entryWouldRestore
	}
	return r.showEntry(line)
}

// inTheWay finds what a dry run would find in the way, had it moved anything.
func (r *restorer) inTheWay(e *quarantine.Entry) error {
	if !r.dryRun {
		return nil
	}
	for _, o := range e.Objects {
		at := e.Store.Path(o.Kind, e.Sector)
		if o.Here && r.taken[at] {
			return fault.New("restore one of them, and look at the other by hand", "a newer entry belongs to %s as well", at)
		}
	}
	for _, o := range e.Objects {
		if o.Here {
			r.taken[e.Store.Path(o.Kind, e.Sector)] = true
		}
	}
	return nil
}

func (r *restorer) end() error {
	s := r.sum
	verb := "restored"
	if r.dryRun {
		verb = "would be restored"
	}
	r.ui.Printf("restore: %d %s, %d failed, %d missing\n", s.Restored, verb, s.Failed, s.Missing)
	if err := r.ui.Object(s); err != nil {
		return err
	}
	if s.Restored > 0 && !r.dryRun {
		r.ui.Info("damocles's records are as they were: a sector that it counts as removed stays removed, " +
			"and `util storage attach` enters files that are not in its index")
	}
	if s.Failed+s.Missing > 0 {
		return errIncomplete
	}
	return nil
}
