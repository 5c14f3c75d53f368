package transfer

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// sameMount says whether a rename from one directory to the other should do:
// both are on one file system, seen through one mount. Linux before 5.8 does not
// tell mounts apart; there the rename itself will.
func sameMount(a, b string) bool {
	const mask = unix.STATX_TYPE | unix.STATX_MNT_ID
	var sa, sb unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, a, 0, mask, &sa) != nil || unix.Statx(unix.AT_FDCWD, b, 0, mask, &sb) != nil {
		return false
	}
	if sa.Dev_major != sb.Dev_major || sa.Dev_minor != sb.Dev_minor {
		return false
	}
	if sa.Mask&sb.Mask&unix.STATX_MNT_ID == 0 {
		return true
	}
	return sa.Mnt_id == sb.Mnt_id
}

// freeSpace is what users may still take of the file system of dir; inodes are
// -1 where it does not count them.
func freeSpace(dir string) (space, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Blocks == 0 || st.Bsize <= 0 {
		return space{}, false
	}
	free := space{bytes: int64(st.Bavail) * st.Bsize, inodes: -1}
	if st.Files > 0 {
		free.inodes = int64(st.Ffree)
	}
	return free, true
}

// diskBytes is what a file takes on the disk.
func diskBytes(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return 0
}
