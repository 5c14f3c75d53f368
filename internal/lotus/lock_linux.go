package lotus

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// recordLocked tells whether somebody holds an fcntl lock on path, and who; pid
// 0 is unknown. A missing file is not locked. It asks through the description
// of its own file (OFD), so that it sees locks of this process as well.
func recordLocked(path string) (held bool, pid int, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer f.Close()
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
		return false, 0, fmt.Errorf("fcntl %s: %w", path, err)
	}
	// The pid of a lock that belongs to a description, such as ours, is -1.
	return lk.Type != unix.F_UNLCK, max(0, int(lk.Pid)), nil
}

// lockRecord takes the whole-file write lock that lotus-miner takes with
// F_SETLK, and that excludes it. Ours belongs to the open file and not to the
// process: a lock of the process would be lost as soon as anything in it opened
// and closed the same file, and the probe above does. The error is EAGAIN if
// somebody holds the lock; it is held until f is closed.
func lockRecord(f *os.File) error {
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lk)
}

// flocked tells whether somebody holds path's flock exclusively, and who; pid 0
// is unknown. /proc/locks knows without touching the lock, but not of holders in
// another container: what it does not show is tried, for a moment and shared.
func flocked(path string) (held bool, pid int, err error) {
	if pid := flockOwner(path, false); pid != 0 {
		return true, pid, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer f.Close() // which unlocks
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, 0, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("flock %s: %w", path, err)
	}
	return false, 0, nil
}

// flockOwner returns the pid of who holds path's flock exclusively, or shared
// if that counts, as far as /proc/locks shows it, else 0.
func flockOwner(path string, shared bool) int {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if pid, ok := flockLine(s.Text(), &st, shared); ok {
			return pid
		}
	}
	return 0
}

// flockLine reads a line such as
//
//	5: FLOCK  ADVISORY  WRITE 1234 08:02:5678 0 EOF
//
// with the device in hexadecimal. The line of one who waits has a "->" more.
func flockLine(line string, st *unix.Stat_t, shared bool) (pid int, ok bool) {
	field := strings.Fields(line)
	if len(field) < 6 || field[1] != "FLOCK" || (field[3] != "WRITE" && !shared) {
		return 0, false
	}
	place := strings.Split(field[5], ":")
	if len(place) != 3 {
		return 0, false
	}
	major, err1 := strconv.ParseUint(place[0], 16, 32)
	minor, err2 := strconv.ParseUint(place[1], 16, 32)
	inode, err3 := strconv.ParseUint(place[2], 10, 64)
	pid, err4 := strconv.Atoi(field[4])
	if errors.Join(err1, err2, err3, err4) != nil || pid <= 0 {
		return 0, false
	}
	return pid, inode == st.Ino && uint32(major) == unix.Major(st.Dev) && uint32(minor) == unix.Minor(st.Dev)
}
