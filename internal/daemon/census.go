package daemon

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

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

// census is counted once, and then kept by the writes. It is counted again where
// that failed, or a write did.
type census struct {
	home *damocles.Home
	log  *slog.Logger

	mu       sync.Mutex // held while a write is carried out and counted
	sectors  map[Count]int
	complete bool
	// walk is of the count under way, nil where none is; again says that a write
	// ended so that nobody knows what it wrote.
	walk  *censusWalk
	again bool

	stop    context.CancelFunc
	done    chan struct{}
	running sync.WaitGroup
}

const (
	// recount is how long a count that failed waits for the next one.
	recount = 2 * time.Second
	// recountWrites is how long one waits after a write that failed: others may.
	recountWrites = time.Minute
)

// censusWalk is how far a count has come in a workspace. Keys come in their order.
// A key that is written before its turn is counted by the write, and not when its
// turn comes: whether it is seen then depends on the database.
type censusWalk struct {
	ws      damocles.Workspace
	last    string
	written map[string]bool
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

// run counts, and does it again where that failed or where a write left doubt.
func (c *census) run(ctx context.Context) {
	for {
		wait := recountWrites
		if err := c.countAll(ctx); err != nil && ctx.Err() == nil {
			wait = recount
			c.log.Error("the sectors cannot be counted, which is tried again", "error", err)
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
			c.mu.Lock()
			again = c.again || !c.complete
			c.mu.Unlock()
		}
	}
}

func (c *census) countAll(ctx context.Context) error {
	c.mu.Lock()
	c.complete, c.again = false, false
	clear(c.sectors)
	c.mu.Unlock()
	for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
		if err := c.count(ctx, ws); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complete = true
	return nil
}

// count counts a workspace while it is written to.
func (c *census) count(ctx context.Context, ws damocles.Workspace) error {
	walk := &censusWalk{ws: ws, written: map[string]bool{}}
	c.mu.Lock()
	c.walk = walk
	for at := range c.sectors { // what was written before this count began is in it
		if at.Workspace == ws {
			delete(c.sectors, at)
		}
	}
	c.mu.Unlock()
	err := c.home.Each(ctx, ws, nil, func(kv damocles.KV) error {
		state, err := readKV(kv)
		word := stateWord(ws, state, err)
		c.mu.Lock()
		defer c.mu.Unlock()
		walk.last = kv.Key
		if !walk.written[kv.Key] {
			c.sectors[Count{Workspace: ws, State: word}]++
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.walk = nil
	return err
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
		c.again = true
		return err
	}
	for _, change := range changes {
		for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
			if change.Store == ws.Collection() {
				if !c.ahead(ws, change.Key) {
					c.add(ws, change.Before, -1)
				}
				c.add(ws, change.After, +1)
			}
		}
	}
	return nil
}

// ahead says whether what a key held is not counted yet, and leaves it to the
// writes from now on.
func (c *census) ahead(ws damocles.Workspace, key string) bool {
	if c.walk == nil || c.walk.ws != ws || key <= c.walk.last || c.walk.written[key] {
		return false
	}
	c.walk.written[key] = true
	return true
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
