package quarantine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// Put moves files of a sector into the quarantines of their stores: an entry in
// each store. Files that are not there are passed over, so that the same call
// finishes what an interrupted one has begun. All is checked before the first
// file is moved, nothing is ever replaced, and where a rename would have to
// leave the file system, what was moved goes back and the call is refused.
func (q *Quarantine) Put(ctx context.Context, id sector.ID, files []File, why string) error {
	parts, err := q.split(id, files)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if err := p.check(); err != nil {
			return fmt.Errorf("move %s into the quarantine: %w", id, err)
		}
	}
	var touched []Entry
	for _, p := range parts {
		err := q.putPart(ctx, p, why, &touched)
		switch {
		case errors.Is(err, unix.EXDEV):
			return q.takeBack(context.WithoutCancel(ctx), touched, err)
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return err
		case err != nil:
			return fault.New("look at the reason and do the same again: it goes on where it stopped",
				"move %s into the quarantine: %w", id, err)
		}
	}
	return nil
}

// putPart moves the files of one store.
func (q *Quarantine) putPart(ctx context.Context, p *part, why string, touched *[]Entry) error {
	if there, err := checkDir(p.store); err != nil || (!there && len(p.objects) == 0) {
		return err
	}
	if err := q.fs.MkdirAll(filepath.Join(p.store.Dir, DirName), 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, p.store)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.check(); err != nil { // another call may have come first
		return err
	}
	for _, kind := range p.missing {
		q.log.Info("a file to be moved into the quarantine is not there", "path", p.store.Path(kind, p.id))
	}
	rest, err := q.finish(ctx, p, touched)
	if err != nil || len(rest) == 0 {
		return err
	}
	e, err := q.begin(p, rest, why)
	if err != nil {
		return err
	}
	*touched = append(*touched, e)
	return q.fill(ctx, &e, rest)
}

// finish goes on with what interrupted calls have begun, and returns the objects
// that belong to none of them.
func (q *Quarantine) finish(ctx context.Context, p *part, touched *[]Entry) ([]Object, error) {
	names, err := entryNames(p.store)
	if err != nil {
		return nil, err
	}
	rest := p.objects
	for _, name := range slices.Backward(names) { // the newest first
		if id, _, ok := parseEntryName(name); !ok || id != p.id {
			continue
		}
		e := load(p.store, name)
		switch {
		case e.Err != nil || !e.Purging.IsZero():
			continue
		case e.Empty:
			if _, err := q.dropEntry(&e); err != nil {
				return nil, err
			}
			continue
		}
		var mine []Object
		mine, rest = e.lacking(rest)
		if err := q.resume(ctx, &e, p, mine, touched); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// lacking parts the objects into those that the entry lists just so and does not
// have for itself alone, and the others.
func (e *Entry) lacking(objects []Object) (mine, rest []Object) {
	for _, o := range objects {
		if slices.ContainsFunc(e.Objects, func(has Object) bool {
			return has.Kind == o.Kind && (!has.Here || has.Both) && slices.Equal(has.Files, o.Files)
		}) {
			mine = append(mine, o)
		} else {
			rest = append(rest, o)
		}
	}
	return mine, rest
}

// resume moves the objects into an entry that lacks them. It counts as made now,
// so that a purge of what is old does not take it. What is in it already may
// not have been made durable.
func (q *Quarantine) resume(ctx context.Context, e *Entry, p *part, mine []Object, touched *[]Entry) error {
	for _, o := range e.Objects {
		if o.Here && slices.Contains(p.missing, o.Kind) {
			if err := q.settle(e, []Object{o}); err != nil {
				return err
			}
		}
	}
	if len(mine) == 0 {
		return nil
	}
	e.Time = q.now().UTC()
	if err := q.rewrite(e); err != nil {
		return err
	}
	*touched = append(*touched, *e)
	return q.fill(ctx, e, mine)
}

// maxWhy keeps a manifest readable.
const maxWhy = 1 << 10

// begin makes an entry and its manifest.
func (q *Quarantine) begin(p *part, objects []Object, why string) (Entry, error) {
	e := Entry{Store: p.store, Sector: p.id, Time: q.now().UTC(), Why: why[:min(len(why), maxWhy)], Who: who(), Objects: objects}
	for {
		e.Name = entryName(e.Sector, e.Time)
		_, err := os.Lstat(e.Dir())
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return e, err
		}
		e.Time = e.Time.Add(time.Nanosecond)
	}
	if err := q.fs.MkdirAll(e.Dir(), 0o755); err != nil {
		return e, err
	}
	raw, err := e.encode()
	if err != nil {
		return e, err
	}
	f, err := q.fs.Create(e.manifest())
	if err != nil {
		return e, err
	}
	defer f.Discard()
	if _, err := io.Copy(f, bytes.NewReader(raw)); err != nil {
		return e, err
	}
	return e, f.Commit()
}

// rewrite gives an entry a new manifest.
func (q *Quarantine) rewrite(e *Entry) error {
	raw, err := e.encode()
	if err != nil {
		return err
	}
	return q.fs.Replace(e.manifest(), raw)
}

func (q *Quarantine) fill(ctx context.Context, e *Entry, objects []Object) error {
	for _, o := range objects {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := q.fs.Move(e.origin(o.Kind), e.path(o.Kind)); err != nil {
			return err
		}
		q.log.Info("moved into the quarantine", "from", e.origin(o.Kind), "to", e.path(o.Kind))
	}
	return q.settle(e, objects)
}

// settle makes names durable: those that came before those that went.
func (q *Quarantine) settle(e *Entry, objects []Object) error {
	if err := q.fs.SyncDir(e.Dir()); err != nil {
		return err
	}
	for _, o := range objects {
		if err := q.fs.SyncDir(e.Store.TypeDir(o.Kind)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// takeBack ends a Put that met another file system, which a second one would
// meet again.
func (q *Quarantine) takeBack(ctx context.Context, touched []Entry, why error) error {
	for _, e := range slices.Backward(touched) {
		if _, err := q.Restore(ctx, e); err != nil {
			return fault.New("`util storage quarantine restore` moves back what is there",
				"%w; and what was moved before could not be moved back: %w", why, err)
		}
	}
	return fault.Refuse(otherDiskHint, "the quarantine is on another file system than the files: %w", why)
}

const otherDiskHint = "give each file system a store of its own, or move the files by hand: they are never copied, and never deleted here"
