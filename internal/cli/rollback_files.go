package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/transfer"
	"damocles-manager/internal/ui"
)

// runFilesRollback moves files back to where an export of files took them from,
// and sets damocles's index back.
func runFilesRollback(ctx context.Context, a *app, miner abi.ActorID, o rollbackOptions) (err error) {
	side, err := a.damoclesSide(ctx, access{write: !o.dryRun, direct: true})
	if err != nil {
		return err
	}
	defer closing(&err, side)
	journal, err := a.findJournal(migrate.JournalDir(side.dir), side.dir, o.backup, migrate.FilesCommand)
	if err != nil {
		return err
	}
	stores, err := side.stores(ctx, a)
	if err != nil {
		return err
	}
	home := migrate.NewHome(side.home, side.dir, migrate.RollbackFilesCommand, miner, a.fs)
	undo, err := migrate.OpenFilesUndo(ctx, home, stores, journal)
	if err == nil {
		err = undo.CheckStores()
	}
	if err != nil {
		return err
	}
	run := &filesRollback{app: a, undo: undo, dryRun: o.dryRun, became: map[sector.ID]wentBack{}}
	if err := run.all(ctx); err != nil {
		return a.interrupted(nil, errors.Join(err, undo.Abandon()))
	}
	return run.finish(ctx)
}

type filesRollback struct {
	*app
	undo   *migrate.FilesUndo
	dryRun bool
	total  transfer.Report
	// became of each sector, of which the parts may go back to several stores, and in
	// several rounds: in total it is one.
	became map[sector.ID]wentBack
}

// wentBack is what has become of the parts of a sector so far.
// Kept are those whose entry in the index has changed since and stays.
type wentBack struct{ failed, moved, copied, kept bool }

// all goes from store to store: each is a target of its own.
func (r *filesRollback) all(ctx context.Context) error {
	for round := range r.undo.Rounds() {
		for _, root := range r.undo.Stores(round) {
			if err := r.store(ctx, round, root); err != nil {
				return err
			}
		}
	}
	n, err := r.undo.RestOfIndex(ctx, r.dryRun)
	if err == nil && n > 0 {
		set := "set"
		if r.dryRun {
			set = "would be set"
		}
		r.ui.Notice(fmt.Sprintf("%d entries of the index %s back to what they were, for files that were at the target before and stay there", n, set))
	}
	return err
}

// store takes back what goes to one store in a round.
func (r *filesRollback) store(ctx context.Context, round int, root string) error {
	shown := r.ui.NewTransfer(ui.MovingBack)
	shown.DryRun = r.dryRun
	observe := func(e transfer.Event) { r.note(e); shown.Observe(e) }
	var given []migrate.MovedSector // by Sector.Index
	err := r.undo.Each(ctx, round, root, func(s migrate.MovedSector, wrong error) {
		if wrong != nil {
			observe(transfer.Event{Type: transfer.SectorFailed, Sector: transfer.Sector{ID: s.ID}, Err: wrong})
			return
		}
		given = append(given, s)
	})
	if err != nil || len(given) == 0 {
		return err
	}
	sectors := func() iter.Seq2[transfer.Sector, error] {
		return func(yield func(transfer.Sector, error) bool) {
			for i, s := range given {
				out := transfer.Sector{ID: s.ID, Size: s.Size, Index: i}
				for _, o := range s.Objects {
					out.Objects = append(out.Objects, transfer.Object{Kind: o.Kind, From: o.From, To: o.To})
				}
				if !yield(out, nil) {
					return
				}
			}
		}
	}
	back := func(done []transfer.Sector) []migrate.MovedSector {
		out := make([]migrate.MovedSector, len(done))
		for i, s := range done {
			out[i] = given[s.Index]
		}
		return out
	}
	opt := transfer.Options{
		DryRun: r.dryRun, FS: r.fs, Log: r.log, Target: root, Progress: shown.Progress,
		Observe: observe,
		Journal: intends(func(s []transfer.Sector) error { return r.undo.Intend(back(s)) }),
		Known:   func(ctx context.Context, done []transfer.Sector) error { return r.undo.Known(ctx, back(done)) },
	}
	return shown.While(ctx, func(ctx context.Context) error {
		report, err := transfer.Run(ctx, opt, sectors)
		r.add(report)
		return err
	})
}

// intends is a function as a journal of the file engine.
type intends func([]transfer.Sector) error

// Intend calls it.
func (f intends) Intend(_ context.Context, s []transfer.Sector) error { return f(s) }

// note keeps what became of a part of a sector; the engine tells of one at a time.
func (r *filesRollback) note(e transfer.Event) {
	b := r.became[e.Sector.ID]
	switch e.Type {
	case transfer.SectorFailed:
		b.failed = true
	case transfer.SectorDone:
		b.moved = b.moved || !e.There
		b.copied = b.copied || !e.There && !e.Renamed
	default:
		return
	}
	r.became[e.Sector.ID] = b
}

func (r *filesRollback) add(report *transfer.Report) {
	t := &r.total
	t.DryRun = report.DryRun
	t.Files += report.Files
	t.Bytes += report.Bytes
	t.LeftCount += report.LeftCount
}

// count puts the sectors into the total, all but the kept ones.
func (r *filesRollback) count() (kept int) {
	for _, b := range r.became {
		switch {
		case b.failed:
			r.total.Failed++
			continue
		case b.kept:
			kept++
			continue
		case !b.moved:
			r.total.There++
		default:
			r.total.Done++
		}
		if b.moved && !b.copied {
			r.total.Renamed++
		}
	}
	return kept
}

func (r *filesRollback) finish(ctx context.Context) error {
	for _, kept := range r.undo.Kept {
		r.ui.Notice(fmt.Sprintf("sector-index %s: kept: it has changed since", kept.Key))
		b := r.became[kept.ID]
		b.kept = true
		r.became[kept.ID] = b
	}
	kept := r.count()
	s := ui.NewFilesSummary(&migrate.Report{Failed: kept}, &r.total)
	s.Moved = r.total.Done
	if r.total.Failed > 0 {
		if err := r.undo.Abandon(); err != nil {
			return err
		}
	} else if !r.dryRun {
		undo, err := r.undo.Finish(ctx)
		if err != nil {
			return err
		}
		s.Journal = undo.Journal
	}
	r.ui.FilesSummary(s)
	if s.Failed > 0 {
		return errIncomplete
	}
	return nil
}
