package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"damocles-manager/internal/fault"
)

// attr is what a new file gets from its surroundings.
type attr struct {
	uid, gid int
	mode     fs.FileMode
}

func attrOf(fi fs.FileInfo) attr {
	st := fi.Sys().(*syscall.Stat_t)
	return attr{uid: int(st.Uid), gid: int(st.Gid), mode: fi.Mode().Perm() & 0o666}
}

func attrIn(dir string) (attr, error) {
	fi, err := os.Stat(dir)
	if err != nil {
		return attr{}, err
	}
	return attrOf(fi), nil
}

// attrFor is the attr of path itself where it exists, else that of its
// directory. It refuses a file that we could not give back to its owner.
func attrFor(path string) (attr, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return attrIn(filepath.Dir(path))
	}
	if err != nil {
		return attr{}, err
	}
	as := attrOf(fi)
	if euid := os.Geteuid(); euid != 0 && euid != as.uid {
		return attr{}, fault.Refuse(runAs(as.uid), "%s belongs to %s", path, userName(as.uid))
	}
	return as, nil
}

// give hands f over to as.
func (s FS) give(f *os.File, as attr) error {
	if err := s.chown(f, as); err != nil {
		return err
	}
	return f.Chmod(as.mode)
}

// chown does nothing where we are not root: then CheckOwner has seen to it
// that the owner is right, and a group cannot always be given away.
func (s FS) chown(f *os.File, as attr) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	is := attrOf(fi)
	if os.Geteuid() != 0 || (is.uid == as.uid && is.gid == as.gid) {
		return nil
	}
	err = s.Step("chown", f.Name())
	if err == nil {
		err = f.Chown(as.uid, as.gid)
	}
	if err != nil {
		return fault.Refuse(runAs(as.uid), "give %s to %s: %w", f.Name(), userName(as.uid), err)
	}
	return nil
}

// CheckOwner refuses if files that we create in dir could not belong to dir's
// owner: if we are neither that user nor root. Of a missing dir the nearest
// existing parent counts.
func CheckOwner(dir string) error {
	dir, err := nearest(dir)
	if err != nil {
		return err
	}
	as, err := attrIn(dir)
	if err != nil {
		return fmt.Errorf("check the owner: %w", err)
	}
	euid := os.Geteuid()
	if euid == 0 || euid == as.uid {
		return nil
	}
	return fault.Refuse(runAs(as.uid), "%s belongs to %s, and this runs as %s: files made here would have the wrong owner",
		dir, userName(as.uid), userName(euid))
}

func runAs(uid int) string { return fmt.Sprintf("run this as %s or as root", userName(uid)) }

func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return fmt.Sprintf("uid %d", uid)
	}
	return fmt.Sprintf("user %s (uid %d)", u.Username, uid)
}

// nearest returns dir, or its first parent that exists.
func nearest(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Lstat(dir)
		if !errors.Is(err, fs.ErrNotExist) {
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
}

// MkdirAll makes dir and its missing parents with perm (before umask), each
// synced into its parent. New directories get the owner of the nearest parent
// that existed, where we are root; existing ones stay as they are.
func (s FS) MkdirAll(dir string, perm fs.FileMode) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	from, err := nearest(dir)
	if err != nil {
		return err
	}
	as, err := attrIn(from)
	if err != nil {
		return err
	}
	var missing []string
	for d := dir; d != from; d = filepath.Dir(d) {
		missing = append(missing, d)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := s.mkdir(missing[i], perm, as); err != nil {
			return err
		}
	}
	// A file may stand where the directory should be.
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	return err
}

func (s FS) mkdir(dir string, perm fs.FileMode, as attr) error {
	if err := s.Step("mkdir", dir); err != nil {
		return fmt.Errorf("mkdir %s: %w", dir, err)
	}
	if err := os.Mkdir(dir, perm); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // somebody else was faster; it is theirs
		}
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.chown(f, as); err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	return s.SyncDir(filepath.Dir(dir))
}
