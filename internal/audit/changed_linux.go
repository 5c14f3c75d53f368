package audit

import (
	"io/fs"
	"syscall"
)

// changed is when the system last changed a file, in nanoseconds; 0 where that is not
// known. Unlike the time of its modification nobody can set it: what is copied over a
// file with its times (`cp -p`, rsync) shows here.
func changed(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return syscall.TimespecToNsec(st.Ctim)
	}
	return 0
}
