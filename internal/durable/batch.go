package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ProbePrefix begins the name of each probe file.
const ProbePrefix = ".damocles-manager.probe."

// Move is Rename without syncing the parents: for many files, whose directories
// the caller syncs together.
func (s FS) Move(oldpath, newpath string) error {
	if err := s.move(oldpath, newpath); err != nil {
		return fmt.Errorf("rename %s to %s: %w", oldpath, newpath, err)
	}
	return nil
}

// Drop is Remove without syncing the parent.
func (s FS) Drop(path string) error {
	if err := s.Step("remove", path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return os.Remove(path)
}

// DropIn is Drop of a path below a directory, which it does not leave, whatever
// links somebody puts on its way meanwhile. A directory has to be empty.
func (s FS) DropIn(root *os.Root, path string) error {
	if err := s.Step("remove", filepath.Join(root.Name(), path)); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return root.Remove(path)
}

// RemoveFiles removes the named files from dir, and then dir where nothing else
// is in it; else it returns the names of what stays. Nothing is synced. Names
// that are missing are no error, nor is a missing dir. A directory under one of
// the names is one; the first error stops.
func (s FS) RemoveFiles(dir string, names []string) (left []string, err error) {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if filepath.Base(path) != name {
			return nil, fmt.Errorf("remove %q from %s: not the name of a file", name, dir)
		}
		if err := s.unlink(path); err != nil {
			return nil, err
		}
	}
	if err := s.Step("remove", dir); err != nil {
		return nil, fmt.Errorf("remove %s: %w", dir, err)
	}
	err = retry(func() error { return unix.Rmdir(dir) })
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST):
		return nil, &fs.PathError{Op: "remove", Path: dir, Err: err}
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	return left, err
}

// unlink removes what is no directory, if it is there.
func (s FS) unlink(path string) error {
	if err := s.Step("remove", path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	err := retry(func() error { return unix.Unlink(path) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// retry repeats a system call that a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Probe makes an empty file in dir under a name that nobody else has, so that
// the directory can be recognized under another path. It has the owner of dir.
func (s FS) Probe(dir string) (name string, remove func() error, err error) {
	as, err := attrIn(dir)
	if err != nil {
		return "", nil, fmt.Errorf("probe %s: %w", dir, err)
	}
	name = ProbePrefix + rand.Text()
	f, err := s.Stage(filepath.Join(dir, name))
	if err != nil {
		return "", nil, fmt.Errorf("probe %s: %w", dir, err)
	}
	if err := errors.Join(s.give(f.f, as), f.Close()); err != nil {
		f.Discard()
		return "", nil, fmt.Errorf("probe %s: %w", dir, err)
	}
	return name, func() error { return s.Drop(filepath.Join(dir, name)) }, nil
}
