package cli

import (
	"errors"
	"strings"
	"syscall"
)

const roomHint = "make room on that disk, then run the same command again: it finishes the rest"

// noRoom says whether a disk was full. It is a matter of the machine and not of
// the database that happened to notice it, whose own hint would mislead. Badger
// flattens its errors to text on their way up.
func noRoom(err error) bool {
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) || (err != nil && strings.Contains(err.Error(), full.Error())) {
			return true
		}
	}
	return false
}
