package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v2"

	"damocles-manager/internal/testkit"
)

// indexed reads a home's index as damocles does. It returns what tells the
// directory in which it finds an object, as "sealed/s-t01000-1"; "" for none.
func (w *world) indexed(home string) func(object string) string {
	w.t.Helper()
	entries, stores := w.collection(home, "sector-index"), damoclesStores(w.t, home)
	prefixes := map[string][]string{"sealed": {""}, "cache": {"cache/", ""}, "update": {"sector-upgrade/"}, "update-cache": {"sector-upgrade/cache/", "sector-upgrade/"}}
	return func(object string) string {
		kind, name, _ := strings.Cut(object, "/")
		miner, number, _ := strings.Cut(strings.TrimPrefix(name, "s-t0"), "-")
		for _, prefix := range prefixes[kind] {
			store, ok := entries[prefix+"m-"+miner+"-n-"+number]
			if dir := stores[store]; ok && exists(filepath.Join(dir, object)) {
				return dir
			}
			if ok {
				return ""
			}
		}
		return ""
	}
}

// collection reads all keys of a collection of a home.
func (w *world) collection(home, name string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	w.withHome(home, name, func(db *badger.DB) {
		w.must(db.View(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.DefaultIteratorOptions)
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				value, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				out[string(it.Item().Key())] = string(value)
			}
			return nil
		}))
	})
	return out
}

