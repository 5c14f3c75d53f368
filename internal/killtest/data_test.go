package killtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"damocles-manager/internal/lotus"
	"damocles-manager/internal/testkit"
)

// sectorCount is how many sectors a repo has: some batches and transactions.
func sectorCount() int {
	switch {
	case long():
		return 6000
	case raced:
		return 200
	}
	return 800
}

// lotusOptions are those that lotus-miner opens its metadata with.
func lotusOptions() *opt.Options {
	return &opt.Options{Compression: opt.NoCompression, Strict: opt.StrictAll}
}

func metadataDir(repo string) string { return filepath.Join(repo, "datastore", "metadata") }

// worlds are directories to start from, made once and copied for every run.
type worlds struct {
	mu  sync.Mutex
	dir string
	got map[string]bool
}

var shared worlds

// get returns the directory of a world, which make fills at the first call.
func (s *worlds) get(t testing.TB, name string, fill func(dir string)) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "killtest") //nolint:usetesting // it outlives the test that makes it
		must(t, err)
		s.dir, s.got = dir, map[string]bool{}
	}
	dir := filepath.Join(s.dir, name)
	if !s.got[name] {
		must(t, os.RemoveAll(dir), os.Mkdir(dir, 0o755))
		fill(dir)
		s.got[name] = true
	}
	return dir
}

// clone copies a directory. Journals name the directory that they belong to,
// which is another one now.
func clone(t testing.TB, from, to string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
	for _, pattern := range []string{"*/switching/journal/*.journal", "*/backups/*.journal"} {
		journals, err := filepath.Glob(filepath.Join(to, pattern))
		must(t, err)
		for _, path := range journals {
			raw, err := os.ReadFile(path)
			must(t, err, os.WriteFile(path, bytes.ReplaceAll(raw, []byte(from), []byte(to)), 0o600))
		}
	}
}

// newRepo makes a lotus-miner repo with what a lotus-miner that has sealed has
// beside its sectors, and count of them. Those with an even number differ from
// one variant to the next.
func newRepo(t testing.TB, dir string, count, variant int) {
	t.Helper()
	must(t, os.MkdirAll(metadataDir(dir), 0o755))
	db, err := leveldb.OpenFile(metadataDir(dir), lotusOptions())
	must(t, err)
	defer func() { must(t, db.Close()) }()
	batch := new(leveldb.Batch)
	put := func(key string, value []byte) {
		batch.Put([]byte(key), value)
		if batch.Len() >= 500 {
			must(t, db.Write(batch, nil))
			batch.Reset()
		}
	}
	put("/miner-address", []byte{0x00, 0xe8, 0x07})
	put("/slashfilter/epoch/f01000/123", []byte("a block"))
	put("/sealedblocks/AAAQ", []byte{0xa1, 0x64, 'R', 'e', 'f', 's', 0x80})
	infos := proving(t)
	for n := range count {
		put("/sectors/"+strconv.Itoa(n), record(t, infos[n%len(infos)], uint64(n), variant))
	}
	if count > 0 {
		for key, value := range numbers(t, count) {
			put(key, value)
		}
	}
	must(t, db.Write(batch, &opt.WriteOptions{Sync: true}))
}

// numbers are those of a lotus-miner that has sealed: a counter, a bitfield
// with a gap, and a reservation.
func numbers(t testing.TB, count int) map[string][]byte {
	t.Helper()
	set := func(bits ...uint64) []byte {
		var b bytes.Buffer
		field := bitfield.NewFromSet(bits)
		must(t, field.MarshalCBOR(&b))
		return b.Bytes()
	}
	var used []uint64
	for n := range count {
		used = append(used, uint64(n))
	}
	used = append(used, uint64(count)+7)
	reserved := set(uint64(count) + 30)
	return map[string][]byte{
		"/storage/nextid":                  appendUvarint(uint64(count) + 7),
		"/storage/sectorsids/allocated":    set(used...),
		"/storage/sectorsids/reserved":     reserved,
		"/storage/sectorsids/reserved/for": reserved,
	}
}

