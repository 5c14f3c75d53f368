package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// copier copies single files to the names under which they are staged. It may
// be used by several goroutines at once, for different files.
type copier struct {
	fs     durable.FS
	limit  *limiter
	verify Verify
	// add hears of each piece of bytes that is done, those that an earlier run
	// had copied included. Several goroutines may call it at once.
	add func(n int64)
	// follow copies what a symbolic link points to; else a link is an error.
	follow bool

	sizes        copySizes
	small, large *sync.Pool // of *[]byte
}

// copySizes are the sizes, in bytes, that make a difference.
type copySizes struct {
	small  int64 // a file below it is copied with as few calls as can be
	buffer int64 // what is read or written at once
	window int64 // after so much the disk begins to write it out
	resume int64 // a file from it on can be gone on with
	step   int64 // such a file is synced, and its state kept, each so many bytes
}

var defaultSizes = copySizes{small: 1 << 20, buffer: 1 << 20, window: 8 << 20, resume: 64 << 20, step: 256 << 20}

// fileResult is a file as it was read.
type fileResult struct {
	Size    int64
	ModTime time.Time
	Sum     [32]byte // its SHA-256, if Hashed
	Hashed  bool
}

// newCopier makes a copier; limit may be nil, and so may add.
func newCopier(s durable.FS, limit *limiter, verify Verify, add func(n int64)) *copier {
	return newCopierOf(defaultSizes, s, limit, verify).counting(add)
}

func newCopierOf(sizes copySizes, s durable.FS, limit *limiter, verify Verify) *copier {
	pool := func(size int64) *sync.Pool {
		return &sync.Pool{New: func() any { b := make([]byte, size); return &b }}
	}
	c := &copier{fs: s, limit: limit, verify: verify, sizes: sizes}
	c.small, c.large = pool(min(64<<10, sizes.small)), pool(sizes.buffer)
	return c.counting(nil)
}

// counting returns a copier that shares limit and memory with c, and counts
// what it does with another add; nil counts nothing.
func (c *copier) counting(add func(n int64)) *copier {
	n := *c
	n.add = add
	if add == nil {
		n.add = func(int64) {}
	}
	return &n
}

// copyFile copies the regular file src to staged, with its permissions, times
// and, as root, its owner; the name of staged is not synced. A large file goes
// on where an interrupted call has stopped, and one that is complete is not read
// again, until forget. With lazy the data is not synced: the caller syncs the
// whole file system before he publishes it.
//
// An error leaves nothing at staged but what a later call goes on with. A source
// that changes while it is read is an error.
func (c *copier) copyFile(ctx context.Context, src, staged string, lazy bool) (fileResult, error) {
	if err := ctx.Err(); err != nil {
		return fileResult{}, fmt.Errorf("copy %s: %w", src, err)
	}
	in, fi, err := c.openSource(src, c.follow)
	if err != nil {
		return fileResult{}, copyError(src, err)
	}
	defer in.Close()
	var got fileResult
	if fi.Size() < c.sizes.small {
		got, err = c.copySmall(ctx, in, fi, staged, lazy)
	} else {
		got, err = c.copyLarge(ctx, in, fi, staged, lazy)
	}
	if err != nil {
		return fileResult{}, copyError(src, err)
	}
	return got, nil
}

// openSource opens the regular file path for reading.
func (c *copier) openSource(path string, follow bool) (*os.File, fs.FileInfo, error) {
	if err := c.fs.Step("open", path); err != nil {
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	flags := os.O_RDONLY | syscall.O_NONBLOCK // a FIFO would wait for a writer
	if !follow {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		if fi, serr := os.Lstat(path); serr == nil && !fi.Mode().IsRegular() && (!follow || fi.Mode()&fs.ModeSymlink == 0) {
			return nil, nil, notRegular(fi.Mode())
		}
		return nil, nil, withoutPath(err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = notRegular(fi.Mode())
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, fi, nil
}

func notRegular(mode fs.FileMode) error {
	what := "a special file"
	switch mode.Type() {
	case fs.ModeDir:
		what = "a directory"
	case fs.ModeSymlink:
		what = "a symbolic link"
	case fs.ModeNamedPipe:
		what = "a named pipe"
	case fs.ModeSocket:
		what = "a socket"
	}
	return fault.New("look what it does there: a sector consists of regular files", "it is %s, not a file", what)
}

// changed returns an error if in is not what it was when it was opened.
func changed(in *os.File, before fs.FileInfo) error {
	now, err := in.Stat()
	if err != nil {
		return err
	}
	if now.Size() == before.Size() && now.ModTime().Equal(before.ModTime()) {
		return nil
	}
	return &changedError{fmt.Sprintf("it changed while it was read (%d bytes of %s before, %d bytes of %s after)",
		before.Size(), before.ModTime().Format(time.RFC3339Nano), now.Size(), now.ModTime().Format(time.RFC3339Nano))}
}

// ended is the error of a file that has less than it should.
func ended(in *os.File, before fs.FileInfo, at int64) error {
	if err := changed(in, before); err != nil {
		return err
	}
	return &changedError{fmt.Sprintf("it ended after %d of %d bytes", at, before.Size())}
}

// changedError is a source that is no longer what was copied.
type changedError struct{ reason string }

func (e *changedError) Error() string { return e.reason }

const roomHint = "make room at the target and run this again: it goes on where it stopped"

// copyError names the file, and says what can be done.
func copyError(src string, err error) error {
	hint := ""
	switch {
	case errors.As(err, new(*changedError)):
		hint = "stop the program that writes to it, and run this again"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		hint = roomHint
	case errors.Is(err, unix.EIO):
		hint = "a disk reports errors: look into the kernel's log, and run this again once it is sound"
	case errors.Is(err, fs.ErrPermission) && fault.HintOf(err) == "":
		hint = "run this as the owner of the files or as root"
	}
	if hint == "" {
		return fmt.Errorf("copy %s: %w", src, err)
	}
	return fault.New(hint, "copy %s: %w", src, err)
}

// withoutPath spares a path that the message has already.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	return err
}
