package damocles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// prefetch bounds what an iterator reads ahead.
const prefetch = 32

// Options say how to open a home.
type Options struct {
	// Write opens it for writing; damocles cannot have it open then.
	Write bool
	// Create makes the home where it does not exist. It needs Write.
	Create bool
	FS     durable.FS
	// Log may be nil.
	Log *slog.Logger
	// Notice, if set, is given sentences that the user should see at once.
	Notice func(string)
}

// Home is an open damocles home of the driver badger. While it is open,
// damocles cannot open it. It may be used from several goroutines, and written
// to while it is iterated over: Each goes on over what was there at its start.
type Home struct {
	dir  string
	base string
	opt  Options

	mu     sync.Mutex            // of opened
	opened map[string]*badger.DB // nil: not there, and so empty; reading only

	writing sync.Mutex // held by Apply
	broken  error      // of a write that Badger began; nothing may follow it
}

// OpenHome opens the home in dir. To write, everything that could refuse is
// asked first: the owner, the locks, and whether the databases are sound.
//
// A database that was not closed cleanly can only be read after a replay, as
// damocles itself makes at its next start; a torn value log, which damocles
// would refuse, is backed up below switching/mended in the home and mended, by
// opening to write only. Both are said through Notice.
func OpenHome(ctx context.Context, dir string, cfg Config, opt Options) (*Home, error) {
	if driver := cfg.Driver(); driver != "badger" {
		return nil, fault.Refuse("start damocles-manager and go through it with --listen",
			"the home %s keeps its data with the driver %q, which cannot be opened directly", dir, driver)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Notice == nil {
		opt.Notice = func(string) {}
	}
	h := &Home{dir: dir, base: cfg.DBDir(dir), opt: opt, opened: make(map[string]*badger.DB)}
	if err := h.prepare(); err != nil {
		return nil, err
	}
	for _, name := range h.first() {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, h.Close())
		}
		if _, err := h.db(name); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

// prepare sees to the directories.
func (h *Home) prepare() error {
	if h.opt.Write {
		for _, dir := range []string{h.dir, h.base} {
			if err := durable.CheckOwner(dir); err != nil {
				return err
			}
		}
	}
	if _, err := os.Stat(h.dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !h.opt.Create || !h.opt.Write {
		return fault.New("name an existing damocles-manager home with --home", "the home %s does not exist", h.dir)
	}
	return h.opt.FS.MkdirAll(h.dir, 0o700)
}

// first are the collections to open at once: the two with the states, because
// their locks keep damocles out, and to write also the index, if it is there,
// so that what is wrong with it shows before anything is written.
func (h *Home) first() []string {
	names := []string{CollectionMeta, CollectionOffline}
	if _, err := os.Stat(filepath.Join(h.base, CollectionIndex)); h.opt.Write && err == nil {
		names = append(names, CollectionIndex)
	}
	return names
}

// db returns an open collection, and opens it at first use. It is nil for one
// that is not there when reading.
func (h *Home) db(name string) (*badger.DB, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opened == nil {
		return nil, fmt.Errorf("open the database %s: %w", name, fs.ErrClosed)
	}
	if db, ok := h.opened[name]; ok {
		return db, nil
	}
	if !knownCollection(name) {
		return nil, fmt.Errorf("damocles has no collection %q", name)
	}
	open := h.openToRead
	if h.opt.Write {
		open = h.openToWrite
	}
	db, err := open(name, filepath.Join(h.base, name))
	if err != nil {
		return nil, err
	}
	h.opened[name] = db
	return db, nil
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
	db, err := h.db(ws.Collection())
	if err != nil || db == nil {
		return err
	}
	prefix := ws.prefix()
	if miner != nil {
		prefix = ws.minerPrefix(*miner)
	}
	txn := db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: prefetch, Prefix: []byte(prefix)})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		kv := KV{Key: string(it.Item().Key())}
		kv.Miner, kv.Number, kv.KeyErr = ParseStateKey(ws, kv.Key)
		kv.ValueErr = itemValue(it.Item(), func(v []byte) { kv.Value = v })
		if err := fn(kv); err != nil {
			return err
		}
	}
	return nil
}

// Get returns the state of a sector in the workspace; false where it has none.
func (h *Home) Get(ws Workspace, miner abi.ActorID, number abi.SectorNumber) ([]byte, bool, error) {
	return h.Value(ws.Collection(), StateKey(ws, miner, number))
}

// Value returns what a collection holds under a key; false where nothing.
func (h *Home) Value(collection, key string) (value []byte, found bool, err error) {
	db, err := h.db(collection)
	if err != nil || db == nil {
		return nil, false, err
	}
	err = db.View(func(txn *badger.Txn) error {
		return lookUp(txn, key, func(v []byte) { value, found = append([]byte{}, v...), v != nil })
	})
	if err != nil {
		return nil, false, fmt.Errorf("read from the database %s in %s: %w", collection, h.base, err)
	}
	if !found {
		return nil, false, nil
	}
	return value, true, nil
}

// lookUp calls fn with what is stored under the key; with nil, where nothing
// is. An empty value is not nil. The value is valid during the call.
func lookUp(txn *badger.Txn, key string, fn func([]byte)) error {
	item, err := txn.Get([]byte(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		fn(nil)
		return nil
	}
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	return itemValue(item, fn)
}

// itemValue calls fn with the item's value. Where the value log that held it is
// gone, Badger gives an empty one and no error.
func itemValue(item *badger.Item, fn func([]byte)) error {
	err := item.Value(func(v []byte) error {
		if len(v) == 0 && item.ValueSize() > 0 {
			return errors.New("the value log that held it is gone")
		}
		if v == nil {
			v = []byte{}
		}
		fn(v)
		return nil
	})
	if err != nil {
		return fmt.Errorf("value of key %q: %s", item.Key(), firstLine(err.Error()))
	}
	return nil
}

// Close closes every collection, meta last, since its lock is what shows that
// the home is in use. A second call does nothing.
func (h *Home) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, name := range slices.Backward(collections()) {
		db := h.opened[name]
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the database %s in %s: %w", name, h.base, err))
		}
		if h.opt.Write {
			errs = append(errs, h.adopt(filepath.Join(h.base, name)))
		}
	}
	h.opened = nil
	return errors.Join(errs...)
}
