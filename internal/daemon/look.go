package daemon

import (
	"context"
	"sync"
	"time"
)

// maxLooks is how many looks into stores may be under way or hang: each keeps a thread.
const maxLooks = 64

// looks are looks into the stores. A network file system whose server is gone answers
// never, and a look at it cannot be stopped: it is left behind.
type looks struct {
	places  chan struct{}
	timeout time.Duration
	looking sync.WaitGroup // nobody waits for it
}

func newLooks() *looks {
	return &looks{places: make(chan struct{}, maxLooks), timeout: checkTimeout}
}

// look runs fn, which changes nothing, and waits for it no longer than the caller and the
// timeout do.
func look[T any](ctx context.Context, l *looks, fn func() (T, error)) (T, error) {
	var none T
	late := time.NewTimer(l.timeout)
	defer late.Stop()
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	case <-late.C:
		return none, errNoAnswer
	}
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	l.looking.Go(func() {
		defer func() { <-l.places }()
		v, err := fn()
		done <- result{v, err}
	})
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-late.C:
		return none, errNoAnswer
	}
}
