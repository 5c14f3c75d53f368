package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
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
	log     *slog.Logger
	looking sync.WaitGroup // nobody waits for it
}

func newLooks(log *slog.Logger) *looks {
	return &looks{places: make(chan struct{}, maxLooks), timeout: checkTimeout, log: log}
}

// look runs fn, which changes nothing, and waits for it no longer than the caller and the
// timeout do. A panic, as of a damaged database, is its error: out here the server does
// not catch it, and it would end the daemon.
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
		var r result
		defer func() {
			if p := recover(); p != nil {
				l.log.Error("panic in a look into a store", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				r.err = fmt.Errorf("panic in a look into a store: %v", p)
			}
			<-l.places
			done <- r
		}()
		r.v, r.err = fn()
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
