package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameNoReplace is EINVAL or ENOSYS where the file system or the kernel
// cannot do it (NFS, some of FUSE).
func renameNoReplace(oldpath, newpath string) error {
	err := unix.Renameat2(unix.AT_FDCWD, oldpath, unix.AT_FDCWD, newpath, unix.RENAME_NOREPLACE)
	if err != nil {
		return &os.LinkError{Op: "renameat2", Old: oldpath, New: newpath, Err: err}
	}
	return nil
}
