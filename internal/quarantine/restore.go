package quarantine

import (
	"context"
	"errors"
	"io/fs"

	"damocles-manager/internal/fault"
)

// CanRestore says why the entry cannot be moved back; nil where it can.
func (e *Entry) CanRestore() error {
	if e.Err != nil {
		return e.Err
	}
	for _, o := range e.Objects {
		switch {
		case o.Here && o.Back:
			return fault.New("move one of the two away by hand: nothing is overwritten", "there is something at %s", e.origin(o.Kind))
		case o.Here && o.Wrong != "":
			return fault.New("move by hand what you want to keep", "it is not whole: %s", o.Wrong)
		case !o.Here && !o.Back:
			return fault.New("find out where it is; move by hand what is left",
				"%s is neither there nor at %s", e.path(o.Kind), e.origin(o.Kind))
		}
	}
	return nil
}

// Restore moves the files of an entry back to where they belong, and removes the
// entry. It replaces nothing. What is in the entry's directory and not in its
// manifest is left, and returned. The same call finishes an interrupted one.
func (q *Quarantine) Restore(ctx context.Context, e Entry) (left []string, err error) {
	if err := q.knows(e.Store); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, e.Store)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if e, err = q.reload(e); err != nil {
		return nil, err
	}
	if err := e.CanRestore(); err != nil {
		return nil, err
	}
	for _, o := range e.Objects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !o.Here {
			continue
		}
		if err := q.fs.MkdirAll(e.Store.TypeDir(o.Kind), 0o755); err != nil {
			return nil, err
		}
		if err := q.fs.Move(e.path(o.Kind), e.origin(o.Kind)); err != nil {
			return nil, restoreError(err)
		}
		q.log.Info("moved back from the quarantine", "to", e.origin(o.Kind))
	}
	// Also of what an earlier run has moved: it may not have come so far.
	for _, o := range e.Objects {
		if err := q.fs.SyncDir(e.Store.TypeDir(o.Kind)); err != nil {
			return nil, err
		}
	}
	if err := q.fs.SyncDir(e.Dir()); err != nil {
		return nil, err
	}
	return q.dropEntry(&e)
}

func restoreError(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fault.New("find out who made it: nothing is overwritten", "something has appeared meanwhile: %w", err)
	}
	return fault.New("look at the reason and run this again: it goes on where it stopped", "%w", err)
}
