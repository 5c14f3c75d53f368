package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/post"
)

// osFS is the operating system's file system.
type osFS struct{}

func (osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (osFS) Open(name string) (post.File, error)   { return os.Open(name) }

// errHangs: the file system gave no answer in time.
var errHangs = errors.New("no answer")

// CheckStore says what is wrong with a store's directory: that it is not there, is no
// directory, or does not answer in time.
func CheckStore(ctx context.Context, dir string, timeout time.Duration) error {
	info, err := Within(ctx, timeout, func() (fs.FileInfo, error) { return os.Stat(dir) })
	switch {
	case errors.Is(err, errHangs):
		return fmt.Errorf("%s: %w", dir, err)
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	}
	return err
}

// Within runs fn, which looks into stores, and waits for it no longer than the
// timeout, or until ctx ends; see Hangs.
func Within[T any](ctx context.Context, timeout time.Duration, fn func() (T, error)) (T, error) {
	a := &auditor{Options: Options{Timeout: timeout}, pending: make(chan struct{}, 1)}
	out, err := within(ctx, a, func(context.Context, func()) (T, error) { return fn() })
	if errors.Is(err, errHangs) {
		err = fmt.Errorf("%w within %s", err, timeout)
	}
	return out, err
}

// Hangs says whether an error of Within is that there was no answer in time.
func Hangs(err error) bool { return errors.Is(err, errHangs) }

// within runs fn, which calls into a file system, and waits for it no longer than
// until alive has not been called for the timeout. What hangs there cannot be
// stopped, only left behind; its result then belongs to nobody.
func within[T any](ctx context.Context, a *auditor, fn func(ctx context.Context, alive func()) (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var zero T
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done, alive := make(chan result, 1), make(chan struct{}, 1)
	var late <-chan time.Time
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	if a.Timeout > 0 {
		timer.Reset(a.Timeout)
		late = timer.C
	}
	select {
	case a.pending <- struct{}{}:
	case <-late:
		return zero, errHangs
	case <-ctx.Done():
		return zero, ctx.Err()
	}
	var g errgroup.Group
	g.Go(func() error {
		defer func() { <-a.pending }()
		v, err := fn(inner, func() {
			select {
			case alive <- struct{}{}:
			default:
			}
		})
		done <- result{v, err}
		return nil
	})
	for {
		select {
		case r := <-done:
			return r.v, r.err
		case <-alive:
			if a.Timeout > 0 {
				timer.Reset(a.Timeout)
			}
		case <-late:
			return zero, errHangs
		case <-ctx.Done():
			return zero, ctx.Err()
		}
	}
}
