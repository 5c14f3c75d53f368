package transfer

import (
	"cmp"
	"context"
	"fmt"
)

// round takes jobs through the steps. Each step is done for all of them before
// the next begins, so that they share the syncs. It returns the jobs of which a
// rename has turned out to need a copy.
//
// A cancelled ctx stops it between the steps until something is published. What
// is published is carried to its end.
func (r *run) round(ctx context.Context, jobs []*job) (again []*job, err error) {
	defer func() {
		if err != nil {
			r.discardAll(jobs)
		}
	}()
	if err := r.stage(ctx, jobs); err != nil {
		return nil, err
	}
	if err := r.intend(ctx, jobs); err != nil {
		return nil, err
	}
	begun := r.publish(ctx, jobs)
	whole := context.WithoutCancel(ctx)
	r.syncTargets(begun)
	entered := r.enter(begun)
	var ready []*job
	for _, j := range begun {
		if j.again() {
			bytes, _ := j.toCopy() // nobody expected it
			r.Progress.bytesTotal.Add(bytes)
			again = append(again, j)
		} else {
			ready = append(ready, j)
		}
	}
	if err := cmp.Or(r.known(whole, ready), entered); err != nil {
		return nil, err
	}
	r.removeSources(ready)
	for _, j := range ready {
		r.finish(j)
	}
	return again, ctx.Err()
}

// again says that an object is still to be copied.
func (j *job) again() bool {
	for _, it := range j.items {
		if j.err == nil && it.way == wayCopy && !it.published {
			return true
		}
	}
	return false
}

// good are the jobs that have not failed.
func good(jobs []*job) []*job {
	var out []*job
	for _, j := range jobs {
		if j.err == nil {
			out = append(out, j)
		}
	}
	return out
}

// intend has the journal take note before anything is renamed or removed.
func (r *run) intend(ctx context.Context, jobs []*job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.Journal == nil {
		return nil
	}
	var sectors []Sector
	for _, j := range good(jobs) {
		if !j.intended && !r.there(j) {
			sectors = append(sectors, j.Sector)
			j.intended = true
		}
	}
	if len(sectors) == 0 {
		return nil
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	if err := r.broken(); err != nil {
		return err
	}
	if err := r.Journal.Intend(ctx, sectors); err != nil {
		return r.breaks(fmt.Errorf("note what is going to be moved: %w", err))
	}
	return nil
}

// known tells the caller of the jobs that are whole at the target, also where the run
// has ended for another reason than his own error: what was renamed is nowhere else.
func (r *run) known(ctx context.Context, jobs []*job) error {
	var sectors []Sector
	for _, j := range good(jobs) {
		sectors = append(sectors, j.Sector)
	}
	if len(sectors) == 0 || r.Known == nil {
		return r.broken()
	}
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.untold {
		return r.broken()
	}
	if err := r.Known(ctx, sectors); err != nil {
		r.untold = true
		return r.breaks(fmt.Errorf("make known what was carried: %w", err))
	}
	return r.broken()
}
