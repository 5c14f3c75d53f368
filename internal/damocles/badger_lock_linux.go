package damocles

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/fault"
)

// lockDir takes the lock that Badger itself takes, a flock on the directory:
// unix.LOCK_SH as a reader does, unix.LOCK_EX as a writer does. It never waits.
// Closing the file gives the lock back. errHeld says that another has it.
func lockDir(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errHeld
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

var errHeld = errors.New("held by another process")

// ErrInUse is wrapped by the refusal of a database that another process has open.
var ErrInUse = errors.New("in use")

// holderError names the process that has a database open.
type holderError struct{ by string }

func (e *holderError) Error() string        { return e.by }
func (e *holderError) Is(target error) bool { return target == ErrInUse }

// heldError refuses because of a lock on a collection.
func heldError(name, dir string) error {
	by := "another process"
	if pid := holder(dir); pid != 0 {
		by = "process " + strconv.Itoa(pid)
	}
	return fault.Refuse("stop damocles-manager, or go through it with --listen",
		"the database %s in %s is in use by %w", name, filepath.Dir(dir), &holderError{by})
}

// holder returns the process that holds Badger's lock on dir, or 0 where that
// cannot be told: /proc/locks is asked first, because Badger's LOCK file stays
// behind when its process is killed, and is never written by readers.
func holder(dir string) int {
	if pid := holderByLocks(dir); pid != 0 {
		return pid
	}
	data, err := os.ReadFile(filepath.Join(dir, "LOCK"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return 0
	}
	return pid
}

func holderByLocks(dir string) int {
	info, err := os.Stat(dir)
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
		lock, ok := parseLock(line)
		if !ok || lock.inode != stat.Ino {
			continue
		}
		if lock.device == stat.Dev || hasOpen(lock.pid, info) {
			return lock.pid
		}
	}
	return 0
}

type procLock struct {
	pid    int
	device uint64
	inode  uint64
}

// parseLock reads a line of /proc/locks about a flock that is held, such as
// "1: FLOCK  ADVISORY  WRITE 4711 fe:00:1835009 0 EOF".
func parseLock(line string) (procLock, bool) {
	f := strings.Fields(line)
	if len(f) < 6 || f[1] != "FLOCK" {
		return procLock{}, false
	}
	file := strings.Split(f[5], ":")
	pid, err := strconv.Atoi(f[4])
	if err != nil || pid <= 0 || len(file) != 3 {
		return procLock{}, false
	}
	major, errMajor := strconv.ParseUint(file[0], 16, 32)
	minor, errMinor := strconv.ParseUint(file[1], 16, 32)
	inode, errInode := strconv.ParseUint(file[2], 10, 64)
	if errors.Join(errMajor, errMinor, errInode) != nil {
		return procLock{}, false
	}
	return procLock{pid: pid, device: unix.Mkdev(uint32(major), uint32(minor)), inode: inode}, true
}

// hasOpen says whether the process has the file open, as far as we may look.
// On file systems such as btrfs the device that stat gives is not the one in
// /proc/locks, and the inode alone could be another file's.
func hasOpen(pid int, file os.FileInfo) bool {
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if info, err := os.Stat(fd); err == nil && os.SameFile(info, file) {
			return true
		}
	}
	return false
}

// freeSpace returns how many bytes may still be written beside dir; false
// where the file system does not say.
func freeSpace(dir string) (uint64, bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil || stat.Blocks == 0 || stat.Bsize <= 0 {
		return 0, false
	}
	return stat.Bavail * uint64(stat.Bsize), true
}
