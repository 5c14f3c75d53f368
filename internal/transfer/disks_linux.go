package transfer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// spinning names the spinning disk that holds dir. File systems without a disk
// of their own, such as NFS, btrfs or ZFS, have none that could be seen.
func spinning(dir string) (string, bool) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	link := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	disk, err := filepath.EvalSymlinks(link)
	if err != nil {
		return "", false
	}
	// A partition has no queue; its disk, one level up, has.
	for _, d := range []string{disk, filepath.Dir(disk)} {
		flag, err := os.ReadFile(filepath.Join(d, "queue", "rotational"))
		if err == nil {
			return d, strings.TrimSpace(string(flag)) == "1"
		}
	}
	return "", false
}
