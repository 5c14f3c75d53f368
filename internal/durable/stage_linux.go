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
	// What cannot fit would take all that is free before it fails, from everybody who
	// writes to that disk.
	if !fits(f, size) {
		return unix.ENOSPC
	}
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

// fits is false where the disk has fewer free blocks than f still needs for size
// bytes. A disk that does not tell has room.
func fits(f *os.File, size int64) bool {
	var disk unix.Statfs_t
	var file unix.Stat_t
	fd := int(f.Fd())
	if unix.Fstatfs(fd, &disk) != nil || unix.Fstat(fd, &file) != nil || disk.Blocks == 0 || disk.Bsize <= 0 {
		return true
	}
	const unit = 512 // of st_blocks
	need := size - file.Blocks*unit
	return need <= 0 || uint64(need)/uint64(disk.Bsize) <= disk.Bfree
}

// timesOf returns the times of access and of modification.
func timesOf(fi fs.FileInfo) []unix.Timespec {
	st := fi.Sys().(*syscall.Stat_t)
	return []unix.Timespec{unix.Timespec(st.Atim), unix.Timespec(st.Mtim)}
}

// Changed is when the system last changed anything of a file, its data, its name or
// its times, in nanoseconds since 1970; 0 where that is not known. No program can set
// it: what is written over a file with its times (`cp -p`, rsync) shows here.
func Changed(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return syscall.TimespecToNsec(st.Ctim)
	}
	return 0
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
