package quarantine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/fault"
)

// CanPurge says why the entry is not deleted; nil where it may be. Whether its
// sector is needed is for others to say.
func (e *Entry) CanPurge() error {
	if e.Err != nil || !e.Purging.IsZero() {
		return e.Err
	}
	here := false
	for _, o := range e.Objects {
		here = here || o.Here
	}
	for _, o := range e.Objects {
		if here && !o.Here && o.Back || o.Both {
			return fault.New("finish what was interrupted: restore it, or remove the sector again",
				"only a part of it is here: %s is at its old place", e.origin(o.Kind))
		}
	}
	return nil
}

// Purge deletes the files of an entry: those that its manifest names, if they
// are regular and have their size. Anything else is left, keeps the entry, and
// is returned. It gives the number of bytes that it freed, also with an error,
// after which the same call goes on.
func (q *Quarantine) Purge(ctx context.Context, e Entry) (freed int64, left []string, err error) {
	if err := q.knows(e.Store); err != nil {
		return 0, nil, err
	}
	unlock, err := lock(ctx, e.Store)
	if err != nil {
		return 0, nil, err
	}
	defer unlock()
	if e, err = q.reload(e); err != nil {
		return 0, nil, err
	}
	if err := e.CanPurge(); err != nil {
		return 0, nil, err
	}
	root, err := openEntry(&e)
	if err != nil {
		return 0, nil, err
	}
	defer root.Close()
	unmarked := q.mark(&e)
	if unmarked != nil && !isFull(unmarked) {
		return 0, nil, unmarked
	}
	for _, o := range e.Objects {
		if err := ctx.Err(); err != nil {
			return freed, nil, err
		}
		if !o.Here {
			continue
		}
		if err := q.purgeObject(root, o, &freed); err != nil {
			return freed, nil, err
		}
		if unmarked == nil {
			continue
		}
		if unmarked = q.mark(&e); unmarked != nil {
			return freed, nil, unmarked
		}
	}
	if err := q.fs.SyncDir(e.Dir()); err != nil {
		return freed, nil, err
	}
	if left, err = q.dropEntry(&e); err != nil || len(left) == 0 {
		return freed, left, err
	}
	return freed, inside(left), nil
}

// mark says in the manifest that the purge has begun: what is half deleted must
// neither be restored nor be added to. A disk that is full may have no room for that
// until the first object is gone, without which nothing is restored either.
func (q *Quarantine) mark(e *Entry) error {
	if e.Empty || !e.Purging.IsZero() {
		return nil
	}
	marked := *e
	marked.Purging = q.now().UTC()
	err := q.rewrite(&marked)
	if err == nil {
		e.Purging = marked.Purging
	}
	return err
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// openEntry opens the entry's directory itself: below it no path leads to the
// store's sectors, whatever links somebody puts there meanwhile.
func openEntry(e *Entry) (*os.Root, error) {
	root, err := os.OpenRoot(e.Dir())
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil {
		var at os.FileInfo
		if at, err = os.Lstat(e.Dir()); err == nil && !os.SameFile(opened, at) {
			err = fault.New("look who made it: it is left alone", "%s has become a link", e.Dir())
		}
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// purgeObject removes the members of an object, and nothing behind a link: root
// is the entry, which no path leaves.
func (q *Quarantine) purgeObject(root *os.Root, o Object, freed *int64) error {
	path := o.Kind.String()
	info, err := root.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && o.Kind.IsDir() != info.IsDir()) {
		return nil // it stays, and is told of
	}
	if err != nil {
		return err
	}
	for _, f := range o.Files {
		at := filepath.Join(path, f.Name)
		info, err := root.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) || (err == nil && !f.is(info)) {
			continue
		}
		if err != nil {
			return err
		}
		if err := q.fs.DropIn(root, at); err != nil {
			return err
		}
		*freed += f.Size
	}
	if !o.Kind.IsDir() {
		return nil
	}
	if err := q.fs.DropIn(root, path); !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil // what is in it is told of
}

// inside names what is in the directories that were left, which are kept for
// the sake of it.
func inside(left []string) []string {
	var out []string
	for _, path := range left {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() {
			out = append(out, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil || len(entries) == 0 {
			out = append(out, path)
		}
		for _, e := range entries {
			out = append(out, filepath.Join(path, e.Name()))
		}
	}
	return out
}