func appendUvarint(n uint64) []byte {
	var b []byte
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// proving are the fixture's records that a switch carries.
func proving(t testing.TB) []*lotus.SectorInfo {
	t.Helper()
	var out []*lotus.SectorInfo
	for _, path := range testkit.Glob(t, "lotus-sectorinfo/*-Proving.cbor") {
		raw, err := os.ReadFile(path)
		must(t, err)
		info, err := lotus.Decode(raw)
		must(t, err)
		out = append(out, info)
	}
	return out
}

func record(t testing.TB, from *lotus.SectorInfo, number uint64, variant int) []byte {
	t.Helper()
	info := *from
	info.SectorNumber = abi.SectorNumber(number)
	info.TicketValue = fmt.Appendf(nil, "%032d", number)
	if number%2 == 0 {
		info.TicketValue[0] = byte('0' + variant)
	}
	raw, err := lotus.Encode(&info)
	must(t, err)
	return raw
}

// inHome writes into a collection of a home as damocles does.
func inHome(t testing.TB, home, collection string, records map[string]string) {
	t.Helper()
	dir := filepath.Join(home, collection)
	must(t, os.MkdirAll(dir, 0o700))
	db, err := badger.Open(badgerOptions(dir))
	must(t, err)
	err = db.Update(func(txn *badger.Txn) error {
		for key, value := range records {
			if err := txn.Set([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, err, db.Close())
}

// The worlds. Each has a home, and a repo or two, under these names:
//
//	source  a lotus-miner to import from
//	home    a damocles home
//	dest    a lotus-miner to export to

// freshWorld has only a lotus-miner.
func freshWorld(t testing.TB) string {
	return shared.get(t, "fresh", func(dir string) {
		newRepo(t, filepath.Join(dir, "source"), sectorCount(), 1)
	})
}

// mixedWorld has a lotus-miner, and a damocles that has its sectors already, of
// which half differ. Damocles has sectors of its own, too, and a higher number.
func mixedWorld(t testing.TB) string {
	fresh := freshWorld(t)
	return shared.get(t, "mixed", func(dir string) {
		home, old := filepath.Join(dir, "home"), filepath.Join(dir, "old")
		newRepo(t, old, sectorCount(), 2)
		run(t, "--home", home, "import", "--repo", old).exits(0)
		must(t, os.RemoveAll(old), os.CopyFS(filepath.Join(dir, "source"), os.DirFS(filepath.Join(fresh, "source"))))
		others := map[string]string{"sector-number//m-1000": string(appendUvarint(uint64(sectorCount()) + 500))}
		for _, path := range testkit.Glob(t, "damocles-states/*-online-*.json") {
			number := uint64(sectorCount()) + 100 + uint64(len(others))
			others[fmt.Sprintf("sector-states/m-1000-n-%d", number)] = renumbered(t, path, number)
		}
		inHome(t, home, "meta", others)
		inHome(t, home, "sector-index", map[string]string{"m-1000-n-1": "store1", "cache/m-1000-n-1": "store2"})
	})
}

// renumbered is a fixture's state under another number.
func renumbered(t testing.TB, path string, number uint64) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	var b bytes.Buffer
	must(t, json.Compact(&b, raw))
	head, rest, ok := strings.Cut(b.String(), `"Number":`)
	if !ok {
		t.Fatalf("%s has no number", path)
	}
	return fmt.Sprintf(`%s"Number":%d%s`, head, number, rest[strings.IndexByte(rest, '}'):])
}

// importedWorld is mixedWorld after an import with --override.
func importedWorld(t testing.TB) string {
	mixed := mixedWorld(t)
	return shared.get(t, "imported", func(dir string) {
		clone(t, mixed, dir)
		run(t, importOver(dir)...)
	})
}

// leavingWorld has a damocles with sectors that came from a lotus-miner, half
// of which it has changed since, and an empty lotus-miner.
func leavingWorld(t testing.TB) string {
	mixed := mixedWorld(t)
	return shared.get(t, "leaving", func(dir string) {
		clone(t, mixed, dir)
		must(t, os.RemoveAll(filepath.Join(dir, "source")))
		newRepo(t, filepath.Join(dir, "dest"), 0, 0)
		home := filepath.Join(dir, "home")
		changed := map[string]string{}
		for key, value := range collection(t, filepath.Join(home, "offline_meta"), asDamocles) {
			if strings.HasSuffix(key, "1") {
				changed[key] = strings.Replace(value, `"NeedRebuild":false`, `"NeedRebuild":true`, 1)
			}
		}
		inHome(t, home, "offline_meta", changed)
	})
}

// returningWorld is the same with a lotus-miner that has the sectors already, of
// which half differ.
func returningWorld(t testing.TB) string {
	leaving := leavingWorld(t)
	return shared.get(t, "returning", func(dir string) {
		clone(t, leaving, dir)
		must(t, os.RemoveAll(filepath.Join(dir, "dest")))
		newRepo(t, filepath.Join(dir, "dest"), sectorCount(), 3)
	})
}

// exportedWorld is returningWorld after an export with --override.
func exportedWorld(t testing.TB) string {
	returning := returningWorld(t)
	return shared.get(t, "exported", func(dir string) {
		clone(t, returning, dir)
		run(t, exportOver(dir)...)
	})
}

// The command lines in a world's directory.

func importFresh(dir string) []string {
	return []string{"--home", filepath.Join(dir, "home"), "import", "--repo", filepath.Join(dir, "source")}
}

func importOver(dir string) []string { return append(importFresh(dir), "--override") }

func importRollback(dir string) []string {
	return []string{"--home", filepath.Join(dir, "home"), "import", "rollback"}
}

func export(dir string) []string {
	return []string{"--home", filepath.Join(dir, "home"), "export", "--miner", "t01000", "metadata", "--dest-repo", filepath.Join(dir, "dest")}
}

func exportOver(dir string) []string { return append(export(dir), "--override") }

func exportRollback(dir string) []string {
	return []string{"export", "--miner", "t01000", "rollback", "--dest-repo", filepath.Join(dir, "dest")}
}

func sectorsCmd(args []string) []string {
	return append([]string{"util", "sealer", "sectors"}, args...)
}

// run runs a command below `util sealer sectors` to its end.
func run(t testing.TB, args ...string) *command {
	t.Helper()
	return start(t, nil, sectorsCmd(args)...).wait()
}
