package transfer

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockHolder returns the process that has the file locked by flock, or 0 where
// that cannot be told.
func lockHolder(f *os.File) int {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	data, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if pid := lockOf(line, stat.Dev, stat.Ino); pid != 0 {
			return pid
		}
	}
	return 0
}

// lockOf reads a line such as "1: FLOCK  ADVISORY  WRITE 4711 fe:00:1835009 0
// EOF". It returns 0 for a lock on another file.
func lockOf(line string, dev, ino uint64) int {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[1] != "FLOCK" {
		return 0
	}
	file := strings.Split(fields[5], ":")
	if len(file) != 3 {
		return 0
	}
	major, err := strconv.ParseUint(file[0], 16, 32)
	minor, err2 := strconv.ParseUint(file[1], 16, 32)
	inode, err3 := strconv.ParseUint(file[2], 10, 64)
	pid, err4 := strconv.Atoi(fields[4])
	if err != nil || err2 != nil || err3 != nil || err4 != nil || pid < 0 {
		return 0
	}
	if inode != ino || unix.Mkdev(uint32(major), uint32(minor)) != dev {
		return 0
	}
	return pid
}
