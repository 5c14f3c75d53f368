package lotus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"

	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// ldbOptions are lotus-miner's own, which make the format, with smaller caches:
// a million records are read and written in about 60 MB.
func ldbOptions(readOnly bool) *opt.Options {
	return &opt.Options{
		Compression:            opt.NoCompression,
		Strict:                 opt.StrictAll,
		ReadOnly:               readOnly,
		ErrorIfMissing:         true,
		OpenFilesCacheCapacity: 128,
		BlockCacheCapacity:     4 * opt.MiB,
	}
}

// ldb is an open LevelDB directory.
type ldb struct {
	*leveldb.DB
	store *ldbStorage
}

// openLevelDB opens dir, which must hold a database. It uses neither
// leveldb.OpenFile nor go-ds-leveldb, because the latter repairs a corrupt
// database by throwing parts of it away.
func openLevelDB(dir string, readOnly bool, dfs durable.FS) (*ldb, error) {
	inner, err := storage.OpenFile(dir, readOnly)
	if err != nil {
		return nil, err
	}
	store := &ldbStorage{Storage: inner, fs: dfs, dir: dir}
	db, err := leveldb.Open(store, ldbOptions(readOnly))
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return &ldb{db, store}, nil
}

func (d *ldb) close() error {
	if d.store.dead.Load() {
		return nil
	}
	return errors.Join(d.Close(), d.store.Close())
}

// ldbStorage is goleveldb's file storage, with three additions: its files get
// their directory's owner at once, tests can inject faults, and it can be
// abandoned.
type ldbStorage struct {
	storage.Storage
	fs  durable.FS
	dir string

	dead     atomic.Bool
	manifest atomic.Pointer[ldbSynced]
}

// ldbSynced is how much of a manifest is known to be on disk.
type ldbSynced struct {
	path string
	size int64
}

func (s *ldbStorage) Create(fd storage.FileDesc) (storage.Writer, error) {
	path := filepath.Join(s.dir, fd.String())
	if err := s.fs.Step("create", path); err != nil {
		return nil, err
	}
	w, err := s.Storage.Create(fd)
	if err != nil {
		return nil, err
	}
	if err := s.fs.AdoptFile(path); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &ldbWriter{Writer: w, s: s, path: path, manifest: fd.Type == storage.TypeManifest}, nil
}

// Open names the table that is missing, where goleveldb would name the one of
// an older version that it tried last.
func (s *ldbStorage) Open(fd storage.FileDesc) (storage.Reader, error) {
	r, err := s.Storage.Open(fd)
	if errors.Is(err, fs.ErrNotExist) {
		err = &fs.PathError{Op: "open", Path: filepath.Join(s.dir, fd.String()), Err: fs.ErrNotExist}
	}
	return r, err
}

// abandon gives the database up after a failed commit. What the commit may have
// written to the manifest is cut off, so that the database on disk is the one
// before, and nothing writes from here on. Closing the database instead could
// wait for ever (goleveldb keeps its commit lock after such an error), and
// discarding the transaction could remove tables that the manifest names.
func (s *ldbStorage) abandon() error {
	s.dead.Store(true)
	var err error
	if m := s.manifest.Load(); m != nil {
		err = s.fs.Truncate(m.path, m.size)
	}
	return errors.Join(err, s.Close())
}

type ldbWriter struct {
	storage.Writer
	s        *ldbStorage
	path     string
	manifest bool
	size     int64
}

func (w *ldbWriter) step(op string) error {
	if w.s.dead.Load() {
		return storage.ErrClosed
	}
	return w.s.fs.Step(op, w.path)
}

func (w *ldbWriter) Write(p []byte) (int, error) {
	if err := w.step("write"); err != nil {
		return 0, err
	}
	n, err := w.Writer.Write(p)
	w.size += int64(n)
	return n, err
}

func (w *ldbWriter) Sync() error {
	if err := w.step("sync"); err != nil {
		return err
	}
	if err := w.Writer.Sync(); err != nil {
		return err
	}
	if w.manifest {
		w.s.manifest.Store(&ldbSynced{w.path, w.size})
	}
	return nil
}

