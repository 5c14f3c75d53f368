package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"damocles-manager/internal/fault"
)

type onceKey struct{}

// Once marks the calls under ctx as ones that must not be carried out twice.
// They are tried again only where the first try cannot have reached the peer.
func Once(ctx context.Context) context.Context {
	return context.WithValue(ctx, onceKey{}, true)
}

// retry tries until it succeeds, until the failure is one that does not pass,
// or until the attempts are used up.
func (c *Client) retry(ctx context.Context, method string, try func() *failure) error {
	for n := 1; ; n++ {
		f := try()
		if f == nil {
			return nil
		}
		if !c.worthAnother(ctx, f) {
			return f.err
		}
		if n >= c.opts.Retry.Attempts {
			return fault.New(fault.HintOf(f.err), "%w (tried %d times)", f.err, n)
		}
		if !c.pause(ctx, f, n+1) {
			return c.cancelled(ctx, method)
		}
	}
}

func (c *Client) worthAnother(ctx context.Context, f *failure) bool {
	once, _ := ctx.Value(onceKey{}).(bool)
	first := c.opts.Retry.NoRetryOnFirst && !c.answered.Load() && errors.Is(f.err, syscall.ECONNREFUSED)
	return f.passing && (!once || !f.maybe) && !first
}

// pause waits before the given attempt, and announces it; false if the caller
// gave up meanwhile. Jobs that lost the
// same connection wait together: one notice for all of them.
func (c *Client) pause(ctx context.Context, f *failure, attempt int) bool {
	delay := c.delay(attempt)
	if c.enter(attempt) {
		c.opts.Notice(fmt.Sprintf("%s did not answer (%s); trying again in %v (%d of %d)",
			c, f.why, delay, attempt, c.opts.Retry.Attempts))
	}
	defer c.leave(attempt)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// delay doubles from one attempt to the next and is shortened by up to a
// quarter, so that jobs that failed together do not come back together.
func (c *Client) delay(attempt int) time.Duration {
	d := min(c.opts.Retry.Base<<(attempt-2), c.opts.Retry.Cap)
	if d <= 0 {
		d = c.opts.Retry.Cap
	}
	return (d - rand.N(d/4+1)).Round(time.Millisecond)
}

func (c *Client) enter(attempt int) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[attempt]++
	return c.waiting[attempt] == 1
}

func (c *Client) leave(attempt int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[attempt]--
}
