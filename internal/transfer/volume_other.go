//go:build !linux

package transfer

import (
	"io/fs"
	"os"
	"syscall"
)

// sameMount goes by the device: the rename itself has the last word.
func sameMount(a, b string) bool {
	ia, err := os.Stat(a)
	if err != nil {
		return false
	}
	ib, err := os.Stat(b)
	if err != nil {
		return false
	}
	sa, ok := ia.Sys().(*syscall.Stat_t)
	sb, ok2 := ib.Sys().(*syscall.Stat_t)
	return ok && ok2 && sa.Dev == sb.Dev
}

func freeSpace(string) (space, bool) { return space{}, false }

func diskBytes(info fs.FileInfo) int64 { return info.Size() }
