package transfer

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// cloneFile lets dst share the blocks of src. An error means no more than that
// the bytes have to be copied.
func cloneFile(dst, src *os.File) error {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
}

// copyRange lets the kernel copy n bytes at the same offset of both. 0 without
// an error means that it cannot, or that src has ended: reading will show.
func copyRange(dst, src *os.File, at, n int64) (int64, error) {
	for {
		from, to := at, at
		got, err := unix.CopyFileRange(int(src.Fd()), &from, int(dst.Fd()), &to, int(n), 0)
		switch {
		case err == nil:
			return int64(got), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
			return 0, &os.PathError{Op: "write", Path: dst.Name(), Err: err}
		default:
			// Kernels and file systems have many ways to say that they cannot; an
			// error of the disk comes again when the bytes are read and written.
			return 0, nil
		}
	}
}

// readAhead tells that f will be read from its start to its end. This and the
// calls below are advice: without them the same happens, only slower.
func readAhead(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_SEQUENTIAL)
}

// dropCache gives up the memory that caches n bytes of f at offset at, where it
// is written out; n 0 is up to the end.
func dropCache(f *os.File, at, n int64) {
	_ = unix.Fadvise(int(f.Fd()), at, n, unix.FADV_DONTNEED)
}

// startWriteOut has the disk begin to write n bytes of f at offset at.
func startWriteOut(f *os.File, at, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), at, n, unix.SYNC_FILE_RANGE_WRITE)
}

// awaitWriteOut waits until they are written.
func awaitWriteOut(f *os.File, at, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), at, n,
		unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
}
