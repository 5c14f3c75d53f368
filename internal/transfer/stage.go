package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/store"
)

// stagePrefix begins the name of all that is ours in a fetching directory.
const stagePrefix = ".damocles-manager."

// lazyBelow is the size, in bytes, below which files are not synced one by one.
const lazyBelow = 1 << 20

// staged is where an object is until it is published.
func (it *item) staged() string { return stagedPath(it.To) }

func stagedPath(to string) string {
	return filepath.Join(filepath.Dir(to), store.FetchingName, stagePrefix+filepath.Base(to))
}

// stage copies what has to be copied, makes it durable and verifies it. A job
// that fails is marked; ctx's error returns, with the staged files that a later
// run can go on with left where they are.
func (r *run) stage(ctx context.Context, jobs []*job) error {
	var copies []*job
	for _, j := range jobs {
		if _, any := j.toCopy(); any {
			copies = append(copies, j)
		}
	}
	if len(copies) == 0 {
		return ctx.Err()
	}
	release, err := r.disks.acquire(ctx, copies)
	if err != nil {
		return err
	}
	defer release()
	v, err := r.volumes(copies)
	if err != nil {
		return r.stop(ctx, copies, err)
	}
	defer v.close()
	for _, j := range copies {
		if j.err = r.stageJob(ctx, j); ctx.Err() != nil {
			return r.stop(ctx, copies, nil)
		}
	}
	if err := v.sync(r.FS, good(copies)); err != nil {
		return r.stop(ctx, copies, err)
	}
	for _, j := range good(copies) {
		if j.err = r.verifyJob(ctx, j); ctx.Err() != nil {
			return r.stop(ctx, copies, nil)
		}
	}
	return nil
}

// stop ends the work on the jobs before anything is published: all fail with
// err, or they are just given up with ctx's error.
func (r *run) stop(ctx context.Context, jobs []*job, err error) error {
	for _, j := range jobs {
		if err != nil && j.err == nil {
			j.err = fault.New("look at the reason and run this again", "%w", err)
		}
	}
	r.discardAll(jobs)
	return ctx.Err()
}

func (r *run) stageJob(ctx context.Context, j *job) error {
	bytes, _ := j.toCopy()
	add, done := r.Progress.start(j.ID, bytes)
	defer done()
	c := r.copier.counting(add)
	c.follow = r.Keep
	for _, it := range j.items {
		if it.published || (it.way != wayCopy && it.way != wayFill) {
			continue
		}
		if err := r.stageItem(ctx, c, it); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) stageItem(ctx context.Context, c *copier, it *item) error {
	staged := it.staged()
	if it.Kind.IsDir() {
		if err := r.FS.StageDir(staged); err != nil {
			return fmt.Errorf("copy %s: %w", it.From, err)
		}
		if err := r.purge(it); err != nil {
			return fmt.Errorf("copy %s: %w", it.From, err)
		}
	}
	for _, f := range it.files {
		if !it.pending(f) {
			continue
		}
		var err error
		if f.got, err = c.copyFile(ctx, it.from(f), filepath.Join(staged, f.name), isLazy(f)); err != nil {
			return err
		}
		if f.got.Size != f.src.Size() || !f.got.ModTime.Equal(f.src.ModTime()) {
			return fault.New("stop the program that writes to it, and run this again",
				"copy %s: it has changed since the run began", it.from(f))
		}
	}
	if !it.Kind.IsDir() || it.way == wayFill {
		return nil
	}
	if err := r.FS.SetDirAttr(staged, it.src.info); err != nil {
		return fmt.Errorf("copy %s: %w", it.From, err)
	}
	if lone(it) {
		return r.FS.SyncDir(staged)
	}
	return nil
}

// purge takes out of a directory that an interrupted run has left what the
// source has no more: all that is in it is going to be published.
func (r *run) purge(it *item) error {
	if !r.kept[it.staged()] {
		return nil
	}
	entries, err := os.ReadDir(it.staged())
	if err != nil {
		return err
	}
	expected := map[string]bool{}
	for _, f := range it.files {
		if it.pending(f) {
			expected[f.name] = true
			expected[f.name+stateSuffix] = f.src.Size() >= r.copier.sizes.resume
		}
	}
	for _, e := range entries {
		if expected[e.Name()] {
			continue
		}
		if err := r.FS.Drop(filepath.Join(it.staged(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// lone says that no sync of the whole file system will include the directory,
// since none of its files waits for one.
func lone(it *item) bool {
	for _, f := range it.files {
		if it.pending(f) && isLazy(f) {
			return false
		}
	}
	return true
}

func isLazy(f *file) bool { return f.src.Size() < lazyBelow }

func (r *run) verifyJob(ctx context.Context, j *job) error {
	for _, it := range j.items {
		for _, f := range it.files {
			if !it.pending(f) {
				continue
			}
			staged := filepath.Join(it.staged(), f.name)
			var err error
			if f.placed, err = r.copier.readBack(ctx, staged, f.got); err != nil {
				if ctx.Err() != nil {
					return err
				}
				// It is not what was written: nothing may go on with it.
				return errors.Join(badCopy(err), r.copier.removeState(staged))
			}
		}
	}
	return nil
}

func badCopy(err error) error {
	return fault.New("the copy was given up, and the source is as it was: look into the kernel's log, then run this again",
		"%w", err)
}

func (r *run) discardAll(jobs []*job) {
	for _, j := range jobs {
		r.discard(j)
	}
}

// discard removes what is staged of a job, but for what a later run can go on
// with. What cannot be removed now is swept by the next run.
func (r *run) discard(j *job) {
	for _, it := range j.items {
		if it.published || (it.way != wayCopy && it.way != wayFill) {
			continue
		}
		if err := r.sweepName(it.staged()); err != nil && !errors.Is(err, os.ErrNotExist) {
			r.Log.Warn("a temporary file stays until the next run", "path", it.staged(), "error", err)
		}
	}
}
