package transfer

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// What a batch holds at most. A batch shares its syncs and its lines in the
// manifest; a rename costs no more for a large sector than for a small one.
const (
	maxCopies     = 256
	maxCopyBytes  = 64 << 20
	maxRenames    = 500
	minBatchBytes = 4 << 10 // what the smallest sector counts
)

// batch gathers sectors until they are worth a worker.
type batch struct {
	sectors []Sector
	bytes   int64
}

// add returns the sectors to work on once there are enough: those before s, if s
// does not fit.
func (b *batch) add(s Sector, bytes, maxBytes int64, maxSectors int) (full []Sector) {
	if len(b.sectors) > 0 && b.bytes+bytes > maxBytes {
		full = b.take()
	}
	b.sectors = append(b.sectors, s)
	b.bytes += bytes
	if full == nil && (len(b.sectors) >= maxSectors || b.bytes >= maxBytes) {
		full = b.take()
	}
	return full
}

func (b *batch) take() []Sector {
	full := b.sectors
	*b = batch{}
	return full
}

// bytesOf is about what a sector has on the disk.
func bytesOf(s Sector) int64 {
	var n int64
	for _, o := range s.Objects {
		if o.Kind.IsDir() {
			n += cacheBytes(s.Size)
		} else {
			n += int64(s.Size)
		}
	}
	return max(n, minBatchBytes)
}

// each has Jobs workers work on the sectors, in batches. It holds no more of
// them than the workers have, and one batch of each kind.
func (r *run) each(ctx context.Context, sectors Sectors, work func(context.Context, []Sector) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Jobs)
	hand := func(full []Sector) {
		if len(full) > 0 && gctx.Err() == nil {
			g.Go(func() error { return work(gctx, full) }) // waits for a free worker
		}
	}
	var copies, renames batch
	for s, err := range sectors() {
		if err != nil {
			g.Go(func() error { return err })
			break
		}
		if gctx.Err() != nil {
			break
		}
		if r.renamesAll(s) {
			hand(renames.add(s, 0, maxCopyBytes, maxRenames))
		} else {
			hand(copies.add(s, bytesOf(s), maxCopyBytes, maxCopies))
		}
	}
	hand(renames.take())
	hand(copies.take())
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// work carries one batch.
func (r *run) work(ctx context.Context, sectors []Sector) error {
	var jobs []*job
	for _, s := range sectors {
		j, err := r.look(ctx, s)
		if err != nil {
			return err
		}
		r.announce(j)
		if j.err != nil || r.DryRun {
			r.finish(j)
			continue
		}
		r.correct(j)
		jobs = append(jobs, j)
	}
	for len(jobs) > 0 {
		n := fitting(jobs)
		again, err := r.round(ctx, jobs[:n])
		if err != nil {
			return err
		}
		// A rename that could not be done has become a copy.
		jobs = append(again, jobs[n:]...)
	}
	return nil
}

// correct puts what the job has to copy in the place of what was expected.
func (r *run) correct(j *job) {
	bytes, _ := j.toCopy()
	for _, it := range j.items {
		switch {
		case it.way != wayCopy:
		case it.Kind.IsDir():
			bytes -= cacheBytes(j.Size)
		default:
			bytes -= int64(j.Size)
		}
	}
	r.Progress.bytesTotal.Add(bytes)
}

// fitting is how many of the jobs may be copied together, at least one.
func fitting(jobs []*job) int {
	var bytes int64
	copies := 0
	for i, j := range jobs {
		n, any := j.toCopy()
		if !any {
			continue
		}
		bytes += n
		copies++
		if i > 0 && (bytes > maxCopyBytes || copies > maxCopies) {
			return i
		}
	}
	return len(jobs)
}
