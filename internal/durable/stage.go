package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Staged is a file under a name that its maker chose, so that a later run finds
// it and goes on with it. It is written at offsets; whoever made it publishes
// it with Move and syncs the directories, many files together. WriteAt may be
// called while Sync runs; nothing else is safe for concurrent use.
type Staged struct {
	fs FS
	f  *os.File
}

var _ io.WriterAt = (*Staged)(nil)

// Stage makes the file path, empty and for our user alone. If path exists the
// error wraps fs.ErrExist. The name is not synced into its directory.
func (s FS) Stage(path string) (*Staged, error) {
	if err := s.Step("create", path); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %w", err)
	}
	return &Staged{fs: s, f: f}, nil
}

// Restage opens a file that an earlier Stage has made, with what is in it. A
// link, a file with a second name, or anything that is no file is an error.
func (s FS) Restage(path string) (*Staged, error) {
	if err := s.Step("open", path); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reopen %w", err)
	}
	fi, err := f.Stat()
	if err == nil && (!fi.Mode().IsRegular() || fi.Sys().(*syscall.Stat_t).Nlink != 1) {
		err = fmt.Errorf("reopen %s: it is no file of ours", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Staged{fs: s, f: f}, nil
}

// File is the open file, for system calls that fill it from another one. They
// are steps of their own: the caller calls FS.Step.
func (f *Staged) File() *os.File { return f.f }

// Allocate reserves size bytes on the disk; the file's size stays. It does
// nothing on file systems that cannot. Too little space is an error.
func (f *Staged) Allocate(size int64) error {
	if err := f.fs.Step("allocate", f.f.Name()); err != nil {
		return fmt.Errorf("allocate %s: %w", f.f.Name(), err)
	}
	if err := allocate(f.f, size); err != nil {
		return fmt.Errorf("allocate %d bytes for %s: %w", size, f.f.Name(), err)
	}
	return nil
}

// WriteAt writes p at offset off.
func (f *Staged) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.Step("write", f.f.Name()); err != nil {
		return 0, fmt.Errorf("write %s: %w", f.f.Name(), err)
	}
	return f.f.WriteAt(p, off)
}

// SetAttr gives the file the permissions and times of like, and as root its
// owner. It comes after the last write, which would change the times.
func (f *Staged) SetAttr(like fs.FileInfo) error { return f.fs.setAttr(f.f, like) }

// Sync makes what was written survive a power cut, but not the name.
func (f *Staged) Sync() error { return f.fs.syncFile(f.f) }

// Close closes the file and leaves it under its name. Its error counts: some
// file systems tell only here that a write has failed.
func (f *Staged) Close() error {
	if err := f.fs.Step("close", f.f.Name()); err != nil {
		f.f.Close()
		return fmt.Errorf("close %s: %w", f.f.Name(), err)
	}
	return f.f.Close()
}

// Discard closes the file, where that was not done, and removes it.
func (f *Staged) Discard() {
	f.f.Close() // its content is given up
	_ = os.Remove(f.f.Name())
}

// StageDir makes the directory path, for our user alone, where it is missing.
// The name is not synced into its parent. It is an error if path is there but
// is no directory, or a link to one.
func (s FS) StageDir(path string) error {
	if err := s.Step("mkdir", path); err != nil {
		return fmt.Errorf("mkdir %s: %w", path, err)
	}
	err := os.Mkdir(path, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := os.Lstat(path)
	if err == nil && !fi.IsDir() {
		err = &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	return err
}

// SetDirAttr gives the directory path the permissions and times of like, and as
// root its owner. It comes after the last change in it.
func (s FS) SetDirAttr(path string, like fs.FileInfo) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.setAttr(f, like)
}

// setAttr changes the owner first, since that can clear bits of the mode.
func (s FS) setAttr(f *os.File, like fs.FileInfo) error {
	if err := s.chown(f, attrOf(like)); err != nil {
		return err
	}
	if err := s.Step("setattr", f.Name()); err != nil {
		return fmt.Errorf("set mode and times of %s: %w", f.Name(), err)
	}
	if err := f.Chmod(like.Mode().Perm()); err != nil {
		return err
	}
	// By name: there is no such call by descriptor that all systems have.
	err := unix.UtimesNanoAt(unix.AT_FDCWD, f.Name(), timesOf(like), unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &fs.PathError{Op: "set times of", Path: f.Name(), Err: err}
	}
	return nil
}
