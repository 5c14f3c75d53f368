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
		err := r.resume(path) // before r.j is read: an expression promises no order
		return r.j, err
	}
	if err := r.fs.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the journal's directory: %w", err)
	}
	r.header.Started = r.now().UTC()
	path = filepath.Join(r.dir, durable.JournalName(r.header.Command, r.header.Started))
	if r.j, err = r.fs.CreateJournal(path, r.header); err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	r.path = path
	return r.j, nil
}

// resume goes on with a journal. Its backup is the one that was made before all
// of its runs, and the one to name.
func (r *recorder) resume(path string) error {
	begun, err := durable.OpenJournal(path)
	if err == nil {
		r.j, err = r.fs.ResumeJournal(path)
	}
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	r.path, r.header.Backup = path, begun.Header.Backup
	return nil
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

// undo names the files of the journal, where there is one.
func (r *recorder) undo() Undo {
	if r.path == "" {
		return Undo{}
	}
	return Undo{Backup: r.header.Backup, Journal: r.path}
}

// end closes the journal as complete. Where this run changed nothing, one that
// an interrupted run left open is complete now, too.
func (r *recorder) end() error {
	if r.j == nil {
		path, err := r.unended()
		if err != nil || path == "" {
			return err
		}
		if err := r.resume(path); err != nil {
			return err
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