// findsLotus checks that damocles finds every sector of the fixture's lotus paths.
func findsLotus(t *testing.T, w *world, home string) {
	t.Helper()
	n, indexed := 0, w.indexed(home)
	for _, s := range storedSectors(t) {
		for _, path := range s.paths() {
			// 22 and 29 lost a file of a pair, so that pair is not whole.
			if s.Kind != "lotus" || *path == "" || (s.Number == 22 && strings.Contains(*path, "/cache/")) {
				continue
			}
			n++
			// An upgraded sector is proven from its update files: its first cache alone
			// is entered, too, but damocles looks for it by the replica.
			if s.Sealed == "" && *path == s.Cache {
				continue
			}
			dir, object, _ := strings.Cut(*path, "/")
			if got := indexed(object); got != w.store(dir) {
				t.Errorf("damocles finds %s in %q", *path, got)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d files were looked for", n)
	}
}

func TestImportWithStores(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repo, home := w.repoWithStores("lotus"), w.path("home")
	w.stores()
	before := w.tree()
	w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--dry-run").exits(3).says("lotus-1 (" + w.store("lotus-1") + "): printed (16 sectors)").readable()
	w.same(before)

	r := w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--write-config").exits(3).
		says("import stores: 2 entered", "lotus-1 ("+w.store("lotus-1")+"): entered", "index: 33 pairs of files entered", "27 written").readable()
	config := filepath.Join(home, "sector-manager.cfg")
	want := "[[Common.PersistStores]]\nName = \"lotus-1\"\nPath = \"" + w.store("lotus-1") + "\"\n\n[[Common.PersistStores]]\nName = \"lotus-2\"\nPath = \"" + w.store("lotus-2") + "\"\n"
	if got := w.textOf(config); got != want {
		t.Errorf("the configuration is\n%s\nwant\n%s", got, want)
	}
	findsLotus(t, w, home)

	done := w.textOf(config)
	w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--write-config").exits(3).
		says("import stores: 0 entered, 2 unchanged", "index: 0 pairs of files entered").never("undo with")
	if got := w.textOf(config); got != done {
		t.Errorf("a second run wrote %s", got)
	}

	// one undo takes back the sectors, the index and the configuration
	w.sectorsCmd(home, "import", "rollback", "--backup", r.undoes()).exits(0)
	if exists(config) || len(w.collection(home, "sector-index")) > 0 || w.get(home, "offline_meta", offlineKey(1)) != "" {
		t.Error("the rollback leaves something")
	}
}

// What stands in the configuration stays byte for byte.
func TestImportWritesIntoTheConfig(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repoWithStores("lotus"), w.homeWithStores("home")
	config := filepath.Join(home, "sector-manager.cfg")
	old := strings.ReplaceAll("# mine\n"+w.textOf(config)+"\n# [[Common.PersistStores]]\n#Name = \"lotus-1\"", "\n", "\r\n")
	w.put(config, old)
	w.put(filepath.Join(w.store("lotus-1"), "sectorstore.json"), `{"ID":"1","Weight":10,"CanStore":false,"AllowMiners":["t01000","f01001"]}`)
	w.put(filepath.Join(w.store("lotus-2"), "sectorstore.json"), `{"ID":"2","Weight":30,"CanStore":true}`)
	w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--write-config").exits(3).says("so it is read-only in damocles")
	got := w.textOf(config)
	added, ok := strings.CutPrefix(got, old)
	want := strings.ReplaceAll("\n\n[[Common.PersistStores]]\nName = \"lotus-1\"\nPath = \""+w.store("lotus-1")+"\"\nReadOnly = true\nAllowMiners = [1000, 1001]\n\n"+
		"[[Common.PersistStores]]\nName = \"lotus-2\"\nPath = \""+w.store("lotus-2")+"\"\nWeight = 30\n", "\n", "\r\n")
	if !ok || added != want {
		t.Errorf("added %q, want %q", added, want)
	}
	damoclesStores(t, home)
	w.sectorsCmd(home, "import", "rollback").exits(0)
	if w.textOf(config) != old {
		t.Errorf("after the rollback it is %q", w.textOf(config))
	}
}

// The rollback leaves a configuration alone that was changed since.
func TestImportRollbackKeepsAChangedConfig(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repoWithStores("lotus"), w.homeWithStores("home")
	w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--write-config").exits(3)
	w.addConfig(home, "# later")
	changed := w.textOf(filepath.Join(home, "sector-manager.cfg"))
	w.sectorsCmd(home, "import", "rollback").exits(3).says("sector-manager.cfg: kept: it has changed since")
	if got := w.textOf(filepath.Join(home, "sector-manager.cfg")); got != changed {
		t.Errorf("it is %s now", got)
	}
}

func TestImportStoresThatCannotBe(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repoWithStores("lotus"), w.homeWithStores("home")
	w.sectorsCmd(home, "import", "--repo", repo, "--write-config").exits(2).says("--with-stores")

	config := filepath.Join(home, "sector-manager.cfg")
	old := w.textOf(config)
	i := strings.Index(old, "[[Common.PersistStores]]")
	j := strings.Index(old, "[[Miners]]")
	w.put(config, old[:i]+old[j:]+"\n") // without stores
	w.put(config, strings.Replace(w.textOf(config), "[Common]\n", "[Common]\nPersistStores = [{Name = \"a\", Path = \""+w.store("damocles-1")+"\"}]\n", 1))
	inline := w.textOf(config)
	w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--write-config").exits(1).says("sections cannot be added", "without --write-config they are printed").readable()
	if w.textOf(config) != inline {
		t.Error("the configuration was written")
	}
	w.put(config, old)

	// one path that is gone holds up no other; one that is known has one name; one
	// that is known under another path is not entered twice
	w.must(os.Symlink(w.store("damocles-1"), w.path("link")))
	w.put(filepath.Join(w.store("damocles-1"), "sectorstore.json"), `{"ID":"d1","Weight":10,"CanStore":true}`)
	w.put(filepath.Join(w.dir, "x", "lotus-1", "sectorstore.json"), `{"ID":"x","Weight":10,"CanStore":true}`)
	storage := filepath.Join(repo, "storage.json")
	w.put(storage, strings.Replace(w.textOf(storage), `]}`, `,{"Path":"`+w.path("gone")+`"},{"Path":"`+w.path("link")+`"},{"Path":"`+w.path("x/lotus-1")+`/"}]}`, 1))
	w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--write-config").exits(3).
		says(w.path("gone")+": refused", "see that its disk is mounted", "t01000_01 ("+w.path("link")+"): unchanged", "lotus-1_2 ("+w.path("x/lotus-1")+"): entered",
			"import stores: 3 entered, 1 unchanged, 0 skipped, 1 refused").readable()
	stores := damoclesStores(t, home)
	if len(stores) != 5 || stores["lotus-1_2"] != w.path("x/lotus-1") {
		t.Errorf("damocles has the stores %v", stores)
	}
}

// A sector whose files lie where the repo names no path, as on a worker's disk, comes
// along, and nobody would prove it: that is said, also in a dry run.
func TestImportStoresLackASector(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repo, home := w.repoWithStores("lotus"), w.homeWithStores("home")
	// 2 is there to the last byte, 10 and the upgraded 20 are elsewhere
	away := w.path("away")
	for _, number := range []string{"10", "20"} {
		found, err := filepath.Glob(filepath.Join(w.stores(), "lotus-*", "*", "s-t01000-"+number))
		w.must(err)
		if len(found) < 2 {
			t.Fatalf("%s has only %v", number, found)
		}
		for _, path := range found {
			to := filepath.Join(away, filepath.Base(filepath.Dir(path)))
			w.must(os.MkdirAll(to, 0o755))
			w.must(os.Rename(path, filepath.Join(to, filepath.Base(path))))
		}
	}
	args := []string{"import", "--repo", repo, "--with-stores", "--write-config", "--numbers", "2,10,20"}
	const lacks = "damocles cannot prove 2 of the sectors yet, as the index has their replica in no store: s-t01000-10, s-t01000-20;"
	w.sectorsCmd(home, append(args, "--dry-run")...).exits(3).says("3 would be written", lacks)
	w.sectorsCmd(home, args...).exits(3).says("3 written", lacks, "util storage attach --allow-splitted PATH").readable()
	w.sectorsCmd(home, args...).exits(3).says("3 unchanged", lacks)
	w.run("util", "storage", "--home", home, "attach", "--allow-splitted", away).exits(0)
	w.sectorsCmd(home, args...).exits(0).says("3 unchanged").never("cannot prove")
}

// Through a running damocles-manager the sections are printed, and what is left
// to do is said.
func TestImportStoresThroughADaemon(t *testing.T) {
	w := newWorld(t)
	repo := w.repoWithStores("lotus")
	home := w.homeWithStores(".damocles-manager")
	config := filepath.Join(home, "sector-manager.cfg")
	old := w.textOf(config)
	w.daemon(testkit.DamoclesOptions{Empty: true})
	w.withHome(home, "meta", func(*badger.DB) { // its own home: this process has it open, and listens
		w.cmd("import", "--repo", repo, "--with-stores").exits(3).
			says("[[Common.PersistStores]]\nName = \"lotus-1\"", "stop it and run `damocles-manager util storage attach").readable()
		if w.textOf(config) != old {
			t.Error("the configuration was written")
		}
		w.cmd("import", "--repo", repo, "--with-stores", "--write-config").exits(3).says("import stores: 2 entered", "when it is started again").readable()
	})
	if got := w.textOf(config); !strings.HasPrefix(got, old) || len(damoclesStores(t, home)) != 4 {
		t.Errorf("the configuration is %s", got)
	}
	w.sectorsCmd(home, "import", "rollback").says("1 restored")
	if w.textOf(config) != old {
		t.Error("the rollback leaves the configuration changed")
	}
}

// A store that the home's owner cannot read is listed, and entered all the same.
func TestImportStoresForAnotherUser(t *testing.T) {
	w := sharedWorld(t)
	repo, home := w.repoWithStores("lotus"), w.homeWithStores("home")
	w.give(w.dir)
	w.must(os.Chmod(w.store("lotus-2"), 0o700))
	w.must(os.Chown(w.store("lotus-2"), 0, 0))
	w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--write-config").exits(3).
		says("1 stores cannot be worked with by the home's owner", w.store("lotus-2")+": ", "chown -R")
	if _, ok := damoclesStores(t, home)["lotus-2"]; !ok {
		t.Error("it was not entered")
	}
	info, err := os.Stat(filepath.Join(home, "sector-manager.cfg"))
	w.must(err)
	if !slices.Contains([]os.FileMode{0o600, 0o644}, info.Mode().Perm()) {
		t.Errorf("the configuration has mode %v", info.Mode())
	}
}

// Over RPC lotus-miner names its paths; here they are not on this machine.
func TestImportStoresOverRPC(t *testing.T) {
	w := newWorld(t)
	home := w.path("home")
	miner := testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: true})
	w.sectorsCmd(home, "import", "--api", miner.Multiaddr(), "--with-stores", "--write-config").exits(3).
		says("/storage/lotus-1: refused", "that this is the machine that has it", "import stores: 0 entered, 0 unchanged, 0 skipped, 2 refused", "27 written").readable()
	if exists(filepath.Join(home, "sector-manager.cfg")) {
		t.Error("a configuration without stores was made")
	}
}

