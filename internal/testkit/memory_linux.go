package testkit

import (
	"os"

	"golang.org/x/sys/unix"
)

// memoryDir makes a directory in memory, "" where there is no place: in a
// container, /dev/shm often has 64 MiB, and the tests of the command line take ten
// times as much.
func memoryDir() string {
	const place, enough = "/dev/shm", 2 << 30
	var stat unix.Statfs_t
	if err := unix.Statfs(place, &stat); err != nil || stat.Bavail*uint64(stat.Bsize) < enough {
		return ""
	}
	dir, err := os.MkdirTemp(place, "damocles-manager-test")
	if err != nil {
		return ""
	}
	return dir
}
