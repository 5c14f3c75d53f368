package durable

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"damocles-manager/internal/fault"
)

// Journal notes changes before they are made, so that they can be undone and
// an interrupted command can be seen. The order is: Append the changes of a
// batch, Sync, make the changes; at last End. It is not safe for concurrent use.
type Journal struct {
	fs   FS
	f    *os.File
	w    *bufio.Writer
	line []byte
}

// faultWriter is f with the write step.
type faultWriter struct {
	fs FS
	f  *os.File
}

func (w faultWriter) Write(p []byte) (int, error) {
	if err := w.fs.Step("write", w.f.Name()); err != nil {
		return 0, fmt.Errorf("write %s: %w", w.f.Name(), err)
	}
	return w.f.Write(p)
}

// CreateJournal makes the journal path with its header and first run, durably.
// If path exists the error wraps fs.ErrExist. The file belongs to the owner of
// its directory.
func (s FS) CreateJournal(path string, h Header) (*Journal, error) {
	b, err := appendLine(nil, headerLine{"journal", journalVersion,
		h.Command, h.Miner, h.Target, h.Backup, h.Started.UTC()})
	if err != nil {
		return nil, err
	}
	if b, err = appendLine(b, runLine{"run", h.Started.UTC()}); err != nil {
		return nil, err
	}
	f, err := s.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Discard()
	if _, err := f.Write(b); err != nil {
		return nil, err
	}
	if err := f.Commit(); err != nil {
		return nil, err
	}
	return s.openJournal(path)
}

// ResumeJournal opens the journal of an interrupted command for another run.
// It cuts off a last line that was not written whole, and refuses a journal
// that has ended.
func (s FS) ResumeJournal(path string) (*Journal, error) {
	r, err := OpenJournal(path)
	if err != nil {
		return nil, err
	}
	if r.Ended {
		return nil, fault.Refuse("start a new journal", "resume journal %s: it has ended", path)
	}
	if r.torn {
		if err := s.Truncate(path, r.end); err != nil {
			return nil, fmt.Errorf("cut the torn last line off: %w", err)
		}
	}
	j, err := s.openJournal(path)
	if err != nil {
		return nil, err
	}
	if err := j.put(runLine{"run", time.Now().UTC()}); err != nil {
		j.f.Close()
		return nil, err
	}
	return j, nil
}

func (s FS) openJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &Journal{fs: s, f: f, w: bufio.NewWriterSize(faultWriter{s, f}, 256<<10)}, nil
}

// Path returns the journal's file.
func (j *Journal) Path() string { return j.f.Name() }

// Append notes one change. It is durable only after Sync.
func (j *Journal) Append(e Entry) error {
	line, err := appendChange(j.line[:0], e)
	j.line = line
	if err == nil {
		_, err = j.w.Write(line)
	}
	if err != nil {
		return fmt.Errorf("append to journal %s: %w", j.Path(), err)
	}
	return nil
}

// Sync makes all changes appended so far durable.
func (j *Journal) Sync() error {
	if err := j.w.Flush(); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	return j.fs.syncFile(j.f)
}

// put writes one of the rare lines and syncs.
func (j *Journal) put(v any) error {
	line, err := appendLine(nil, v)
	if err != nil {
		return err
	}
	if _, err := j.w.Write(line); err != nil {
		return fmt.Errorf("append to journal %s: %w", j.Path(), err)
	}
	return j.Sync()
}

// End notes that all is done, syncs and closes.
func (j *Journal) End() error {
	if err := j.put(endLine{"end", time.Now().UTC()}); err != nil {
		j.f.Close()
		return err
	}
	return j.close()
}

// Close syncs and closes the journal without an end: it can be resumed. After
// End or Close it returns an error that wraps fs.ErrClosed.
func (j *Journal) Close() error {
	if err := j.Sync(); err != nil {
		j.f.Close()
		return err
	}
	return j.close()
}

func (j *Journal) close() error {
	if err := j.fs.Step("close", j.Path()); err != nil {
		j.f.Close()
		return fmt.Errorf("close %s: %w", j.Path(), err)
	}
	return j.f.Close()
}
