package migrate

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// originsStore is the name under which origins stand in journals. Their keys are
// as "lotus/1000/16 in /home/switching/origins".
const originsStore = "origins"

const originIn = " in "

// originJournal is a target whose journal keeps the origins that a run writes
// over, so that its undo brings them back with the records that belong to them.
type originJournal interface {
	// journalOrigins makes the changes last in the journal, and changes nothing.
	journalOrigins(ctx context.Context, changes []Change) error
}

var (
	_ originJournal = (*Home)(nil)
	_ originJournal = (*Daemon)(nil)
	_ originJournal = (*Repo)(nil)
)

func (h *Home) journalOrigins(_ context.Context, changes []Change) error {
	return errors.Join(h.journal.record(changes...), h.journal.sync())
}

func (d *Daemon) journalOrigins(_ context.Context, changes []Change) error {
	return errors.Join(d.journal.record(changes...), d.journal.sync())
}

func (r *Repo) journalOrigins(ctx context.Context, changes []Change) error {
	if r.tx == nil { // the backup comes first, and the journal names it
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	return errors.Join(r.journal.record(changes...), r.journal.sync())
}

// replaced are the origins that the steps put in the place of others. One that is
// new needs no undoing: without its record it does no harm.
func (o *Origins) replaced(steps []*Step) ([]Change, error) {
	if o == nil {
		return nil, nil
	}
	var out []Change
	for _, s := range steps {
		if s.Origin == nil {
			continue
		}
		key := string(originKey(s.Origin.System, s.Origin.ID))
		before, err := o.raw(key)
		if err != nil {
			return nil, err
		}
		after := append(s.Origin.Fingerprint[:], s.Origin.Value...)
		if before != nil && !bytes.Equal(before, after) {
			out = append(out, Change{Store: originsStore, Key: key + originIn + o.dir, Before: before, After: after})
		}
	}
	return out, nil
}

// raw is what the store holds under a key, nil where nothing.
func (o *Origins) raw(key string) ([]byte, error) {
	value, err := o.db.Get([]byte(key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, originsError(o.dir, err)
	}
	return value, nil
}

func (o *Origins) setRaw(key string, value []byte) error {
	batch := new(leveldb.Batch)
	if value == nil {
		batch.Delete([]byte(key))
	} else {
		batch.Put([]byte(key), value)
	}
	if err := o.db.Write(batch, &opt.WriteOptions{Sync: true}); err != nil {
		return originsError(o.dir, err)
	}
	return nil
}

// undoable is a store whose runs wrote origins as well.
type undoable interface {
	Store
	originJournal
}

// StoreAndOrigins is a store, and the origins that belong to what is in it.
type StoreAndOrigins struct {
	undoable
	write bool
	fs    durable.FS
	open  map[string]*Origins // by directory; nil: there is none
}

// WithOrigins makes the undo of a run bring back the origins, too, that it wrote
// over. To look only, write is false. It has to be closed.
func WithOrigins(s undoable, write bool, dfs durable.FS) *StoreAndOrigins {
	return &StoreAndOrigins{undoable: s, write: write, fs: dfs, open: map[string]*Origins{}}
}

func (s *StoreAndOrigins) origins(key string) (*Origins, string, error) {
	name, dir, ok := strings.Cut(key, originIn)
	if !ok || !filepath.IsAbs(dir) {
		return nil, "", fault.Refuse("name another journal with --backup", "the journal names the origin %q, which is none", key)
	}
	if o, known := s.open[dir]; known {
		return o, name, nil
	}
	if _, err := os.Stat(filepath.Join(dir, "CURRENT")); errors.Is(err, fs.ErrNotExist) {
		s.open[dir] = nil
		return nil, name, nil
	}
	o, err := OpenOrigins(dir, s.write, s.fs)
	if err == nil {
		s.open[dir] = o
	}
	return o, name, err
}

// Value reads one key, or an origin.
func (s *StoreAndOrigins) Value(ctx context.Context, store, key string) ([]byte, error) {
	if store != originsStore {
		return s.undoable.Value(ctx, store, key)
	}
	o, name, err := s.origins(key)
	if err != nil || o == nil {
		return nil, err
	}
	return o.raw(name)
}

// Undo sets the origins back, and then the rest.
func (s *StoreAndOrigins) Undo(ctx context.Context, changes []Change) error {
	var origins, rest []Change
	for _, c := range changes {
		if c.Store == originsStore {
			origins = append(origins, c)
		} else {
			rest = append(rest, c)
		}
	}
	if len(origins) > 0 {
		if err := s.journalOrigins(ctx, origins); err != nil {
			return err
		}
	}
	for _, c := range origins {
		o, name, err := s.origins(c.Key)
		if err != nil {
			return err
		}
		if err := o.setRaw(name, c.After); err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return s.undoable.Undo(ctx, rest)
}

// Close closes the origins that were looked at.
func (s *StoreAndOrigins) Close() error {
	var errs []error
	for dir, o := range s.open {
		errs = append(errs, o.Close())
		delete(s.open, dir)
	}
	return errors.Join(errs...)
}
