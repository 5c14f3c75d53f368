package lotus

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/rpc"
)

// defaultJobs is how many sectors are read at once. Lotus reads a sector from
// its memory in well under a millisecond; most of the time is spent on the way.
const defaultJobs = 16

// Sectors reads sectors, jobs at once (16 if that is not positive), and hands
// them to fn one by one, in the given order, from the calling goroutine. No more
// than jobs sectors are held at any time, however slow fn is. Lotus is not made
// to ask the chain: Activation and what follows it are zero.
//
// A sector that cannot be read is given with its error and stops nothing. What
// would fail for every further sector does stop, after fn got all before it: a
// lost connection (after the client's retries), a token that is not accepted or
// does not allow the call, and the end of ctx. An error of fn stops, too, and is
// returned as it is.
func (c *Client) Sectors(ctx context.Context, numbers []abi.SectorNumber, jobs int,
	fn func(n abi.SectorNumber, s *APISector, err error) error) error {
	if jobs <= 0 {
		jobs = defaultJobs
	}
	calls, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	defer func() {
		cancel()
		_ = group.Wait() // none of them returns an error
	}()
	// The sector after the queue's last is the one that fn has.
	queue := make(chan chan apiAnswer, jobs-1)
	group.Go(func() error {
		defer close(queue)
		c.ask(calls, &group, numbers, queue)
		return nil
	})
	for slot := range queue {
		a := <-slot
		if stopsAll(a.err) {
			return a.err
		}
		if err := fn(a.number, a.sector, a.err); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// apiAnswer is one sector, or why there is none.
type apiAnswer struct {
	number abi.SectorNumber
	sector *APISector
	err    error
}

// ask starts the calls, each as soon as the queue has a place for its answer.
func (c *Client) ask(ctx context.Context, group *errgroup.Group, numbers []abi.SectorNumber, queue chan<- chan apiAnswer) {
	for _, n := range numbers {
		slot := make(chan apiAnswer, 1)
		select {
		case queue <- slot:
		case <-ctx.Done():
			return
		}
		group.Go(func() error {
			s, err := c.SectorsStatus(ctx, n, false)
			slot <- apiAnswer{n, s, err}
			return nil
		})
	}
}

// stopsAll says that no further sector can be read after this error.
func stopsAll(err error) bool {
	for _, e := range []error{rpc.ErrUnreachable, rpc.ErrUnauthorized, rpc.ErrPermission, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
