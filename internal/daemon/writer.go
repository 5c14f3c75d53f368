package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/migrate"
)

// maxBatch is how many writes share a transaction, with room to spare in Badger's.
const maxBatch = 1000

var errClosing = errors.New("this damocles-manager is about to stop, and takes no more writes")

// writer is the only one that writes into the home. Writes that come while one is
// being synced share the next sync, which is what takes the time.
type writer struct {
	home   *damocles.Home
	ledger *ledger
	census *census

	queue   chan *write
	closing chan struct{}
	once    sync.Once
	done    chan struct{} // closed when nothing is being written any more
	err     error         // of the journal's end; read it after done
	running sync.WaitGroup
}

// write is one of a caller's. Its plan says what to change, in the order in which
// that is to be done, seen from what the home holds when it is called. It may be
// called several times.
type write struct {
	plan    func() ([]damocles.Change, error)
	changes []damocles.Change
	err     error
	done    chan struct{}
}

func newWriter(home *damocles.Home, l *ledger, c *census) *writer {
	w := &writer{home: home, ledger: l, census: c,
		queue: make(chan *write), closing: make(chan struct{}), done: make(chan struct{})}
	w.running.Go(w.run) // it lives until close, beside all calls, so there is no group to be in
	return w
}

// do carries a write out and returns when it is on disk. Once it was taken, ctx does
// not end it any more: nobody could say then what became of it.
func (w *writer) do(ctx context.Context, plan func() ([]damocles.Change, error)) error {
	o := &write{plan: plan, done: make(chan struct{})}
	select {
	case w.queue <- o:
		<-o.done
		return o.err
	case <-w.closing:
		return errClosing
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) close(ctx context.Context) error {
	w.once.Do(func() { close(w.closing) })
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) run() {
	defer close(w.done)
	var held *write
	for {
		o := held
		if o == nil {
			select {
			case o = <-w.queue:
			case <-w.closing:
				w.err = w.ledger.end()
				return
			}
		}
		var batch []*write
		batch, held = w.collect(o)
		w.carryOut(batch)
	}
}

// collect takes what waits, from o on, until one touches what another one in the batch
// changes: that one is held for the next batch, and planned again.
func (w *writer) collect(o *write) (batch []*write, held *write) {
	touched := map[string]bool{}
	for {
		if o.changes, o.err = o.plan(); o.err != nil || len(o.changes) == 0 {
			close(o.done)
		} else {
			if slices.ContainsFunc(o.changes, func(c damocles.Change) bool { return touched[c.Store+"\x00"+c.Key] }) {
				return batch, o
			}
			for _, c := range o.changes {
				touched[c.Store+"\x00"+c.Key] = true
			}
			batch = append(batch, o)
		}
		if len(batch) == maxBatch {
			return batch, nil
		}
		select {
		case o = <-w.queue:
		default:
			return batch, nil
		}
	}
}

// carryOut writes a batch. Where that fails, each of its writes is tried alone, so that
// none fails for another one's sake; what was written already is left alone then.
func (w *writer) carryOut(batch []*write) {
	if len(batch) == 0 {
		return
	}
	err := w.apply(batch)
	for i, o := range batch {
		if o.err = err; err != nil && len(batch) > 1 {
			o.err = w.apply(batch[i : i+1])
		}
		close(o.done)
	}
}

func (w *writer) apply(batch []*write) error {
	var undo []migrate.Change
	for _, o := range batch {
		if slices.ContainsFunc(o.changes, func(c damocles.Change) bool { return c.Before != nil }) {
			for _, c := range o.changes {
				undo = append(undo, migrate.Change(c))
			}
		}
	}
	if err := w.ledger.record(undo); err != nil {
		return err
	}
	changes := inOrder(batch)
	return w.census.counting(changes, func() error { return w.home.Apply(context.Background(), changes) })
}

// inOrder puts the first changes of all writes first, then the second ones, and so on;
// among those, one database after the other, each of which is one transaction.
func inOrder(batch []*write) []damocles.Change {
	var out []damocles.Change
	for step := 0; ; step++ {
		var some []damocles.Change
		for _, o := range batch {
			if step < len(o.changes) {
				some = append(some, o.changes[step])
			}
		}
		if some == nil {
			return out
		}
		slices.SortStableFunc(some, func(a, b damocles.Change) int { return strings.Compare(a.Store, b.Store) })
		out = append(out, some...)
	}
}
