package transfer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/durable"
)

// The clock stands while files are read and written, so that how busy the machine is
// does not count.
func TestLimiterKeepsTheRate(t *testing.T) {
	for _, verify := range []Verify{VerifySize, VerifyHash} {
		dir := memoryDir(t)
		src, _ := newSource(t, dir, 25_000)
		synctest.Test(t, func(t *testing.T) {
			c := newCopierOf(tinySizes, durable.FS{}, newLimiter(500_000), verify)
			start := time.Now()
			var g errgroup.Group
			for i := range 4 { // 100,000 bytes together: 0.2 s
				g.Go(func() error {
					_, err := c.copyFile(t.Context(), src, filepath.Join(dir, fmt.Sprint("staged", i)), false)
					return err
				})
			}
			noErr(t, g.Wait())
			if took := time.Since(start); took < 190*time.Millisecond || took > 200*time.Millisecond {
				t.Errorf("%s: took %v, want 0.2 s", verify, took)
			}
		})
	}
}

func TestLimiterPieces(t *testing.T) {
	for _, tt := range []struct{ rate, n, want int64 }{
		{0, 1 << 30, 1 << 30},
		{200 << 20, 8 << 20, 8 << 20},
		{1 << 20, 8 << 20, 256 << 10},
		{1, 1 << 20, 4096},
		{1, 10, 10},
	} {
		if got := newLimiter(tt.rate).piece(tt.n); got != tt.want {
			t.Errorf("rate %d, %d bytes: got %d, want %d", tt.rate, tt.n, got, tt.want)
		}
	}
}

func TestLimiterEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := newLimiter(1)
	noErr(t, l.wait(ctx, 3600)) // the first goes at once, and whoever comes next waits an hour
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := l.wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := newLimiter(0).wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("without a limit: got %v", err)
	}
}
