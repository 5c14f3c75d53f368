package damocles

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// Options say how to open a home.
type Options struct {
	// Write opens it for writing; damocles cannot have it open then.
	Write bool
	// Create makes the home where it does not exist, also in a directory that has
	// nothing of one; without it, such a directory is refused. It needs Write.
	Create bool
	FS     durable.FS
	// Log may be nil.
	Log *slog.Logger
	// Notice, if set, is given sentences that the user should see at once.
	Notice func(string)
	// DaemonStopped is the user's word that no damocles-manager uses the MongoDB
	// of the home, which nothing else tells. Writing there needs it.
	DaemonStopped bool
	// Patience is how long a MongoDB is looked for, 10 seconds if zero.
	Patience time.Duration
}

// Home is an open damocles home, kept in Badger or in MongoDB. It may be used
// from several goroutines, and written to while it is iterated over: Each goes
// on over what was there at its start. With MongoDB, it may also come to what
// was added meanwhile, and does not come to what was removed.
//
// While a home in Badger is open, damocles cannot open it. Nothing keeps it from
// a MongoDB.
type Home struct {
	engine engine
	write  bool

	closed  atomic.Bool
	writing sync.Mutex // held by Apply
}

// OpenHome opens the home in dir. To write, everything that could refuse is
// asked first: the owner, the locks, and whether the databases are sound.
//
// A database that was not closed cleanly can only be read after a replay, as
// damocles itself makes at its next start; a torn value log, which damocles
// would refuse, is backed up below switching/mended in the home and mended, by
// opening to write only. Both are said through Notice.
//
// A home in MongoDB has to be there: its configuration names the server. It is
// opened to write only with DaemonStopped.
func OpenHome(ctx context.Context, dir string, cfg Config, opt Options) (*Home, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Notice == nil {
		opt.Notice = func(string) {}
	}
	var opened engine
	var err error
	switch driver := cfg.Driver(); driver {
	case "badger":
		opened, err = openBadger(ctx, dir, cfg, opt)
	case "mongo":
		opened, err = openMongo(ctx, dir, cfg, opt)
	default:
		err = fault.Refuse("start damocles-manager and go through it with --listen",
			"the home %s keeps its data with the driver %q, which cannot be opened directly", dir, driver)
	}
	if err != nil {
		return nil, err
	}
	return &Home{engine: opened, write: opt.Write}, nil
}

// KV is one sector's state as it stands in the database.
type KV struct {
	Key    string
	Miner  abi.ActorID
	Number abi.SectorNumber
	// KeyErr says that the key names no sector; Miner and Number are 0 then.
	KeyErr error
	// Value is valid during the call only, and nil if ValueErr says that the
	// database no longer holds it.
	Value    []byte
	ValueErr error
}

// Each calls fn with every sector of the workspace, or of one miner in it, in
// the order of the keys, which are text: 1, 10, 100, 2. A record that is not in
// order is given with its error and stops nothing. An error of fn does, and is
// returned as it is; so does a cancelled ctx.
func (h *Home) Each(ctx context.Context, ws Workspace, miner *abi.ActorID, fn func(KV) error) error {
	return h.scan(ctx, ws.Collection(), ws.statesOf(miner), true, func(r record) error {
		kv := KV{Key: r.key, Value: r.value, ValueErr: r.err}
		kv.Miner, kv.Number, kv.KeyErr = ParseStateKey(ws, r.key)
		return fn(kv)
	})
}

// Scan calls fn with every record of a collection whose key begins with the
// prefix, in the order of the keys' bytes. The value is valid during the call
// only. An error of fn ends it and is returned as it is; a value that cannot be
// read ends it, too.
func (h *Home) Scan(ctx context.Context, collection, prefix string, fn func(key string, value []byte) error) error {
	return h.scan(ctx, collection, prefix, true, func(r record) error {
		if r.err != nil {
			return fmt.Errorf("read from %s: %w", h.engine.at(collection), r.err)
		}
		return fn(r.key, r.value)
	})
}

func (h *Home) scan(ctx context.Context, collection, prefix string, values bool, fn func(record) error) error {
	if err := h.usable(collection); err != nil {
		return err
	}
	return h.engine.each(ctx, collection, prefix, values, fn)
}

// usable says what is wrong with asking for a collection.
func (h *Home) usable(collection string) error {
	if !knownCollection(collection) {
		return fmt.Errorf("damocles has no collection %q", collection)
	}
	if h.closed.Load() {
		return fmt.Errorf("use %s: %w", h.engine.at(collection), fs.ErrClosed)
	}
	return nil
}

// Get returns the state of a sector in the workspace; false where it has none.
func (h *Home) Get(ctx context.Context, ws Workspace, miner abi.ActorID, number abi.SectorNumber) ([]byte, bool, error) {
	return h.Value(ctx, ws.Collection(), StateKey(ws, miner, number))
}

// Value returns what a collection holds under a key; false where nothing.
func (h *Home) Value(ctx context.Context, collection, key string) (value []byte, found bool, err error) {
	if err := h.usable(collection); err != nil {
		return nil, false, err
	}
	err = h.engine.find(ctx, collection, []string{key}, func(_ string, v []byte) {
		value, found = append([]byte{}, v...), v != nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("read from %s: %w", h.engine.at(collection), err)
	}
	if !found {
		return nil, false, nil
	}
	return value, true, nil
}

// Close closes the home. A second call does nothing.
func (h *Home) Close() error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if h.closed.Swap(true) {
		return nil
	}
	return h.engine.close()
}
