package post

import (
	"context"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// FS is where files are read; nil in Options means the operating system's. Nothing
// is ever created or changed through it. Its methods may hang.
type FS interface {
	// Stat follows links, as os.Stat.
	Stat(name string) (fs.FileInfo, error)
	// Open opens for reading only.
	Open(name string) (File, error)
}

// File is an open file. ReadAt and Close may be called while a ReadAt that was
// given up still hangs, as with an *os.File.
type File interface {
	io.ReaderAt
	io.Closer
}

type osFS struct{}

func (osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (osFS) Open(name string) (File, error)        { return os.Open(name) }

// pending bounds the calls into the file system that are under way, those that
// were given up and still hang included: each of them keeps a thread, and a
// process has only some thousand.
type pending chan struct{}

// call runs fn, but waits no longer than ctx: a read from a dead NFS server cannot
// be stopped, it can only be left behind. drop gets a result that came too late.
func call[T any](ctx context.Context, p pending, fn func() (T, error), drop func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	select {
	case p <- struct{}{}:
	case <-ctx.Done():
		return zero, ctx.Err()
	}
	var taken atomic.Bool // by the first of the two: the result, or the end of waiting
	done := make(chan result, 1)
	var g errgroup.Group
	g.Go(func() error {
		defer func() { <-p }()
		v, err := fn()
		if !taken.CompareAndSwap(false, true) {
			if err == nil && drop != nil {
				drop(v)
			}
			return nil
		}
		done <- result{v, err}
		return nil
	})
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		if taken.CompareAndSwap(false, true) {
			return zero, ctx.Err()
		}
		r := <-done
		return r.v, r.err
	}
}