var currentForm = regexp.MustCompile(`^MANIFEST-[0-9]+\n$`)

// checkLevelDBFiles looks for what goleveldb would mend on its own or make anew.
func checkLevelDBFiles(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fault.New("name the directory that holds lotus-miner's datastore, or restore it from a backup",
			"the repo has no metadata: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "LOCK")); errors.Is(err, fs.ErrNotExist) {
		return fault.New("if this is a copy of a whole LevelDB directory, make an empty file LOCK in it",
			"the metadata has no lock file: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "CURRENT"))
	if errors.Is(err, fs.ErrNotExist) {
		return corrupt(dir, err)
	}
	if err != nil {
		return readError(err)
	}
	if !currentForm.Match(b) {
		return corrupt(dir, fmt.Errorf("CURRENT holds %.40q", b))
	}
	_, err = os.Stat(filepath.Join(dir, string(b[:len(b)-1])))
	if errors.Is(err, fs.ErrNotExist) {
		return corrupt(dir, err)
	}
	if err != nil {
		return readError(err)
	}
	return nil
}

func corrupt(dir string, err error) error {
	return fault.Refuse("nothing was changed; copy the directory away, then restore the repo from a lotus backup, "+
		"or start lotus-miner, which repairs its own datastore but may lose records",
		"the LevelDB %s is corrupt: %w", dir, err)
}

// isCorrupt tells the errors that mean damage. A table that is not there is
// found out when it is opened.
func isCorrupt(err error) bool {
	_, a := errors.AsType[*ldberrors.ErrCorrupted](err)
	_, b := errors.AsType[*storage.ErrCorrupted](err)
	return a || b || errors.Is(err, fs.ErrNotExist)
}

// Tx is one transaction over the metadata: all of it is there after Commit, and
// none of it before, whatever happens to the process or the disk. It is not
// safe for concurrent use.
type Tx struct {
	r  *Repo
	tr *leveldb.Transaction // nil: done
}

// Begin opens a transaction. There is one at a time, and only in a repo that
// was opened for writing.
func (r *Repo) Begin() (*Tx, error) {
	if r.lock == nil {
		return nil, fmt.Errorf("begin a transaction: repo %s is open for reading only", r.dir)
	}
	if r.tx != nil {
		return nil, fmt.Errorf("begin a transaction: repo %s has one already", r.dir)
	}
	tr, err := r.db.OpenTransaction()
	if err != nil {
		return nil, r.wrap("begin a transaction in", err)
	}
	r.tx = &Tx{r: r, tr: tr}
	return r.tx, nil
}

// Put sets a key. key and value may be changed afterwards.
func (t *Tx) Put(key string, value []byte) error {
	if t.tr == nil {
		return errTxDone
	}
	return t.r.wrap("write "+key+" to", t.tr.Put([]byte(key), value, nil))
}

// Delete removes a key; that it is not there is no error.
func (t *Tx) Delete(key string) error {
	if t.tr == nil {
		return errTxDone
	}
	return t.r.wrap("delete "+key+" in", t.tr.Delete([]byte(key), nil))
}

// Get returns a key's value as this transaction will leave it.
func (t *Tx) Get(key string) (value []byte, found bool, err error) {
	if t.tr == nil {
		return nil, false, errTxDone
	}
	value, err = t.tr.Get([]byte(key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, t.r.wrap("read "+key+" in", err)
}

// Commit makes the changes durable. After an error none of them is there, and
// the repo can only be closed.
func (t *Tx) Commit() error {
	if t.tr == nil {
		return errTxDone
	}
	err := t.tr.Commit()
	t.done()
	if err != nil {
		err = errors.Join(t.r.wrap("commit to", err), t.r.db.store.abandon())
		return fault.New("the repo is as it was before; mend the cause and run this again", "%w", err)
	}
	return t.r.fs.Adopt(t.r.meta)
}

// Discard gives the changes up. It does nothing after Commit.
func (t *Tx) Discard() {
	if t.tr != nil {
		t.tr.Discard()
		t.done()
	}
}

func (t *Tx) done() {
	t.tr = nil
	t.r.tx = nil
}

var errTxDone = errors.New("the transaction is over")
