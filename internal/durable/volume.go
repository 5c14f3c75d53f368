package durable

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Volume is a file system on which many files are made durable together.
type Volume struct {
	fs  FS
	dir *os.File
}

// OpenVolume opens the file system that holds dir. Sync tells of the writes
// that failed since then, so it comes before the first of them; and since each
// failure is told once per Volume, everyone who writes opens one of his own.
func (s FS) OpenVolume(dir string) (*Volume, error) {
	if err := s.Step("open", dir); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return &Volume{s, f}, nil
}

// Sync makes everything survive a power cut that was written to the file
// system before, files and names. Where that cannot be done, or failures would
// not be told, the error wraps errors.ErrUnsupported: each file has to be
// synced then.
func (v *Volume) Sync() error {
	err := v.fs.Step("syncfs", v.dir.Name())
	if err == nil {
		err = syncfs(v.dir)
	}
	if err != nil {
		return fmt.Errorf("sync the file system of %s: %w", v.dir.Name(), err)
	}
	return nil
}

// Close gives the volume up. It syncs nothing.
func (v *Volume) Close() { v.dir.Close() }

// SyncFile makes the content of an existing file survive a power cut, for where
// a Volume cannot. It needs the right to read the file only.
func (s FS) SyncFile(path string) error {
	if err := s.Step("open", path); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.syncFile(f)
}

// syncfsReports tells whether syncfs tells of failures on a Linux of this
// release, such as "5.15.0-91-generic".
func syncfsReports(release string) bool {
	major, rest, _ := strings.Cut(release, ".")
	digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		rest = rest[:digits]
	}
	a, err := strconv.Atoi(major)
	b, err2 := strconv.Atoi(rest)
	return err == nil && err2 == nil && (a > 5 || (a == 5 && b >= 8))
}
