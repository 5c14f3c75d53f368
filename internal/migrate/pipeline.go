package migrate

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// chunk is how much passes between goroutines at once: enough that handing it
// over costs nothing beside the work on it.
type chunk[T, R any] struct {
	in   []T
	out  []R
	done chan struct{}
}

// inOrder calls work for everything that feed emits, at most jobs at once, and
// then done with the results, one after the other, in the order of feed. Only
// so much is held as jobs need. The first error ends it all and is returned.
func inOrder[T, R any](ctx context.Context, jobs, size int,
	feed func(ctx context.Context, emit func(T) error) error,
	work func(context.Context, T) (R, error),
	done func(R) error,
) error {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *chunk[T, R])
	order := make(chan *chunk[T, R], 2*jobs)

	g.Go(func() error {
		defer close(todo)
		defer close(order)
		return feedChunks(ctx, size, feed, todo, order)
	})
	for range jobs {
		g.Go(func() error { return workChunks(ctx, todo, work) })
	}
	g.Go(func() error {
		for c := range order {
			select {
			case <-c.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, r := range c.out {
				if err := done(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return g.Wait()
}

func feedChunks[T, R any](ctx context.Context, size int, feed func(context.Context, func(T) error) error,
	todo, order chan<- *chunk[T, R],
) error {
	newChunk := func() *chunk[T, R] {
		return &chunk[T, R]{in: make([]T, 0, size), done: make(chan struct{})}
	}
	c := newChunk()
	send := func() error {
		for _, to := range []chan<- *chunk[T, R]{order, todo} {
			select {
			case to <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c = newChunk()
		return nil
	}
	err := feed(ctx, func(item T) error {
		c.in = append(c.in, item)
		if len(c.in) < size {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	if len(c.in) == 0 {
		return nil
	}
	return send()
}

func workChunks[T, R any](ctx context.Context, todo <-chan *chunk[T, R], work func(context.Context, T) (R, error)) error {
	for c := range todo {
		c.out = make([]R, 0, len(c.in))
		for _, item := range c.in {
			if err := ctx.Err(); err != nil {
				return err
			}
			r, err := work(ctx, item)
			if err != nil {
				return err
			}
			c.out = append(c.out, r)
		}
		c.in = nil
		close(c.done)
	}
	return nil
}
