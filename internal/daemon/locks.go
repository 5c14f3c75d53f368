package daemon

import (
	"context"
	"sync"

	"damocles-manager/internal/sector"
)

// locks let one call at a time change a sector. What a call finds out before it writes
// (what the chain says, which files there are) stays true until it has written.
type locks struct {
	mu   sync.Mutex
	held map[sector.ID]*lock
}

type lock struct {
	turn  chan struct{} // holds one while somebody has it
	users int
}

// take waits for the sector, and returns what gives it back.
func (l *locks) take(ctx context.Context, id sector.ID) (release func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[sector.ID]*lock{}
	}
	k := l.held[id]
	if k == nil {
		k = &lock{turn: make(chan struct{}, 1)}
		l.held[id] = k
	}
	k.users++
	l.mu.Unlock()
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn; l.leave(id, k) }, nil
	case <-ctx.Done():
		l.leave(id, k)
		return nil, ctx.Err()
	}
}

func (l *locks) leave(id sector.ID, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, id)
	}
}

// alone makes a method whose first parameter is a sector wait until no other one is
// changing that sector.
func (d *Daemon) alone(call func(context.Context, sector.ID, *args) (any, error)) func(context.Context, *args) (any, error) {
	return func(ctx context.Context, a *args) (any, error) {
		id := a.sector(0)
		if a.err != nil {
			return nil, a.err
		}
		release, err := d.locks.take(ctx, id)
		if err != nil {
			return nil, err
		}
		defer release()
		return call(ctx, id, a)
	}
}
