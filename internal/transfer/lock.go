package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/fault"
)

// lock opens the manifest, makes it where it is missing, and locks it.
func (m *manifest) lock() error {
	for {
		f, err := m.openOrMake()
		if err != nil {
			return fmt.Errorf("open the manifest: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			defer f.Close()
			return m.held(f)
		}
		if err != nil {
			f.Close()
			return fmt.Errorf("lock the manifest %s: %w", m.path, err)
		}
		// Whoever held it may have removed it meanwhile.
		have, err := f.Stat()
		if err != nil {
			f.Close()
			return fmt.Errorf("lock the manifest %s: %w", m.path, err)
		}
		if now, err := os.Lstat(m.path); err == nil && os.SameFile(have, now) {
			m.f = f
			return nil
		}
		f.Close()
		m.made = false
	}
}

func (m *manifest) openOrMake() (*os.File, error) {
	for {
		// Behind a link, it would be another file than the one of this name.
		if fi, err := os.Lstat(m.path); err == nil && !fi.Mode().IsRegular() {
			return nil, fault.Refuse("put the manifest itself there, or move away what is: it is made anew, and existing files are hashed again then",
				"%s is no regular file", m.path)
		}
		f, err := os.OpenFile(m.path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		made, err := m.fs.Create(m.path)
		if err == nil {
			err = made.Commit()
		}
		switch {
		case err == nil:
			m.made = true
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
	}
}

func (m *manifest) held(f *os.File) error {
	by := "another process"
	if pid := lockHolder(f); pid != 0 {
		by = fmt.Sprintf("process %d", pid)
	}
	return fault.Refuse("wait until it is done, or stop it",
		"another run works on %s: %s is locked by %s", filepath.Dir(m.path), m.path, by)
}
