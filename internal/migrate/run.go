package migrate

import (
	"context"
	"errors"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
)

// Options are what a run is told beside its source and target.
type Options struct {
	Miner   abi.ActorID
	Numbers sector.Numbers
	// Override writes over records that are there and differ.
	Override bool
	DryRun   bool
	// Jobs is how many sectors are worked on at once.
	Jobs int
	// Chunk is how many sectors a job takes at a time: 1 where a sector waits for
	// the network, more where it does not.
	Chunk int
	// Observe is told of every sector; may be nil. Those that are written come
	// when their batch is, the others at once, each in the order of the source.
	Observe func(Event)
	// Plan gets every step before it is carried out; may be nil.
	Plan *PlanWriter

	// first is called once, before the first record is written; may be nil.
	first func(ctx context.Context) error
}

func (o *Options) defaults() {
	o.Jobs = max(o.Jobs, 1)
	o.Chunk = max(o.Chunk, 1)
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
}

// maxBatchBytes bounds what a batch holds in memory, whatever the records' size.
const maxBatchBytes = 8 << 20

// run is one plan on its way: it takes steps in order, sees to the writing and
// keeps the count.
type run struct {
	Options
	target  Target
	origins *Origins
	report  Report

	batch      []*Step
	batchBytes int
	seen       []abi.SectorNumber // only where a selection has to be held against it
}

// execute plans every sector of the source, carries the plan out and returns
// the count. numbers is asked for the changes of the numbers when all sectors
// are through.
func execute(ctx context.Context, o Options, source Source, target Target, origins *Origins,
	plan func(context.Context, Raw) (*Step, error),
	numbers func(context.Context, *Report) ([]Change, error),
) (*Report, error) {
	o.defaults()
	r := &run{Options: o, target: target, origins: origins, report: Report{DryRun: o.DryRun}}
	feed := func(ctx context.Context, emit func(Raw) error) error { return source.Each(ctx, o.Numbers, emit) }
	err := inOrder(ctx, o.Jobs, o.Chunk, feed, plan, func(s *Step) error { return r.take(ctx, s) })
	if err == nil {
		err = r.finish(ctx, numbers)
	}
	if err != nil {
		return &r.report, joinAbandon(err, target)
	}
	return &r.report, nil
}

func (r *run) take(ctx context.Context, s *Step) error {
	if s == nil { // not of this miner
		return nil
	}
	if !r.Numbers.All() {
		r.seen = append(r.seen, s.ID.Number)
	}
	if err := r.Plan.Step(s); err != nil {
		return err
	}
	if s.Action != Write && s.Origin == nil {
		r.tell(s)
		return nil
	}
	r.batch = append(r.batch, s)
	for _, c := range s.Changes {
		r.batchBytes += len(c.Key) + len(c.Before) + len(c.After)
	}
	if len(r.batch) >= r.target.BatchSize() || r.batchBytes >= maxBatchBytes {
		return r.flush(ctx)
	}
	return nil
}

// flush keeps the origins of the batch before its records are written: an
// origin without its record does no harm, the other way round it would be lost.
func (r *run) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	var writes []*Step
	for _, s := range r.batch {
		if s.Action == Write {
			writes = append(writes, s)
		}
	}
	if !r.DryRun {
		if err := r.keepOrigins(ctx); err != nil {
			return err
		}
		if err := r.write(ctx, writes); err != nil {
			return err
		}
	}
	for _, s := range r.batch {
		if r.DryRun && s.Action == Write {
			s.Action = WouldWrite
		}
		r.tell(s)
	}
	r.batch, r.batchBytes = r.batch[:0], 0
	return nil
}

func (r *run) write(ctx context.Context, steps []*Step) error {
	if len(steps) == 0 {
		return nil
	}
	if first := r.first; first != nil {
		r.first = nil
		if err := first(ctx); err != nil {
			return err
		}
	}
	return r.target.Write(ctx, steps)
}

// keepOrigins puts the origins of the batch away. Those that are written over go
// into the journal first, so that an undo brings them back.
func (r *run) keepOrigins(ctx context.Context) error {
	replaced, err := r.origins.replaced(r.batch)
	if err != nil {
		return err
	}
	if j, ok := r.target.(originJournal); ok && len(replaced) > 0 {
		if err := j.journalOrigins(ctx, replaced); err != nil {
			return err
		}
	}
	return r.origins.Put(r.batch)
}

func (r *run) tell(s *Step) {
	r.report.add(s)
	r.Observe(s.event())
}

func (r *run) finish(ctx context.Context, numbers func(context.Context, *Report) ([]Change, error)) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	slices.Sort(r.seen)
	for _, missing := range r.Numbers.Missing(r.seen) {
		s := missingStep(r.Miner, missing)
		r.report.add(s)
		r.Observe(s.event())
	}
	changes, err := numbers(ctx, &r.report)
	if err != nil {
		return err
	}
	if err := r.Plan.Changes("sector numbers", changes); err != nil {
		return err
	}
	if r.DryRun {
		return nil
	}
	undo, err := r.target.Finish(ctx, changes)
	r.report.Backup, r.report.Journal = undo.Backup, undo.Journal
	return err
}

// joinAbandon gives up what a failed run has begun.
func joinAbandon(err error, target interface{ Abandon() error }) error {
	return errors.Join(err, target.Abandon())
}
