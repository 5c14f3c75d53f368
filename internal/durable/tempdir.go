package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// TempDir is a directory that this process has made for itself, and that goes with
// all that is in it.
type TempDir struct {
	fs   FS
	path string
	made fs.FileInfo
}

// TempDir makes a directory in parent for our user alone, under a new name that
// begins with prefix. Neither it nor its name is synced.
func (s FS) TempDir(parent, prefix string) (*TempDir, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	if err := s.Step("mkdir", parent); err != nil {
		return nil, fmt.Errorf("make a directory in %s: %w", parent, err)
	}
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return &TempDir{s, path, made}, nil
}

// Path is the absolute path of the directory.
func (d *TempDir) Path() string { return d.path }

// Remove removes the directory and all that is in it; links are not followed. One
// that is gone is no error. What stands under its name and is not what was made is
// somebody else's, stays as it is, and is an error.
func (d *TempDir) Remove() error {
	if err := d.fs.Step("remove", d.path); err != nil {
		return fmt.Errorf("remove %s: %w", d.path, err)
	}
	now, err := os.Lstat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !os.SameFile(now, d.made) {
		return fmt.Errorf("remove %s: another one was put in its place", d.path)
	}
	return os.RemoveAll(d.path)
}
