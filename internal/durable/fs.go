package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS makes and removes files durably. The zero value works. It is safe for
// concurrent use if Fault is.
type FS struct {
	// Fault, if set, is called before each step, and its error becomes the
	// step's own. The steps are create, open, read, write, allocate, sync,
	// close, rename, link, remove, syncdir, syncfs, chown, setattr, mkdir and
	// truncate. Tests use it to record the order of the steps and to fail each
	// of them.
	Fault func(op, path string) error
}

// Step returns the error that a test wants step op on path to have, or nil.
// Rooms that let a library do a step for them call it before that step.
func (s FS) Step(op, path string) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(op, path)
}

// Rename moves a file or a directory within one file system, and syncs both
// parents. It never replaces: if newpath exists the error wraps fs.ErrExist.
// Across file systems the error wraps EXDEV and nothing has changed.
func (s FS) Rename(oldpath, newpath string) error {
	if err := s.move(oldpath, newpath); err != nil {
		return fmt.Errorf("rename %s to %s: %w", oldpath, newpath, err)
	}
	if err := s.SyncDir(filepath.Dir(newpath)); err != nil {
		return err
	}
	if filepath.Dir(oldpath) == filepath.Dir(newpath) {
		return nil
	}
	return s.SyncDir(filepath.Dir(oldpath))
}

// Remove removes a file or an empty directory and syncs its parent. If path
// does not exist the error wraps fs.ErrNotExist.
func (s FS) Remove(path string) error {
	if err := s.Step("remove", path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return s.SyncDir(filepath.Dir(path))
}

// Truncate cuts the file to size bytes and syncs it.
func (s FS) Truncate(path string, size int64) error {
	if err := s.Step("truncate", path); err != nil {
		return fmt.Errorf("truncate %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	return s.syncFile(f)
}

// SyncDir makes the names in dir survive a power cut.
func (s FS) SyncDir(dir string) error {
	if err := s.Step("syncdir", dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	err = f.Sync()
	// Some file systems (CIFS, some of FUSE) cannot sync a directory at all.
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

func (s FS) syncFile(f *os.File) error {
	if err := s.Step("sync", f.Name()); err != nil {
		return fmt.Errorf("sync %s: %w", f.Name(), err)
	}
	return f.Sync()
}

// move renames without replacing and without syncing. Where the file system
// has no such rename, a file is linked to its new name and the old one
// removed, and a directory is renamed, which replaces nothing but an empty one.
// A file of which the old name cannot be removed then keeps both, with the error.
func (s FS) move(oldpath, newpath string) error {
	err := s.Step("rename", newpath)
	if err == nil {
		err = renameNoReplace(oldpath, newpath)
	}
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	fi, err := os.Lstat(oldpath)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return s.linkOver(oldpath, newpath, fi)
	}
	if _, err := os.Lstat(newpath); err == nil {
		return fs.ErrExist
	}
	return os.Rename(oldpath, newpath)
}

func (s FS) linkOver(oldpath, newpath string, old fs.FileInfo) error {
	if err := s.Step("link", newpath); err != nil {
		return err
	}
	if err := os.Link(oldpath, newpath); err != nil {
		// NFS may answer "exists" to its own repeated request.
		fi, serr := os.Lstat(newpath)
		if serr != nil || !os.SameFile(old, fi) || oneName(oldpath, newpath) {
			return err
		}
	}
	err := s.Step("remove", oldpath)
	if err == nil {
		err = os.Remove(oldpath)
	}
	// The new name stays whatever the answer is: NFS says of its own repeated
	// request that nothing was there, and one that timed out may still be carried
	// out. Two names of one file can be looked at again; none cannot.
	if _, gone := os.Lstat(oldpath); errors.Is(gone, fs.ErrNotExist) {
		return nil
	}
	return err
}

// oneName says whether two paths lead to one name in one directory, as where a
// link stands for the directory; what cannot be looked at may be one.
func oneName(a, b string) bool {
	x, err := os.Stat(filepath.Dir(a))
	y, err2 := os.Stat(filepath.Dir(b))
	return err != nil || err2 != nil || filepath.Base(a) == filepath.Base(b) && os.SameFile(x, y)
}
