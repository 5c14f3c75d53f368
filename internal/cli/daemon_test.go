package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v2"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/testkit"
)

// daemon starts a damocles-manager where --listen looks for one by default.
func (w *world) daemon(opts testkit.DamoclesOptions) *testkit.DamoclesServer {
	w.t.Helper()
	d := testkit.Damocles(w.t, opts)
	at, err := url.Parse(d.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = at.Host
	return d
}

// defaultHome is where a home is looked for when none is named.
func (w *world) defaultHome() string { return w.path(".damocles-manager") }

// cmd runs a command below `util sealer sectors` and names no home.
func (w *world) cmd(args ...string) *result {
	w.t.Helper()
	return w.run(append([]string{"util", "sealer", "sectors"}, args...)...)
}

// get reads a key of a collection, "" where it is not there.
func (w *world) get(home, collection, key string) string {
	w.t.Helper()
	var out string
	w.withHome(home, collection, func(db *badger.DB) {
		err := db.View(func(txn *badger.Txn) error {
			item, err := txn.Get([]byte(key))
			if errors.Is(err, badger.ErrKeyNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return item.Value(func(v []byte) error {
				out = string(v)
				return nil
			})
		})
		if err != nil {
			w.t.Fatal(err)
		}
	})
	return out
}

// set writes a key of a collection; "" deletes it.
func (w *world) set(home, collection, key, value string) {
	w.t.Helper()
	w.withHome(home, collection, func(db *badger.DB) {
		err := db.Update(func(txn *badger.Txn) error {
			if value == "" {
				return txn.Delete([]byte(key))
			}
			return txn.Set([]byte(key), []byte(value))
		})
		if err != nil {
			w.t.Fatal(err)
		}
	})
}

func onlineKey(n int) string  { return fmt.Sprintf("sector-states/m-1000-n-%d", n) }
func offlineKey(n int) string { return fmt.Sprintf("sector-states-offline/m-1000-n-%d", n) }

// canonicalJSON writes what a document says in one way only.
func canonicalJSON(t *testing.T, raw string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// What arrives through the daemon is what the direct way writes, and what cannot
// be done through it is said.
func TestImportThroughDaemon(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	w.sectorsCmd(home, "import", "--repo", repo).exits(3).says("working on the home " + home + " directly")

	d := w.daemon(testkit.DamoclesOptions{Empty: true})
	w.cmd("import", "--repo", repo, "--dry-run").exits(3).says("27 would be written")
	if d.Calls("Venus.ImportSector") != 0 {
		t.Fatal("a dry run imported")
	}
	r := w.cmd("import", "--repo", repo).exits(3).
		says(arrive27, "working through the damocles-manager v0.13.1", "at "+w.addr).
		says("next sector number in damocles: above 31", "[[Miners]]\nActor = 1000\n[Miners.Sector]\nMinNumber = 31\n").
		says("the originals of the records are not kept", "--origins DIR", "no journal is kept").
		never("undo with")
	if exists(w.defaultHome()) {
		t.Error("an import through a daemon made a home")
	}
	if d.Count("offline") != 27 || d.Count("online") != 0 {
		t.Errorf("the daemon has %d offline and %d online", d.Count("offline"), d.Count("online"))
	}
	for _, n := range arrived() {
		direct, through := w.get(home, "offline_meta", offlineKey(n)), string(d.State("offline", 1000, uint64(n)))
		if canonicalJSON(t, direct) != canonicalJSON(t, through) {
			t.Errorf("sector %d:\nthe home has     %s\nthe daemon has   %s", n, direct, through)
		}
	}
	checkConfigLines(t, w, r.out)

	calls := d.Calls("Venus.ImportSector")
	w.cmd("import", "--repo", repo).exits(3).
		says("damocles has all 27 sectors already, equal: nothing was changed", "0 written, 27 unchanged")
	if now := d.Calls("Venus.ImportSector"); now != calls {
		t.Errorf("the second import made %d calls of ImportSector", now-calls)
	}
}

// checkConfigLines: the lines are what damocles's own configuration takes.
func checkConfigLines(t *testing.T, w *world, out string) {
	t.Helper()
	_, lines, ok := strings.Cut(out, "for this miner:\n")
	if !ok {
		t.Fatalf("no lines for the configuration:\n%s", out)
	}
	for _, before := range []string{"", "[Common]\n[Common.DB]\nDriver = \"badger\"\n\n[[Miners]]\nActor = 1001\n[Miners.Sector]\nInitNumber = 5\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "sector-manager.cfg"), []byte(before+lines), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := damocles.LoadConfig(dir, func(string) string { return "" })
		if err != nil {
			t.Fatalf("%v\n%s", err, lines)
		}
		m, ok := cfg.Miner(1000)
		if !ok || m.Sector.MinNumber == nil || *m.Sector.MinNumber != 31 {
			t.Errorf("the configuration says %+v", cfg.Miners)
		}
	}
}

// Journal and origins lie in the home on this machine, and make the way back
// byte for byte; --origins keeps the latter where there is none.
func TestDaemonKeepsOrigins(t *testing.T) {
	for _, local := range []bool{true, false} {
		t.Run(fmt.Sprintf("home on this machine %v", local), func(t *testing.T) {
			w := newWorld(t)
			repo := w.repo("lotus")
			originals := sectors(w.metadata("lotus"))
			w.daemon(testkit.DamoclesOptions{Empty: true})
			origins := w.path("elsewhere")
			args := []string{"--origins", origins}
			if local {
				origins, args = migrate.OriginsDir(w.defaultHome()), nil
				if err := os.Mkdir(w.defaultHome(), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			r := w.cmd(append([]string{"import", "--repo", repo}, args...)...).exits(3).never("originals of the records are not kept")
			if local {
				if journal := r.undoes(); filepath.Dir(journal) != migrate.JournalDir(w.defaultHome()) || !exists(journal) {
					t.Errorf("the journal is %s", journal)
				}
			} else {
				r.says("no journal is kept").never("undo with")
			}
			if !exists(origins) {
				t.Fatalf("no origins in %s", origins)
			}
			w.emptyRepo("back")
			w.cmd(append([]string{"export", "--miner", "f01000", "metadata", "--keep-states", "--dest-repo", w.path("back")}, args...)...).
				exits(0).says("27 written")
			for key, value := range sectors(w.metadata("back")) {
				if value != originals[key] {
					t.Errorf("%s is not what it was", key)
				}
			}
		})
	}
}

func TestDaemonConflicts(t *testing.T) {
	w := newWorld(t)
	repo := w.repo("lotus")
	d := w.daemon(testkit.DamoclesOptions{Empty: true})
	w.cmd("import", "--repo", repo).exits(3)
	before := string(d.State("offline", 1000, 8))
	w.mutateSector("lotus", 8, func(b []byte) []byte {
		return bytes.Replace(b, []byte("\x4c\x72\x25\x61"), []byte("\x4c\x72\x25\x62"), 1)
	})
	w.cmd("import", "--repo", repo, "--numbers", "8,9").exits(3).
		says("s-t01000-8: conflict: damocles has it, and differs", "Original.Proof: has", "1 unchanged", "1 conflicts")
	if string(d.State("offline", 1000, 8)) != before {
		t.Fatal("a conflict was written")
	}
	w.cmd("import", "--repo", repo, "--numbers", "8,9", "--override").exits(0).says("1 written", "1 unchanged")
	if string(d.State("offline", 1000, 8)) == before {
		t.Error("--override wrote nothing")
	}
	w.cmd("import", "--repo", repo, "--numbers", "8,9").exits(0).says("2 unchanged")
}

func TestDaemonNeverWritesOverOnline(t *testing.T) {
	w := newWorld(t)
	d := w.daemon(testkit.DamoclesOptions{})
	w.emptyRepo("lotus")
	w.copySector("000-Proving.cbor", "lotus", 117)
	before := string(d.State("online", 1000, 117))
	for _, args := range [][]string{{}, {"--override"}} {
		w.cmd(append([]string{"import", "--repo", w.path("lotus")}, args...)...).exits(3).
			says("s-t01000-117: conflict: it is online in damocles")
	}
	if string(d.State("online", 1000, 117)) != before || d.State("offline", 1000, 117) != nil || d.Calls("Venus.ImportSector") != 0 {
		t.Error("117 was written")
	}
}

// One sector that damocles refuses, or keeps otherwise than it was sent, fails alone.
func TestDaemonRefusesOne(t *testing.T) {
	w := newWorld(t)
	repo := w.repo("lotus")
	var well atomic.Bool
	d := w.daemon(testkit.DamoclesOptions{Empty: true, Keep: func(n uint64, state json.RawMessage) (json.RawMessage, error) {
		switch {
		case well.Load():
		case n == 9:
			return nil, errors.New("disk quota exceeded")
		case n == 10:
			return bytes.Replace(state, []byte(`"Finalized":true`), []byte(`"Finalized":false`), 1), nil
		}
		return state, nil
	}})
	w.cmd("import", "--repo", repo).exits(3).
		says("s-t01000-9: failed: damocles refused it: disk quota exceeded").
		says("s-t01000-10: failed: damocles does not hold what was written").
		says("25 written", "2 failed", "MinNumber = 31")
	if d.Count("offline") != 26 {
		t.Errorf("the daemon has %d sectors, want all but 9", d.Count("offline"))
	}
	well.Store(true)
	w.cmd("import", "--repo", repo).exits(3).says("1 written", "25 unchanged", "1 conflicts", "s-t01000-10: conflict")
	w.cmd("import", "--repo", repo, "--override").exits(3).says("1 written", "26 unchanged")
	w.cmd("import", "--repo", repo).exits(3).says("0 written, 27 unchanged")
}

// The answer to an import can be lost after the work is done: a second try is
// told that the sector is there, and reading back shows that it is ours.
func TestDaemonLostAnswer(t *testing.T) {
	t.Parallel()
	for _, fail := range []testkit.Failure{testkit.Lost, testkit.Close, testkit.Unavailable} {
		t.Run(fmt.Sprint(fail), func(t *testing.T) {
			w := newWorld(t)
			repo := w.repo("lotus")
			var imports atomic.Int64
			d := w.daemon(testkit.DamoclesOptions{Empty: true, Options: testkit.Options{Fail: func(method string, _ int) testkit.Failure {
				if method == "Venus.ImportSector" && imports.Add(1) == 5 {
					return fail
				}
				return testkit.Pass
			}}})
			w.cmd("import", "--repo", repo).exits(3).says(arrive27, "trying again").never(": failed", ": conflict")
			if d.Count("offline") != 27 {
				t.Errorf("%d arrived", d.Count("offline"))
			}
		})
	}
}

// A daemon that goes away in the middle ends the run; the next one finishes the
// rest in the same journal.
func TestDaemonGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repo := w.repo("lotus")
	if err := os.Mkdir(w.defaultHome(), 0o700); err != nil {
		t.Fatal(err)
	}
	var imports atomic.Int64
	var away atomic.Bool
	away.Store(true)
	d := w.daemon(testkit.DamoclesOptions{Empty: true, Options: testkit.Options{Fail: func(method string, _ int) testkit.Failure {
		if method == "Venus.ImportSector" && imports.Add(1) > 10 && away.Load() {
			return testkit.Close
		}
		return testkit.Pass
	}}})
	w.cmd("import", "--repo", repo, "--jobs", "2").exits(1).says("did not answer", "run the command again")
	if n := d.Count("offline"); n == 0 || n == 27 {
		t.Fatalf("%d arrived, want some", n)
	}
	away.Store(false)
	r := w.cmd("import", "--repo", repo, "--jobs", "2").exits(3).says("0 failed", "0 conflicts")
	if d.Count("offline") != 27 {
		t.Errorf("%d arrived", d.Count("offline"))
	}
	journals, err := filepath.Glob(filepath.Join(migrate.JournalDir(w.defaultHome()), "*.journal"))
	if err != nil || len(journals) != 1 || journals[0] != r.undoes() {
		t.Errorf("journals: %v (%v), want one", journals, err)
	}
}

func TestExportFromDaemonEqualsExportFromHome(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.emptyRepo("direct")
	w.emptyRepo("daemon")
	w.export(home, w.path("direct")).exits(3).says("working on the home "+home+" directly", "18 written")
	w.daemon(testkit.DamoclesOptions{})
	w.cmd("export", "--miner", "t01000", "metadata", "--dest-repo", w.path("daemon")).exits(3).
		says("working through the damocles-manager", "at "+w.addr, "18 written", "2 unfinished", "update next sector number: 123")
	if direct, daemon := w.metadata("direct"), w.metadata("daemon"); !maps.Equal(direct, daemon) {
		for key, value := range direct {
			if daemon[key] != value {
				t.Errorf("%s differs: %x and %x", key, value, daemon[key])
			}
		}
		t.Errorf("%d keys and %d", len(direct), len(daemon))
	}
}

// What went through a daemon is undone in its home. Whether the home is the
// daemon's is known by who has it open; where it is not known, the journal has
// to be named.
func TestRollbackOfDaemonImport(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("known home %v", known), func(t *testing.T) {
			w := newWorld(t)
			repo := w.repo("lotus")
			home := w.defaultHome()
			d := w.daemon(testkit.DamoclesOptions{Empty: true})
			var journal string
			if err := os.Mkdir(home, 0o700); err != nil {
				t.Fatal(err)
			}
			if known {
				w.withHome(home, "meta", func(*badger.DB) { journal = w.cmd("import", "--repo", repo).exits(3).undoes() })
			} else {
				journal = w.cmd("import", "--repo", repo).exits(3).undoes()
			}
			for _, n := range arrived() {
				w.set(home, "offline_meta", offlineKey(n), string(d.State("offline", 1000, uint64(n))))
			}
			d.Stop()
			if !known {
				w.cmd("import", "rollback").exits(5).says("is of the damocles-manager at http://"+w.addr, "--backup")
				w.cmd("import", "rollback", "--backup", journal, "--dry-run").exits(0).says("27 would be deleted")
				w.cmd("import", "rollback", "--backup", journal).exits(0).says("27 deleted")
			} else {
				w.cmd("import", "rollback").exits(0).says("27 deleted")
			}
			w.cmd("list", "--offline", "--snapup").exits(0).says("Count: 0")
		})
	}
}

// A journal of another home, or of another command, is refused.
func TestRollbackRefusesForeignJournals(t *testing.T) {
	w := newWorld(t)
	repo, home, other := w.repo("lotus"), w.path("home"), w.home("other")
	imported := w.sectorsCmd(home, "import", "--repo", repo).exits(3).undoes()
	w.emptyRepo("dest")
	exported := w.export(home, w.path("dest")).exits(0).undoes()

	before := testkit.Digest(t, filepath.Join(other, "offline_meta"), "*.vlog")
	w.sectorsCmd(other, "import", "rollback", "--backup", imported).exits(5).says("is of "+home+", not of "+other, "hint:")
	w.sectorsCmd(home, "import", "rollback", "--backup", exported).exits(5).says("is of export")
	w.sectorsCmd(home, "export", "--miner", "1000", "rollback", "--dest-repo", w.path("dest"), "--backup", imported).exits(5).says("is of import")
	w.sectorsCmd(home, "export", "--miner", "1000", "rollback", "--dest-repo", repo, "--backup", exported).exits(5).says("not of " + repo)
	if testkit.Digest(t, filepath.Join(other, "offline_meta"), "*.vlog") != before {
		t.Error("a refused rollback wrote")
	}
	// the same home under another name is the same home
	if err := os.Symlink(home, w.path("link")); err != nil {
		t.Fatal(err)
	}
	w.sectorsCmd(w.path("link"), "import", "rollback", "--backup", imported).exits(0).says("27 deleted")
}
