package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file that is not under its name yet. It is written once, from the
// start, and then appears whole with Commit or not at all:
//
//	f, err := fs.Create(path)
//	if err != nil { return err }
//	defer f.Discard()
//	if _, err := io.Copy(f, src); err != nil { return err }
//	return f.Commit()
//
// It is not safe for concurrent use.
type File struct {
	fs   FS
	f    *os.File
	path string // where it will appear
	tmp  string // where it is; "" once it is neither
	size int64  // bytes written
}

var _ io.Writer = (*File)(nil)

// Create begins the file path under a hidden temporary name beside it. It gets
// the owner of its directory, and the directory's mode without the execute
// bits. If path exists the error wraps fs.ErrExist.
func (s FS) Create(path string) (*File, error) {
	return s.CreateIn(filepath.Dir(path), path)
}

// CreatePrivate is Create for a secret: nobody but the owner may read it.
func (s FS) CreatePrivate(path string) (*File, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("create %s: %w", path, fs.ErrExist)
	}
	as, err := attrIn(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	as.mode = 0o600
	return s.createTemp(filepath.Dir(path), path, as)
}

// CreateIn is Create with the temporary name in dir, which must be on the same
// file system: for directories in which a program takes every name for one of
// its own.
func (s FS) CreateIn(dir, path string) (*File, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("create %s: %w", path, fs.ErrExist)
	}
	as, err := attrIn(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return s.createTemp(dir, path, as)
}

func (s FS) createTemp(dir, path string, as attr) (*File, error) {
	if err := s.Step("create", path); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	file := &File{fs: s, f: f, path: path, tmp: f.Name()}
	if err := s.give(f, as); err != nil {
		file.Discard()
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return file, nil
}

// Write appends p.
func (f *File) Write(p []byte) (int, error) {
	if err := f.fs.Step("write", f.path); err != nil {
		return 0, fmt.Errorf("write %s: %w", f.path, err)
	}
	n, err := f.f.Write(p)
	f.size += int64(n)
	return n, err
}

// Open opens what was written so far for reading, to verify it before Commit.
func (f *File) Open() (io.ReadCloser, error) { return os.Open(f.tmp) }

// Commit checks that all that was written is there, syncs the file, closes it,
// gives it its name without replacing anything, and syncs the directory. After
// an error neither the name nor the temporary file is there. If the name was
// taken meanwhile the error wraps fs.ErrExist.
func (f *File) Commit() error {
	defer f.Discard()
	if err := f.finish(); err != nil {
		return err
	}
	if err := f.fs.move(f.tmp, f.path); err != nil {
		return errors.Join(fmt.Errorf("publish %s: %w", f.path, err), f.withdraw())
	}
	f.tmp = ""
	if err := f.fs.SyncDir(filepath.Dir(f.path)); err != nil {
		return errors.Join(err, os.Remove(f.path))
	}
	return nil
}

// withdraw takes back the name that a failed move may have given the file beside
// its temporary one.
func (f *File) withdraw() error {
	tmp, err := os.Lstat(f.tmp)
	at, err2 := os.Lstat(f.path)
	if err != nil || err2 != nil || !os.SameFile(tmp, at) {
		return nil //nolint:nilerr // the name is another file's, or nobody's
	}
	return os.Remove(f.path)
}

// finish makes the content durable under the temporary name.
func (f *File) finish() error {
	if f.tmp == "" {
		return fmt.Errorf("commit %s: %w", f.path, fs.ErrClosed)
	}
	fi, err := f.f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() != f.size {
		return fmt.Errorf("commit %s: wrote %d bytes, the disk has %d", f.path, f.size, fi.Size())
	}
	if err := f.fs.syncFile(f.f); err != nil {
		return err
	}
	if err := f.fs.Step("close", f.path); err != nil {
		return fmt.Errorf("close %s: %w", f.path, err)
	}
	return f.f.Close()
}

// Discard gives the file up. It does nothing after Commit, and may be called
// more than once.
func (f *File) Discard() {
	f.f.Close() // closed already after finish, and of no use otherwise
	if f.tmp != "" {
		_ = os.Remove(f.tmp) // a hidden file that stays is no harm
		f.tmp = ""
	}
}

// Replace writes data to path, over what is there, so that path always holds
// either the old or the new content whole. It is for small files. An existing
// file keeps its owner and mode, and a symbolic link is followed.
func (s FS) Replace(path string, data []byte) error {
	return s.ReplaceFrom(path, bytes.NewReader(data))
}

// ReplaceFrom is Replace for files of any size.
func (s FS) ReplaceFrom(path string, data io.Reader) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	as, err := attrFor(path)
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	f, err := s.createTemp(filepath.Dir(path), path, as)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := io.Copy(f, data); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := f.finish(); err != nil {
		return err
	}
	if err := s.Step("rename", path); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := os.Rename(f.tmp, path); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	f.tmp = ""
	return s.SyncDir(filepath.Dir(path))
}