// A token that may only read is found out before anything is written.
func TestImportStoresNeedsAdmin(t *testing.T) {
	w := newWorld(t)
	home := w.path("home")
	opts := testkit.LotusOptions{FromRepoJSON: true}
	opts.Token, opts.ReadToken = "admin", "read"
	opts.Results = map[string]json.RawMessage{
		"Filecoin.StorageLocal": json.RawMessage(`{"one":"` + w.store("lotus-1") + `"}`),
		"Filecoin.StorageInfo":  json.RawMessage(`{"ID":"one","Weight":10,"CanStore":true,"AllowMiners":["t01000"],"DenyMiners":null}`),
	}
	miner := testkit.Lotus(t, opts)
	reading := w.write("read.token", "read")
	w.sectorsCmd(home, "import", "--api", miner.Multiaddr(), "--token-file", reading, "--with-stores").exits(1).
		says("lotus-miner does not name its storage paths to this token", "--perm admin").readable()
	if exists(filepath.Join(home, "switching", "journal")) {
		t.Error("something was written")
	}
	admin := w.write("admin.token", "admin")
	w.sectorsCmd(home, "import", "--api", miner.Multiaddr(), "--token-file", admin, "--with-stores", "--write-config").exits(3).
		says("import stores: 1 entered", "27 written").readable()
	want := "[[Common.PersistStores]]\nName = \"lotus-1\"\nPath = \"" + w.store("lotus-1") + "\"\nAllowMiners = [1000]\n"
	if got := w.textOf(filepath.Join(home, "sector-manager.cfg")); got != want {
		t.Errorf("the configuration is %q, want %q", got, want)
	}
}
