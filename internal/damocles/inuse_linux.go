package damocles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/fault"
)

// Use says who has a home open for writing.
type Use struct {
	// PID is 0 where it cannot be told.
	PID int
	// Collection is the first one that is held; with damocles it is meta.
	Collection string
}

// InUse says which process has the home's databases open for writing; nil where
// none has. It asks by trying the lock that readers take, and gives it back at
// once, so it never takes a lock away from anybody. With the drivers mongo and
// plugin there is no lock, and it knows nothing.
func InUse(home string, cfg Config) (*Use, error) {
	if cfg.Driver() != "badger" {
		return nil, nil
	}
	for _, name := range collections() {
		dir := filepath.Join(cfg.DBDir(home), name)
		lock, err := lockDir(dir, unix.LOCK_SH)
		switch {
		case err == nil:
			_ = lock.Close()
		case errors.Is(err, errHeld):
			return &Use{PID: holder(dir), Collection: name}, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fault.New("run as the user who owns the home", "see whether damocles-manager is running: %w", err)
		}
	}
	return nil, nil
}

// ListensAt says whether the process itself listens on the TCP port of this
// machine. known is false where /proc does not tell: the process belongs to
// somebody else, or nothing here listens on that port.
func ListensAt(pid int, port int) (same bool, known bool) {
	sockets := listeners(port)
	if len(sockets) == 0 {
		return false, false
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false, false
	}
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if errors.Is(err, fs.ErrPermission) {
			return false, false
		}
		// Any other error: it was closed while we looked, so it is not the one that listens.
		if err == nil && sockets[target] {
			return true, true
		}
	}
	return false, true
}

// listeners returns the sockets that listen on the port, named as the links in
// /proc/<pid>/fd name them.
func listeners(port int) map[string]bool {
	sockets := make(map[string]bool)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue // no IPv6 here, or no /proc
		}
		for line := range strings.Lines(string(data)) {
			if inode, ok := listenerInode(line, port); ok {
				sockets["socket:["+inode+"]"] = true
			}
		}
	}
	return sockets
}

// listenerInode reads a line of /proc/net/tcp: "sl local_address rem_address st
// … inode …", where the address ends in the port in hex and state 0A listens.
func listenerInode(line string, port int) (string, bool) {
	const listening = "0A"
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listening {
		return "", false
	}
	_, hex, _ := strings.Cut(f[1], ":")
	at, err := strconv.ParseUint(hex, 16, 16)
	return f[9], err == nil && int(at) == port
}
