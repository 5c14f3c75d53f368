package damocles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v2"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// prefetch bounds what an iterator reads ahead.
const prefetch = 32

// badgerEngine keeps each collection in a Badger database of its own. While it
// is open, damocles cannot open the home.
type badgerEngine struct {
	dir  string // the home
	base string // of the databases
	opt  Options

	mu     sync.Mutex            // of opened
	opened map[string]*badger.DB // nil: not there, and so empty; reading only

	broken error // of a write that Badger began; nothing may follow it

	checking sync.Mutex           // held while tables are looked at; of checked
	checked  map[string]time.Time // collections, and when all their tables could be read
}

var (
	_ engine   = (*badgerEngine)(nil)
	_ spacious = (*badgerEngine)(nil)
	_ sparse   = (*badgerEngine)(nil)
)

func openBadger(ctx context.Context, dir string, cfg Config, opt Options) (*badgerEngine, error) {
	b := &badgerEngine{dir: dir, base: cfg.DBDir(dir), opt: opt, opened: make(map[string]*badger.DB), checked: make(map[string]time.Time)}
	if err := b.prepare(cfg); err != nil {
		return nil, err
	}
	switch {
	case hasDatabase(b.base):
	case !opt.Write:
		opt.Notice("there is no database in " + b.base + ": this damocles has no sector yet, or its disk is not mounted")
	case cfg.Found: // without a configuration the whole home is new, which its maker says
		opt.Notice("there is no database in " + b.base + ", and a new one is made: if this damocles has sectors already, stop, and mount its disk first")
	}
	for _, name := range b.first() {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, b.close())
		}
		if _, err := b.db(name); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// prepare sees to the directories.
func (b *badgerEngine) prepare(cfg Config) error {
	if b.opt.Write {
		for _, dir := range []string{b.dir, b.base} {
			if err := durable.CheckOwner(dir); err != nil {
				return err
			}
		}
	}
	if _, err := os.Stat(b.dir); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, b.foreign(cfg))
	}
	if !b.opt.Create || !b.opt.Write {
		return fault.New("name an existing damocles-manager home with --home", "the home %s does not exist", b.dir)
	}
	return b.opt.FS.MkdirAll(b.dir, 0o700)
}

// foreign refuses a directory that is no home, unless one may be made.
func (b *badgerEngine) foreign(cfg Config) error {
	if b.opt.Create || IsHome(b.dir, cfg) {
		return nil
	}
	return fault.New("name the home with --home or DAMOCLES_PATH, and see that its disk is mounted; `damocles-manager daemon init` makes a new one",
		"there is no damocles-manager home at %s: it holds neither %s nor a database", b.dir, ConfigName)
}

// first are the collections to open at once: the two with the states, because
// their locks keep damocles out, and to write also the index, if it is there,
// so that what is wrong with it shows before anything is written.
func (b *badgerEngine) first() []string {
	names := []string{CollectionMeta, CollectionOffline}
	if b.opt.Write && !b.missing(CollectionIndex) {
		names = append(names, CollectionIndex)
	}
	return names
}

// missing is for those who only read in a home that is open for writing, where
// a database that is missing would be made.
func (b *badgerEngine) missing(collection string) bool {
	_, err := os.Stat(filepath.Join(b.base, collection))
	return errors.Is(err, fs.ErrNotExist)
}

// db returns an open collection, and opens it at first use. It is nil for one
// that is not there when reading.
func (b *badgerEngine) db(name string) (*badger.DB, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened == nil {
		return nil, fmt.Errorf("open the database %s: %w", name, fs.ErrClosed)
	}
	if db, ok := b.opened[name]; ok {
		return db, nil
	}
	open := b.openToRead
	if b.opt.Write {
		open = b.openToWrite
	}
	db, err := open(name, filepath.Join(b.base, name))
	if err != nil {
		return nil, err
	}
	b.opened[name] = db
	return db, nil
}

func (b *badgerEngine) at(collection string) string {
	return fmt.Sprintf("the database %s in %s", collection, b.base)
}

