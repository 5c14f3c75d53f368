package lotus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// The keys of the metadata that are read here.
const (
	minerKey     = "/miner-address"
	sectorPrefix = "/sectors/"
)

// SectorKey is the key of a sector's record.
func SectorKey(number uint64) string { return sectorPrefix + strconv.FormatUint(number, 10) }

// Options say how OpenRepo opens a repo.
type Options struct {
	Write bool
	FS    durable.FS   // for tests; the zero value is right
	Log   *slog.Logger // nil: no log
}

// Repo is an open lotus-miner repo: its metadata, and while it is open for
// writing its lock, too. Its methods may be called from several goroutines,
// except Close and those of a transaction. Errors that mean a corrupt database
// are of kind fault.Refused.
type Repo struct {
	dir, meta string
	fs        durable.FS
	log       *slog.Logger
	db        *ldb
	lock      *os.File // nil: open for reading
	tx        *Tx      // the one that is open
}

// OpenRepo opens the repo in dir. For reading it changes nothing, makes nothing,
// and keeps the database from being opened for writing until Close. For
// writing it locks out lotus-miner until Close, and first reads the whole
// database to be sure that it is sound. It refuses a repo that is in use, that
// belongs to another user (for writing), or whose database is corrupt.
func OpenRepo(ctx context.Context, dir string, o Options) (*Repo, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := checkRepoDir(dir, ""); err != nil {
		return nil, err
	}
	r := &Repo{dir: dir, meta: filepath.Join(dir, metadataName), fs: o.FS, log: o.Log}
	if err := checkLevelDBFiles(r.meta); err != nil {
		return nil, err
	}
	if o.Write {
		err = r.openForWriting(ctx)
	} else {
		r.db, err = r.open(true)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Repo) openForWriting(ctx context.Context) error {
	for _, dir := range []string{r.dir, r.meta} {
		if err := durable.CheckOwner(dir); err != nil {
			return err
		}
	}
	by, err := Running(r.dir)
	if err != nil {
		return err
	}
	if by != nil {
		return by.refuse(r.dir)
	}
	if err := r.takeLock(); err != nil {
		return err
	}
	if err := r.checkAll(ctx); err != nil {
		return err
	}
	if r.db, err = r.open(false); err != nil {
		return err
	}
	return r.fs.Adopt(r.meta)
}

// checkAll reads every record, since opening for writing starts to rearrange
// the database, and that must not begin on a damaged one.
func (r *Repo) checkAll(ctx context.Context) error {
	db, err := r.open(true)
	if err != nil {
		return err
	}
	r.db = db
	n := 0
	err = r.each(ctx, nil, func(_, _ []byte) error {
		n++
		return nil
	})
	r.log.Debug("read the whole metadata", "repo", r.dir, "records", n)
	r.db = nil
	return errors.Join(err, db.close())
}

func (r *Repo) open(readOnly bool) (*ldb, error) {
	db, err := openLevelDB(r.meta, readOnly, r.fs)
	if errors.Is(err, syscall.EAGAIN) {
		by := &InUse{PID: flockOwner(filepath.Join(r.dir, metaLockName), !readOnly), By: metaLockName}
		return nil, by.refuse(r.dir)
	}
	if err != nil {
		return nil, r.wrap("open", err)
	}
	return db, nil
}

// wrap makes err, which the database returned at step, one that people can read.
func (r *Repo) wrap(step string, err error) error {
	if err == nil {
		return nil
	}
	if isCorrupt(err) {
		return corrupt(r.meta, err)
	}
	return readError(fmt.Errorf("%s %s: %w", step, r.meta, err))
}

// Dir returns the repo's absolute path.
func (r *Repo) Dir() string { return r.dir }

// Close ends an open transaction without its changes, closes the database, and
// gives the lock back. It may be called twice.
func (r *Repo) Close() error {
	var err error
	if r.tx != nil {
		r.tx.Discard()
	}
	if r.db != nil {
		err = r.db.close()
		r.db = nil
	}
	if r.lock == nil {
		return err
	}
	// The name goes first, as long as we hold the lock: afterwards it may be
	// that of somebody else's.
	err = errors.Join(err, r.fs.Adopt(r.meta), r.fs.Remove(r.lock.Name()), r.lock.Close())
	r.lock = nil
	return err
}

// Get returns the value of a key of the metadata, such as "/storage/nextid".
func (r *Repo) Get(key string) (value []byte, found bool, err error) {
	value, err = r.db.Get([]byte(key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, r.wrap("read "+key+" in", err)
}

// Miner returns the miner actor that the repo belongs to.
func (r *Repo) Miner() (abi.ActorID, error) {
	const hint = "name a repo that lotus-miner init or init restore has completed"
	b, found, err := r.Get(minerKey)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, fault.New(hint, "repo %s names no miner", r.dir)
	}
	addr, err := address.NewFromBytes(b)
	if err != nil {
		return 0, fault.New(hint, "repo %s: its miner address %x: %w", r.dir, b, err)
	}
	id, err := address.IDFromAddress(addr)
	if err != nil {
		return 0, fault.New(hint, "repo %s: its miner address %s has no actor ID: %w", r.dir, addr, err)
	}
	return abi.ActorID(id), nil
}

// Sector returns the record of a sector, in CBOR.
func (r *Repo) Sector(number uint64) (raw []byte, found bool, err error) {
	return r.Get(SectorKey(number))
}

// SectorKV is a sector's record as the repo holds it.
type SectorKV struct {
	Key    string
	Number uint64
	KeyErr error  // not nil: the key names no sector, and Number means nothing
	Raw    []byte // in CBOR; valid only during the call
}

// Sectors calls fn for each sector's record, in the order of the keys' text
// (1, 10, 2). An error of fn, or ctx's end, stops it and is returned.
func (r *Repo) Sectors(ctx context.Context, fn func(SectorKV) error) error {
	return r.each(ctx, util.BytesPrefix([]byte(sectorPrefix)), func(key, value []byte) error {
		kv := SectorKV{Key: string(key), Raw: value}
		kv.Number, kv.KeyErr = parseSectorKey(kv.Key)
		return fn(kv)
	})
}

func parseSectorKey(key string) (uint64, error) {
	text := strings.TrimPrefix(key, sectorPrefix)
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxInt64 || strconv.FormatUint(n, 10) != text {
		return 0, fmt.Errorf("key %q does not end in a sector number", key)
	}
	return n, nil
}

// each calls fn for each record in the range, nil being all; key and value are
// valid only during the call.
func (r *Repo) each(ctx context.Context, in *util.Range, fn func(key, value []byte) error) error {
	it := r.db.NewIterator(in, &opt.ReadOptions{DontFillCache: true})
	defer it.Release()
	for it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return r.wrap("read", it.Error())
}
