//go:build !linux

package durable

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func allocate(*os.File, int64) error { return nil }

// timesOf takes the time of modification for both.
func timesOf(fi fs.FileInfo) []unix.Timespec {
	t := unix.NsecToTimespec(fi.ModTime().UnixNano())
	return []unix.Timespec{t, t}
}

// Changed has no name that all systems know it by.
func Changed(fs.FileInfo) int64 { return 0 }

func syncfs(*os.File) error { return errors.ErrUnsupported }