func (b *badgerEngine) find(_ context.Context, collection string, keys []string, fn func(string, []byte)) error {
	db, err := b.db(collection)
	if err != nil {
		return err
	}
	if db == nil {
		for _, key := range keys {
			fn(key, nil)
		}
		return nil
	}
	missing := false
	err = trusting(func() error {
		return db.View(func(txn *badger.Txn) error {
			for _, key := range keys {
				if err := lookUp(txn, key, func(v []byte) { missing = missing || v == nil; fn(key, v) }); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil && missing {
		err = b.whole(collection, db, sinceChecked)
	}
	return err
}

// each goes on over what was there at its start.
func (b *badgerEngine) each(ctx context.Context, collection, prefix string, values bool, fn func(record) error) error {
	db, err := b.db(collection)
	if err != nil || db == nil {
		return err
	}
	opt := badger.IteratorOptions{Prefix: []byte(prefix)}
	if values {
		opt.PrefetchValues, opt.PrefetchSize = true, prefetch
	}
	txn := db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(opt)
	defer it.Close()
	for advance := it.Rewind; ; advance = it.Next {
		if err := trusting(func() error { advance(); return nil }); err != nil {
			return err
		}
		if !it.Valid() {
			return b.whole(collection, db, 0)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r := record{key: string(it.Item().Key())}
		if values {
			r.err = itemValue(it.Item(), func(v []byte) { r.value = v })
		}
		if err := fn(r); err != nil {
			return err
		}
	}
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

// commit writes one transaction, whole or not at all.
func (b *badgerEngine) commit(_ context.Context, collection string, changes []Change) (int, error) {
	db, err := b.db(collection)
	if err != nil {
		return 0, err
	}
	// After a write that failed half way, Badger would put the next one in the
	// wrong place of its value log. Closing it cuts off what failed.
	if b.broken != nil {
		return 0, fmt.Errorf("an earlier write failed: %w", b.broken)
	}
	if slices.ContainsFunc(changes, func(c Change) bool { return c.Before == nil }) {
		if err := b.whole(collection, db, sinceChecked); err != nil {
			return 0, err
		}
	}
	txn := db.NewTransaction(true)
	defer txn.Discard()
	n := 0
	err = trusting(func() (err error) { n, err = fill(txn, changes); return err })
	if err != nil {
		return 0, err
	}
	if b.broken = txn.Commit(); b.broken != nil {
		return n, b.broken
	}
	return n, b.adopt(filepath.Join(b.base, collection))
}

// fill puts into the transaction as many changes as it takes, from the first
// on, and returns how many that were.
func fill(txn *badger.Txn, changes []Change) (int, error) {
	for n, c := range changes {
		err := c.write(txn)
		if errors.Is(err, badger.ErrTxnTooBig) && n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return len(changes), nil
}

func (c Change) write(txn *badger.Txn) error {
	var todo bool
	var differs error
	err := lookUp(txn, c.Key, func(now []byte) { todo, differs = c.against(now) })
	switch {
	case err != nil:
		return err
	case !todo:
		return differs
	case c.After == nil:
		return txn.Delete([]byte(c.Key))
	default:
		return txn.Set([]byte(c.Key), c.After)
	}
}

// checkSpace refuses to fill the disk, on which Badger would try to write its
// tables again for ever.
func (b *badgerEngine) checkSpace(changes []Change) error {
	const (
		tables    = 64 << 20 // for what Badger merges meanwhile
		perRecord = 256      // for the key, in the log and in up to two tables
	)
	need := uint64(tables)
	for _, c := range changes {
		need += perRecord + uint64(2*len(c.Key)+len(c.After))
	}
	free, known := freeSpace(b.base)
	if !known || free >= need {
		return nil
	}
	return fault.Refuse("make room on that disk and repeat the command",
		"no room in %s: %d MiB are needed and %d MiB free", b.base, need>>20, free>>20)
}

// close closes every collection, meta last, since its lock is what shows that
// the home is in use.
func (b *badgerEngine) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, name := range slices.Backward(collections()) {
		db := b.opened[name]
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", b.at(name), err))
		}
		if b.opt.Write {
			errs = append(errs, b.adopt(filepath.Join(b.base, name)))
		}
	}
	b.opened = nil
	return errors.Join(errs...)
}
