//go:build !linux

package durable

import "golang.org/x/sys/unix"

func renameNoReplace(_, _ string) error { return unix.ENOSYS }
