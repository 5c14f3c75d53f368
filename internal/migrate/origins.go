package migrate

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// System names whose encoding an origin is in.
type System string

const (
	// Lotus origins are SectorInfo in CBOR.
	Lotus System = "lotus"
	// Damocles origins are SectorState in JSON.
	Damocles System = "damocles"
)

// Origin is a sector in its source's own bytes, kept because the target has no
// place for all that they say, with the fingerprint of the record as it was
// written into the target. While the target's record still has that
// fingerprint, the way back returns these bytes.
type Origin struct {
	System      System
	ID          sector.ID
	Fingerprint [sha256.Size]byte
	Value       []byte
}

// Origins is the store of origins, a LevelDB of our own in the damocles home. A
// nil Origins keeps nothing and finds nothing.
type Origins struct {
	db  *leveldb.DB
	st  storage.Storage
	dir string
	fs  durable.FS
}

// OpenOrigins opens the store in dir. For reading a missing one is nil; for
// writing it is made.
func OpenOrigins(dir string, write bool, dfs durable.FS) (*Origins, error) {
	if !write {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	} else if err := dfs.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(otherOrigins, "make the store of origins: %w", err)
	}
	st, err := storage.OpenFile(dir, !write)
	if err != nil {
		return nil, originsError(dir, err)
	}
	if begun, err := originsBegun(dir, write, dfs); err != nil || (!begun && !write) {
		return nil, errors.Join(err, st.Close())
	}
	// Keys come in the source's order, so tables never overlap and need no merging.
	// A journal that ends in half a batch is what a kill leaves, and no damage: the
	// records of that batch were not written either.
	db, err := leveldb.Open(st, &opt.Options{
		Compression: opt.NoCompression, Strict: opt.StrictAll &^ opt.StrictJournal, ReadOnly: !write,
		WriteBuffer: 4 << 20, CompactionTableSize: 8 << 20, BlockCacheCapacity: 4 << 20, OpenFilesCacheCapacity: 64,
	})
	if err != nil {
		return nil, errors.Join(originsError(dir, err), st.Close())
	}
	o := &Origins{db: db, st: st, dir: dir, fs: dfs}
	if write {
		if err := dfs.Adopt(dir); err != nil {
			return nil, errors.Join(err, o.Close())
		}
	}
	return o, nil
}

func originsError(dir string, err error) error {
	switch {
	case errors.Is(err, storage.ErrLocked) || errors.Is(err, syscall.EAGAIN):
		return fault.Refuse("wait until the other command has ended", "the store of origins %s is in use by another damocles-manager", dir)
	case ldberrors.IsCorrupted(err):
		return fault.Refuse("move it away to go on without origins (the switch back is then not byte for byte)",
			"the store of origins %s is corrupt: %w", dir, err)
	}
	return fault.New(otherOrigins, "open the store of origins %s: %w", dir, err)
}

const otherOrigins = "see what stands there, or keep the origins elsewhere with --origins DIR"

// originsBegun says whether there is a database in dir. One that was killed at
// its making has no CURRENT and holds nothing; to write, what it has is cleared
// away. Where there are records without CURRENT they are not to be lost.
func originsBegun(dir string, write bool, dfs durable.FS) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, "CURRENT"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range names {
		info, err := e.Info()
		if err != nil {
			return false, err
		}
		switch ext := filepath.Ext(e.Name()); {
		case ext == ".ldb" || (ext == ".log" && info.Size() > 0):
			return false, originsError(dir, ldberrors.NewErrCorrupted(storage.FileDesc{}, errors.New("CURRENT is missing")))
		case write && strings.HasPrefix(e.Name(), "MANIFEST-"):
			if err := dfs.Remove(filepath.Join(dir, e.Name())); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

func originKey(system System, id sector.ID) []byte {
	key := make([]byte, 0, 40)
	key = append(key, system...)
	key = append(key, '/')
	key = strconv.AppendUint(key, uint64(id.Miner), 10)
	key = append(key, '/')
	return strconv.AppendUint(key, uint64(id.Number), 10)
}

// Get returns the origin of a sector, nil where there is none.
func (o *Origins) Get(system System, id sector.ID) (*Origin, error) {
	if o == nil {
		return nil, nil
	}
	value, err := o.db.Get(originKey(system, id), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, originsError(o.dir, err)
	}
	if len(value) < sha256.Size {
		return nil, fault.Refuse("move the store away to go on without origins", "the origin of %s in %s is too short", id, o.dir)
	}
	out := &Origin{System: system, ID: id, Value: value[sha256.Size:]}
	copy(out.Fingerprint[:], value)
	return out, nil
}

// news returns the origin if it is not kept already, else nil: writing what is
// there would make the store merge its tables for nothing.
func (o *Origins) news(origin *Origin) (*Origin, error) {
	known, err := o.Get(origin.System, origin.ID)
	if err != nil || o == nil {
		return nil, err
	}
	if known != nil && known.Fingerprint == origin.Fingerprint && bytes.Equal(known.Value, origin.Value) {
		return nil, nil
	}
	return origin, nil
}

// Put keeps the origins of the steps; they are on disk when it returns.
func (o *Origins) Put(steps []*Step) error {
	if o == nil {
		return nil
	}
	batch := new(leveldb.Batch)
	for _, s := range steps {
		if s.Origin != nil {
			batch.Put(originKey(s.Origin.System, s.Origin.ID), append(s.Origin.Fingerprint[:], s.Origin.Value...))
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := o.db.Write(batch, &opt.WriteOptions{Sync: true}); err != nil {
		return originsError(o.dir, err)
	}
	return nil
}

// Close gives the files to the directory's owner and closes the store.
func (o *Origins) Close() error {
	if o == nil {
		return nil
	}
	err := errors.Join(o.db.Close(), o.st.Close())
	return errors.Join(err, o.fs.Adopt(o.dir))
}
