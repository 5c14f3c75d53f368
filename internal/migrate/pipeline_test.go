package migrate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

var errWanted = errors.New("wanted")

// upTo feeds the numbers below n.
func upTo(n int) func(context.Context, func(int) error) error {
	return func(_ context.Context, emit func(int) error) error {
		for i := range n {
			if err := emit(i); err != nil {
				return err
			}
		}
		return nil
	}
}

func double(_ context.Context, i int) (int, error) { return 2 * i, nil }

// noneLeft fails if the test leaves goroutines behind.
func noneLeft(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		stacks := make([]byte, 1<<16)
		t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
	})
}

func TestInOrder(t *testing.T) {
	noneLeft(t)
	for _, size := range []int{1, 3, 32} {
		for _, jobs := range []int{1, 2, 16} {
			for _, n := range []int{0, 1, 2, 31, 32, 33, 1000} {
				var got []int
				work := func(ctx context.Context, i int) (int, error) {
					if i%7 == 0 {
						time.Sleep(time.Duration(i%5) * 10 * time.Microsecond) // out of step
					}
					return double(ctx, i)
				}
				err := inOrder(t.Context(), jobs, size, upTo(n), work, func(i int) error { got = append(got, i); return nil })
				want := make([]int, 0, n)
				for i := range n {
					want = append(want, 2*i)
				}
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("size %d, jobs %d, n %d: got %d results, %v", size, jobs, n, len(got), err)
				}
			}
		}
	}
}

// An error anywhere ends everything, and is the one returned.
func TestInOrderErrors(t *testing.T) {
	fails := func(at int) func(int) error {
		return func(i int) error {
			if i == at {
				return fmt.Errorf("at %d: %w", i, errWanted)
			}
			return nil
		}
	}
	for _, size := range []int{1, 4} {
		for _, at := range []int{0, 1, 50, 99} {
			t.Run(fmt.Sprintf("chunks of %d, at %d", size, at), func(t *testing.T) {
				noneLeft(t)
				fail := fails(at)
				done := 0
				count := func(int) error { done++; return nil }
				feed := func(ctx context.Context, emit func(int) error) error {
					return upTo(100)(ctx, func(i int) error {
						if err := fail(i); err != nil {
							return err
						}
						return emit(i)
					})
				}
				if err := inOrder(t.Context(), 3, size, feed, double, count); !errors.Is(err, errWanted) {
					t.Errorf("feed: got %v", err)
				}
				if done > at {
					t.Errorf("feed failed at %d, and %d were done", at, done)
				}
				done = 0
				work := func(ctx context.Context, i int) (int, error) { return i, fail(i) }
				if err := inOrder(t.Context(), 3, size, upTo(1_000_000), work, count); !errors.Is(err, errWanted) {
					t.Errorf("work: got %v", err)
				}
				if done > at {
					t.Errorf("work failed at %d, and %d were done", at, done)
				}
				var fed atomic.Int64
				endless := func(ctx context.Context, emit func(int) error) error {
					return upTo(1_000_000)(ctx, func(i int) error { fed.Add(1); return emit(i) })
				}
				if err := inOrder(t.Context(), 3, size, endless, func(_ context.Context, i int) (int, error) { return i, nil }, fail); !errors.Is(err, errWanted) {
					t.Errorf("done: got %v", err)
				}
				if n := fed.Load(); n > int64(at+100) {
					t.Errorf("done failed at %d, but %d were fed", at, n)
				}
			})
		}
	}
}

// Work that waits for something is told of the end.
func TestInOrderCancelled(t *testing.T) {
	for _, name := range []string{"the caller", "another job"} {
		t.Run(name, func(t *testing.T) {
			noneLeft(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			work := func(ctx context.Context, i int) (int, error) {
				if i < 5 {
					return i, nil
				}
				if i == 5 && name == "another job" {
					return 0, errWanted
				}
				if i == 5 {
					cancel()
				}
				<-ctx.Done()
				return 0, ctx.Err()
			}
			want := context.Canceled
			if name == "another job" {
				want = errWanted
			}
			err := inOrder(ctx, 4, 1, upTo(1_000_000), work, func(int) error { return nil })
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
	t.Run("before the start", func(t *testing.T) {
		noneLeft(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := inOrder(ctx, 2, 8, upTo(100), double, func(int) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a feed that waits", func(t *testing.T) {
		noneLeft(t)
		feed := func(ctx context.Context, emit func(int) error) error {
			if err := emit(1); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}
		err := inOrder(t.Context(), 2, 1, feed, double, func(int) error { return errWanted })
		if !errors.Is(err, errWanted) {
			t.Errorf("got %v", err)
		}
	})
}

// No more is held at once than the jobs need, however slow the end is.
func TestInOrderHoldsLittle(t *testing.T) {
	noneLeft(t)
	var fed, done atomic.Int64
	feed := func(ctx context.Context, emit func(int) error) error {
		return upTo(2000)(ctx, func(i int) error {
			fed.Add(1)
			return emit(i)
		})
	}
	err := inOrder(t.Context(), 2, 4, feed, double, func(int) error {
		if ahead := fed.Load() - done.Add(1); ahead > 4*(2*2+2+2) {
			return fmt.Errorf("%d are held", ahead)
		}
		if done.Load()%100 == 0 {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
