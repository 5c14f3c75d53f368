package migrate

import (
	"fmt"
	"path/filepath"
	"time"

	"damocles-manager/internal/durable"
)

// recorder keeps the journal of a run. It starts one at the first change; a
// journal of the same command and target that an interrupted run has left open
// is gone on with, so that one undo takes back both.
type recorder struct {
	fs     durable.FS
	dir    string // empty: there is no place to keep one
	header durable.Header
	now    func() time.Time

	j    *durable.Journal
	path string
}

// open returns the journal to append to, nil where there is no place for one.
func (r *recorder) open() (*durable.Journal, error) {
	if r.j != nil || r.dir == "" {
		return r.j, nil
	}
	if err := r.fs.Sweep(r.dir, r.header.Command+"-*.journal"); err != nil {
		return nil, err
	}
	path, err := r.unended()
	if err != nil {
		return nil, err
	}
	if path != "" {
		r.j, err = r.fs.ResumeJournal(path)
	} else {
		if err := r.fs.MkdirAll(r.dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the journal's directory: %w", err)
		}
		r.header.Started = r.now().UTC()
		path = filepath.Join(r.dir, durable.JournalName(r.header.Command, r.header.Started))
		r.j, err = r.fs.CreateJournal(path, r.header)
	}
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	r.path = path
	return r.j, nil
}

func (r *recorder) unended() (string, error) {
	if r.dir == "" {
		return "", nil
	}
	path, err := durable.Latest(r.dir, func(h durable.Header, ended bool) bool {
		return !ended && h.Command == r.header.Command && h.Miner == r.header.Miner && h.Target == r.header.Target
	})
	if err != nil {
		return "", journalError("look at that file, and move it away; then run this again", err)
	}
	return path, nil
}

// record appends changes; sync has them on disk before they are carried out.
func (r *recorder) record(changes ...Change) error {
	j, err := r.open()
	if err != nil || j == nil {
		return err
	}
	for _, c := range changes {
		e := durable.Entry{Store: c.Store, Key: c.Key, Before: c.Before}
		if c.After != nil {
			sum := durable.Sum(c.After)
			e.After = &sum
		}
		if err := j.Append(e); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	return nil
}

func (r *recorder) sync() error {
	if r.j == nil {
		return nil
	}
	if err := r.j.Sync(); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// end closes the journal as complete. Where this run changed nothing, one that
// an interrupted run left open is complete now, too.
func (r *recorder) end() error {
	if r.j == nil {
		path, err := r.unended()
		if err != nil || path == "" {
			return err
		}
		if r.j, err = r.fs.ResumeJournal(path); err != nil {
			return fmt.Errorf("open the journal: %w", err)
		}
	}
	j := r.j
	r.j = nil
	return j.End()
}

// abandon closes the journal as it is. It stays, as it says what may have been
// written.
func (r *recorder) abandon() error {
	if r.j == nil {
		return nil
	}
	j := r.j
	r.j = nil
	return j.Close()
}
