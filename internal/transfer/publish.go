package transfer

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/fault"
)

// publish gives the objects their right names. It returns the jobs that it came
// to before ctx was cancelled, the failed ones included.
func (r *run) publish(ctx context.Context, jobs []*job) (begun []*job) {
	for _, j := range jobs {
		if j.err == nil && (ctx.Err() != nil || r.broken() != nil) {
			continue // neither done nor failed
		}
		begun = append(begun, j)
		if j.err == nil {
			j.err = r.publishJob(j)
		}
		if j.err != nil {
			r.discard(j)
		}
	}
	return begun
}

func (r *run) publishJob(j *job) error {
	for _, it := range j.items {
		if it.published {
			continue
		}
		var err error
		switch it.way {
		case wayRename:
			err = r.FS.Move(it.From, it.To)
			if errors.Is(err, unix.EXDEV) {
				// The objects before this one are where they belong, and stay.
				j.copyRest()
				return nil
			}
			j.moved = j.moved || err == nil
		case wayCopy:
			err = r.publishItem(it)
		case wayFill:
			err = r.publishFiles(it)
		}
		if err != nil {
			return publishError(err, it)
		}
		it.published = it.way != wayThere && it.way != wayGone
	}
	return nil
}

func publishError(err error, it *item) error {
	if errors.Is(err, fs.ErrExist) {
		return fault.New("find out who made it, and run this again: nothing is overwritten",
			"%s has appeared meanwhile: %w", it.To, err)
	}
	return fault.New("look at the reason and run this again: it goes on where it stopped", "%w", err)
}

// copyRest has what is not renamed yet copied: a bind mount, a quota or a
// subvolume can refuse the one rename and not the other.
func (j *job) copyRest() {
	for _, it := range j.items {
		if it.way == wayRename && !it.published {
			it.way = wayCopy
		}
	}
}

func (r *run) publishItem(it *item) error {
	staged := it.staged()
	// In a directory, a state would be published with the files.
	if it.Kind.IsDir() {
		for _, f := range it.files {
			if err := r.copier.forget(filepath.Join(staged, f.name), f.got.Size); err != nil {
				return err
			}
		}
		return r.FS.Move(staged, it.To)
	}
	if err := r.FS.Move(staged, it.To); err != nil {
		return err
	}
	return r.copier.forget(staged, it.files[0].got.Size)
}

// publishFiles adds to a directory what it lacks.
func (r *run) publishFiles(it *item) error {
	for _, f := range it.files {
		if !it.pending(f) {
			continue
		}
		staged := filepath.Join(it.staged(), f.name)
		if err := r.FS.Move(staged, it.to(f)); err != nil {
			return err
		}
		if err := r.copier.forget(staged, f.got.Size); err != nil {
			return err
		}
	}
	_, err := r.FS.RemoveFiles(it.staged(), nil)
	return err
}
