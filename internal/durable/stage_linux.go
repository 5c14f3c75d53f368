package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// allocatePiece is reserved by one call: short enough that a signal, which may
// undo the whole call, does not stop it for ever.
const allocatePiece = 1 << 30

func allocate(f *os.File, size int64) error {
	for off := int64(0); off < size; {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, min(allocatePiece, size-off))
		switch {
		case err == nil:
			off += allocatePiece
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
			return nil
		default:
			return err
		}
	}
	return nil
}

// timesOf returns the times of access and of modification.
func timesOf(fi fs.FileInfo) []unix.Timespec {
	st := fi.Sys().(*syscall.Stat_t)
	return []unix.Timespec{unix.Timespec(st.Atim), unix.Timespec(st.Mtim)}
}

// syncfs writes the file system of dir out. Before Linux 5.8 it does not tell
// of writes that failed, so it is not used there.
func syncfs(dir *os.File) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return errors.Join(err, errors.ErrUnsupported)
	}
	if !syncfsReports(unix.ByteSliceToString(u.Release[:])) {
		return errors.ErrUnsupported
	}
	err := unix.Syncfs(int(dir.Fd()))
	if errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}
