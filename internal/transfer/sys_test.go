package transfer

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

func statOf(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

func mkfifo(path string) error { return unix.Mkfifo(path, 0o644) }
