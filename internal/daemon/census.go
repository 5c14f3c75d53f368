package daemon

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"

	"damocles-manager/internal/damocles"
)

// Count is how many sectors a workspace has in a state: one of the words of
// sector.Status, or "unreadable".
type Count struct {
	Workspace damocles.Workspace
	State     string
	Sectors   int
}

const unreadable = "unreadable"

// Census says how many sectors there are, by workspace and state, with those that
// were there at the start and what was written since. It never waits: false until
// the first count, which begins with New, is done.
func (d *Daemon) Census(context.Context) ([]Count, bool) { return d.census.counts() }

// census is counted once, and then kept by the writes.
type census struct {
	home *damocles.Home
	log  *slog.Logger

	mu       sync.Mutex // held while a write is carried out and counted
	sectors  map[Count]int
	complete bool

	stop    context.CancelFunc
	done    chan struct{}
	running sync.WaitGroup
}

func newCensus(home *damocles.Home, log *slog.Logger) *census {
	ctx, stop := context.WithCancel(context.Background())
	c := &census{home: home, log: log, sectors: map[Count]int{}, stop: stop, done: make(chan struct{})}
	c.running.Go(func() { // calls go on beside it; close waits for it
		defer close(c.done)
		c.run(ctx)
	})
	return c
}

func (c *census) close(ctx context.Context) error {
	c.stop()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *census) run(ctx context.Context) {
	for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
		if err := c.count(ctx, ws); err != nil {
			if ctx.Err() == nil {
				c.log.Error("the sectors cannot be counted", "workspace", ws, "error", err)
			}
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complete = true
}

// count counts what the workspace holds when it begins: no write happens between the
// start of the iteration, which sees nothing later, and the first sector. From then on
// writes add to it themselves.
func (c *census) count(ctx context.Context, ws damocles.Workspace) error {
	c.mu.Lock()
	begun := sync.OnceFunc(c.mu.Unlock)
	defer begun()
	found := map[string]int{}
	for at := range c.sectors { // what was written before this count began is in it
		if at.Workspace == ws {
			delete(c.sectors, at)
		}
	}
	err := c.home.Each(ctx, ws, nil, func(kv damocles.KV) error {
		begun()
		state, err := readKV(kv)
		found[stateWord(ws, state, err)]++
		return nil
	})
	if err != nil {
		return err
	}
	begun()
	c.mu.Lock()
	defer c.mu.Unlock()
	for state, n := range found {
		c.sectors[Count{Workspace: ws, State: state}] += n
	}
	return nil
}

func stateWord(ws damocles.Workspace, s *damocles.SectorState, err error) string {
	if err != nil {
		return unreadable
	}
	return s.Record(ws).Status.String()
}

// counting carries out what writes the changes, and counts them if it did.
func (c *census) counting(changes []damocles.Change, apply func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := apply(); err != nil {
		return err
	}
	for _, change := range changes {
		for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
			if change.Store == ws.Collection() {
				c.add(ws, change.Before, -1)
				c.add(ws, change.After, +1)
			}
		}
	}
	return nil
}

func (c *census) add(ws damocles.Workspace, value []byte, n int) {
	if value == nil {
		return
	}
	state, err := damocles.DecodeState(value)
	c.sectors[Count{Workspace: ws, State: stateWord(ws, state, err)}] += n
}

func (c *census) counts() ([]Count, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.complete {
		return nil, false
	}
	var out []Count
	for at, n := range c.sectors {
		at.Sectors = n
		out = append(out, at)
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Workspace, a.Workspace), cmp.Compare(a.State, b.State))
	})
	return out, true
}
