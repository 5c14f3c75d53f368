//go:build !linux

package lotus

import (
	"errors"
	"os"
)

var errNoLocks = errors.New("the locks of a lotus-miner repo can be seen on linux only")

func recordLocked(string) (held bool, pid int, err error) { return false, 0, errNoLocks }

func lockRecord(*os.File) error { return errNoLocks }

func flocked(string) (held bool, pid int, err error) { return false, 0, errNoLocks }

func flockOwner(string, bool) int { return 0 }
