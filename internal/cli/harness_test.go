package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"golang.org/x/sys/unix"

	"damocles-manager/internal/lotus"
	"damocles-manager/internal/testkit"
)

// world is a directory with what a command finds around it: copies of the
// fixture repo and home, an environment, and no daemon unless a test starts one.
type world struct {
	t    *testing.T
	dir  string
	env  map[string]string
	ctx  context.Context
	addr string // the default of --listen, where nothing listens unless a test sees to it
	// patience is how long a peer may take for its first answer, 0 for the default.
	patience time.Duration
}

// pause is short: that calls are tried again, and how often, shows as well.
const pause = 10 * time.Millisecond

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	return &world{
		t: t, dir: dir, ctx: t.Context(), addr: testkit.Nowhere(t),
		env: map[string]string{"HOME": dir},
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// repo copies the fixture lotus-miner repo.
func (w *world) repo(name string) string { return w.copy("switch-2k/lotusminer", name) }

// home copies the fixture damocles home.
func (w *world) home(name string) string { return w.copy("switch-2k/damocles-home", name) }

func (w *world) copy(fixture, name string) string {
	w.t.Helper()
	if err := os.CopyFS(w.path(name), os.DirFS(testkit.Fixture(w.t, fixture))); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// emptyRepo makes a lotus-miner repo of a miner as `lotus-miner init` leaves it:
// with an address and no sector.
func (w *world) emptyRepo(name string) string {
	w.t.Helper()
	w.withRepo(name, func(db *leveldb.DB) {
		if err := db.Put([]byte("/miner-address"), []byte{0x00, 0xe8, 0x07}, nil); err != nil {
			w.t.Fatal(err)
		}
	})
	return w.path(name)
}

// withRepo opens a repo's metadata as lotus-miner does.
func (w *world) withRepo(name string, fn func(*leveldb.DB)) {
	w.t.Helper()
	dir := filepath.Join(w.path(name), "datastore", "metadata")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	db, err := leveldb.OpenFile(dir, &opt.Options{Compression: opt.NoCompression, Strict: opt.StrictAll})
	if err != nil {
		w.t.Fatal(err)
	}
	fn(db)
	if err := db.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// metadata reads all keys of a repo.
func (w *world) metadata(name string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	w.withRepo(name, func(db *leveldb.DB) {
		it := db.NewIterator(nil, nil)
		defer it.Release()
		for it.Next() {
			out[string(it.Key())] = string(it.Value())
		}
		if err := it.Error(); err != nil {
			w.t.Fatal(err)
		}
	})
	return out
}

// sectors are the keys of metadata that are sectors.
func sectors(metadata map[string]string) map[string]string {
	out := maps.Clone(metadata)
	maps.DeleteFunc(out, func(k, _ string) bool { return !strings.HasPrefix(k, "/sectors/") })
	return out
}

// result is what a command did.
type result struct {
	t           *testing.T
	args        string
	code        int
	out, stderr string
}

// run runs a command line in this process.
func (w *world) run(args ...string) *result {
	w.t.Helper()
	var out, stderr bytes.Buffer
	env := Env{Stdout: &out, Stderr: &stderr, Getenv: func(k string) string { return w.env[k] }, Listen: w.addr, Patience: w.patience, Pause: pause}
	code := Run(w.ctx, env, args)
	return &result{w.t, strings.Join(args, " "), code, out.String(), stderr.String()}
}

// sectorsCmd runs a command below `util sealer sectors` on a home.
func (w *world) sectorsCmd(home string, args ...string) *result {
	w.t.Helper()
	return w.run(append([]string{"util", "sealer", "sectors", "--home", home}, args...)...)
}

// exits checks the exit code.
func (r *result) exits(code int) *result {
	r.t.Helper()
	if r.code != code {
		r.t.Fatalf("%s\nexit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.args, r.code, code, r.out, r.stderr)
	}
	return r
}

// says checks that stdout or stderr has each of the texts.
func (r *result) says(texts ...string) *result {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.out, text) && !strings.Contains(r.stderr, text) {
			r.t.Errorf("%s\ndoes not say %q\nstdout:\n%s\nstderr:\n%s", r.args, text, r.out, r.stderr)
		}
	}
	return r
}

// never checks that neither stdout nor stderr has any of the texts.
func (r *result) never(texts ...string) *result {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(r.out, text) || strings.Contains(r.stderr, text) {
			r.t.Errorf("%s\nsays %q\nstdout:\n%s\nstderr:\n%s", r.args, text, r.out, r.stderr)
		}
	}
	return r
}

// lines decodes --json output, by the type of the line.
func (r *result) lines() map[string][]map[string]any {
	r.t.Helper()
	out := map[string][]map[string]any{}
	dec := json.NewDecoder(strings.NewReader(r.out))
	for dec.More() {
		var line map[string]any
		if err := dec.Decode(&line); err != nil {
			r.t.Fatalf("%s\nprints what is not JSON lines: %v\n%s", r.args, err, r.out)
		}
		kind, _ := line["type"].(string)
		out[kind] = append(out[kind], line)
	}
	return out
}

// mutateSector changes the bytes of a sector's record in a repo.
func (w *world) mutateSector(repo string, number uint64, change func([]byte) []byte) {
	w.t.Helper()
	key := fmt.Appendf(nil, "/sectors/%d", number)
	w.withRepo(repo, func(db *leveldb.DB) {
		value, err := db.Get(key, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		changed := change(bytes.Clone(value))
		if bytes.Equal(changed, value) {
			w.t.Fatalf("the change of sector %d changes nothing", number)
		}
		if err := db.Put(key, changed, nil); err != nil {
			w.t.Fatal(err)
		}
	})
}

// copySector puts a fixture record under another number into a repo.
func (w *world) copySector(fixture, repo string, number uint64) {
	w.t.Helper()
	raw, err := os.ReadFile(testkit.Fixture(w.t, "lotus-sectorinfo/"+fixture))
	if err != nil {
		w.t.Fatal(err)
	}
	info, err := lotus.Decode(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	info.SectorNumber = abi.SectorNumber(number)
	if raw, err = lotus.Encode(info); err != nil {
		w.t.Fatal(err)
	}
	w.withRepo(repo, func(db *leveldb.DB) {
		if err := db.Put(fmt.Appendf(nil, "/sectors/%d", number), raw, nil); err != nil {
			w.t.Fatal(err)
		}
	})
}

// undoes returns the journal that the command names for its undoing.
func (r *result) undoes() string {
	r.t.Helper()
	_, after, ok := strings.Cut(r.out, "--backup ")
	if !ok {
		r.t.Fatalf("%s\nnames no undo:\n%s", r.args, r.out)
	}
	return strings.TrimSpace(strings.SplitN(after, "\n", 2)[0])
}

// withHome opens a collection of a home as damocles does.
func (w *world) withHome(home, collection string, fn func(*badger.DB)) {
	w.t.Helper()
	w.withTables(home, collection, 1<<20, fn)
}

// withTables does so with tables of a size: that of damocles, of 64 MiB, would be
// cleared at each of many openings.
func (w *world) withTables(home, collection string, size int64, fn func(*badger.DB)) {
	w.t.Helper()
	dir := filepath.Join(home, collection)
	awaitUnlocked(dir)
	defer awaitUnlocked(dir)
	db, err := badger.Open(badger.DefaultOptions(dir).WithMaxTableSize(size).WithLogger(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	fn(db)
	if err := db.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// awaitUnlocked waits until nothing holds Badger's lock on a directory. Badger gives
// it back by closing the directory, and a child that a parallel test is just
// starting has that open, too, from its fork until its exec.
func awaitUnlocked(dir string) {
	f, err := os.Open(dir)
	if err != nil {
		return // it is not made yet
	}
	defer f.Close()
	for range 1000 {
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // for all who have it open
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// changeState replaces text in the offline state of a sector of f01000.
func (w *world) changeState(home string, number int, old, with string) {
	w.t.Helper()
	w.withHome(home, "offline_meta", func(db *badger.DB) {
		key := fmt.Appendf(nil, "sector-states-offline/m-1000-n-%d", number)
		err := db.Update(func(txn *badger.Txn) error {
			item, err := txn.Get(key)
			if err != nil {
				return err
			}
			value, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			changed := strings.ReplaceAll(string(value), old, with)
			if changed == string(value) {
				return fmt.Errorf("%q is not in %s", old, value)
			}
			return txn.Set(key, []byte(changed))
		})
		if err != nil {
			w.t.Fatal(err)
		}
	})
}

// setNumber sets damocles's allocator for f01000.
func (w *world) setNumber(home string, n uint64) {
	w.t.Helper()
	w.withHome(home, "meta", func(db *badger.DB) {
		err := db.Update(func(txn *badger.Txn) error {
			return txn.Set([]byte("sector-number//m-1000"), binary.AppendUvarint(nil, n))
		})
		if err != nil {
			w.t.Fatal(err)
		}
	})
}

func readJSONFile(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, raw)
	}
}
