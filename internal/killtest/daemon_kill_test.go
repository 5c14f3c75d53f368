package killtest

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestKillDaemon kills a daemon again and again while many clients write. Every
// write that it has answered must be there after the next start.
func TestKillDaemon(t *testing.T) {
	home := homeCopy(t)
	rounds := max(3, kills()/20)
	const clients = 32
	var writers []*writer
	random := rand.New(rand.NewPCG(seed(), 1))
	answered := 0
	for round := range rounds {
		d := serveHome(t, home)
		client := d.client(t)
		if writers == nil {
			for i := range clients {
				writers = append(writers, newWriter(t, d, uint64(2000+i)))
			}
		}
		for _, w := range writers {
			w.client = client
			w.look(t.Context(), client)
		}
		g, ctx := errgroup.WithContext(t.Context())
		for _, w := range writers {
			g.Go(func() error {
				for w.write(ctx) == nil { // until the daemon is gone
				}
				return nil
			})
		}
		time.Sleep(50*time.Millisecond + time.Duration(random.Int64N(int64(400*time.Millisecond))))
		must(t, d.cmd.Process.Signal(syscall.SIGKILL))
		d.wait()
		must(t, g.Wait())
		answered = 0
		for _, w := range writers {
			answered += int(w.answered)
		}
		t.Logf("round %d: %d writes were answered so far", round, answered)
	}
	if answered < clients {
		t.Fatalf("only %d writes were answered: the test shows nothing", answered)
	}
	d := serveHome(t, home)
	for _, w := range writers {
		w.look(context.Background(), d.client(t))
	}
	d.stops()
	// and damocles itself finds them
	homeRecords(t, home, readOnly)
}
