package ui

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Progress counts what is done, for a line on the terminal with the rate and
// the time left. Counting costs one atomic add.
type Progress struct {
	done  atomic.Int64
	total atomic.Int64 // 0: unknown
}

// Add counts n more as done.
func (p *Progress) Add(n int64) { p.done.Add(n) }

// SetTotal says how many there are in all.
func (p *Progress) SetTotal(n int64) { p.total.Store(n) }

// Line renders the progress: what is done, how fast, and how long it will take.
func (p *Progress) Line(verb string, elapsed time.Duration) string {
	done, total := p.done.Load(), p.total.Load()
	rate := float64(done) / max(elapsed.Seconds(), 0.001)
	if total <= 0 || done > total {
		return fmt.Sprintf("%s %d sectors, %.0f/s", verb, done, rate)
	}
	left := "?"
	if rate > 0 {
		left = time.Duration(float64(total-done) / rate * float64(time.Second)).Round(time.Second).String()
	}
	return fmt.Sprintf("%s %d of %d sectors, %.0f/s, %s left", verb, done, total, rate, left)
}

// Draws says whether progress is shown at all.
func (u *UI) Draws() bool { return u.Terminal && !u.Quiet && !u.JSON }

// While runs work, and shows its progress twice a second where stderr is a
// terminal and nobody asked for quiet or JSON.
func (u *UI) While(ctx context.Context, verb string, p *Progress, work func(context.Context) error) error {
	if !u.Draws() {
		return work(ctx)
	}
	start := time.Now()
	stop := make(chan struct{})
	var g errgroup.Group
	g.Go(func() error {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				u.setStatus("")
				return nil
			case now := <-tick.C:
				u.setStatus(p.Line(verb, now.Sub(start)))
			}
		}
	})
	err := work(ctx)
	close(stop)
	_ = g.Wait() // the drawing cannot fail
	return err
}

func (u *UI) setStatus(line string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear()
	u.status = line
	u.redraw()
}

// clear takes the progress off the terminal, so that something else can be
// printed there; redraw puts it back below.
func (u *UI) clear() {
	if u.status == "" {
		return
	}
	fmt.Fprint(u.err, "\r\x1b[K"+strings.Repeat("\x1b[1A\x1b[K", strings.Count(u.status, "\n")))
}

func (u *UI) redraw() {
	if u.status != "" {
		fmt.Fprint(u.err, u.status)
	}
}
