package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Adopt gives what we made in dir to dir's owner: each regular file and each
// directory directly in dir that belongs to our user, while dir belongs to
// another. The files' mode becomes that of dir without the execute bits. It is
// for files that a library creates; it changes nothing else, and nothing at
// all unless we are root.
func (s FS) Adopt(dir string) error {
	as, err := attrIn(dir)
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	if os.Geteuid() != 0 || as.uid == 0 {
		return nil
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	for _, e := range names {
		if err := s.adopt(filepath.Join(dir, e.Name()), as); err != nil {
			return err
		}
	}
	return nil
}

// AdoptFile is Adopt for one file or directory.
func (s FS) AdoptFile(path string) error {
	as, err := attrIn(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	if os.Geteuid() != 0 || as.uid == 0 {
		return nil
	}
	return s.adopt(path, as)
}

func (s FS) adopt(path string, as attr) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone meanwhile
	}
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	if !isOurs(fi) {
		return nil
	}
	// By descriptor and without following links: dir belongs to another user,
	// who could put a link to a file of ours in the place of the name.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	defer f.Close()
	fi, err = f.Stat()
	if err != nil || !isOurs(fi) {
		return err
	}
	if fi.IsDir() {
		return s.chown(f, as)
	}
	return s.give(f, as)
}

// isOurs tells whether fi is something that we made: not a link, and not a
// second name of a file that is elsewhere, too.
func isOurs(fi fs.FileInfo) bool {
	st := fi.Sys().(*syscall.Stat_t)
	if int(st.Uid) != os.Geteuid() {
		return false
	}
	return fi.IsDir() || (fi.Mode().IsRegular() && st.Nlink == 1)
}
