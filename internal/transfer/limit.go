package transfer

import (
	"context"
	"sync"
	"time"
)

// limiter bounds the bytes that all who share it copy. A nil one does not.
type limiter struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	free time.Time // when what was let through so far has had its time
}

// newLimiter returns nil, no limit, for a rate that is not above 0.
func newLimiter(bytesPerSecond int64) *limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &limiter{rate: bytesPerSecond}
}

// wait returns when n bytes may be copied, or with ctx's error at its end. Those
// who wait are let through in the order in which they came.
func (l *limiter) wait(ctx context.Context, n int64) error {
	if l == nil {
		return ctx.Err()
	}
	l.mu.Lock()
	now := time.Now()
	start := l.free
	if start.Before(now) {
		start = now // time that nobody used is not saved up
	}
	l.free = start.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	l.mu.Unlock()
	if !start.After(now) {
		return ctx.Err()
	}
	timer := time.NewTimer(start.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// piece is how much of n bytes to copy at once: not more than a quarter of a
// second's worth, so that the rate is even and a cancelled copy stops soon.
func (l *limiter) piece(n int64) int64 {
	if l == nil {
		return n
	}
	return min(n, max(l.rate/4, 4096))
}
