package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

func (w *world) storage(home string, args ...string) *result {
	w.t.Helper()
	return w.run(append([]string{"util", "storage", "--home", home}, args...)...)
}

func (w *world) attach(home string, args ...string) *result {
	w.t.Helper()
	return w.storage(home, append([]string{"attach"}, args...)...)
}

// index reads all of a home's index.
func (w *world) index(home string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	w.withHome(home, "sector-index", func(db *badger.DB) {
		w.must(db.View(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.DefaultIteratorOptions)
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				w.must(it.Item().Value(func(v []byte) error { out[string(it.Item().Key())] = string(v); return nil }))
			}
			return nil
		}))
	})
	return out
}

// indexKey is the key of a sector of f01000, with cache/ before it where that is
// asked for.
func indexKey(prefix string, n int) string { return fmt.Sprintf("%sm-1000-n-%d", prefix, n) }

// emptyHome makes a home whose configuration names the stores.
func (w *world) emptyHome(name string, stores ...string) string {
	w.t.Helper()
	home := w.path(name)
	w.must(os.MkdirAll(home, 0o700))
	w.withHome(home, "meta", func(*badger.DB) {})
	w.withHome(home, "offline_meta", func(*badger.DB) {})
	config := ""
	for _, store := range stores {
		config += "[[Common.PersistStores]]\nName = \"" + store + "\"\nPath = \"" + w.store(store) + "\"\n"
	}
	w.must(os.WriteFile(filepath.Join(home, "sector-manager.cfg"), []byte(config), 0o600))
	return home
}

// After an import and the attaching of both stores, damocles finds every sector
// by the rules of its index where the truth says that it is; and one command for
// each takes it back.
func TestAttachBothLotusStores(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.path("home")
	w.sectorsCmd(home, "import", "--repo", w.repo("lotus")).exits(3)
	first := w.attach(home, "--name", "lotus-1", "--allow-splitted", w.store("lotus-1")).exits(0).
		says("attach: 19 written (3 upgraded)", "cache directory is in no store that the index names",
			"[[Common.PersistStores]]\nName = \"lotus-1\"\nPath = \""+w.store("lotus-1")+"\"\n")
	w.addConfig(home, sectionIn(t, first.out))
	// 21 has its update here, so that its first replica is not missed
	second := w.attach(home, "--name", "lotus-2", "--allow-splitted", w.store("lotus-2")).exits(0).
		says("attach: 15 written (2 upgraded)", "damocles has no metadata of it").never("replica is in no store")
	w.addConfig(home, sectionIn(t, second.out))

	w.checkIndex(home, "lotus")
	before := w.index(home)
	for _, store := range []string{"lotus-1", "lotus-2"} {
		w.attach(home, "--allow-splitted", w.store(store)).exits(0).says("attach: 0 written").
			never("undo with", "PersistStores", "conflict:")
	}
	if !maps.Equal(w.index(home), before) {
		t.Error("a second run changed the index")
	}
	w.storage(home, "find", "1000", "5").exits(0).says(`sealed file in "lotus-1", cache dir in "lotus-2"`)
	w.sectorsCmd(home, "import", "rollback", "--backup", second.undoes()).exits(0)
	w.sectorsCmd(home, "import", "rollback", "--backup", first.undoes()).exits(0)
	if left := w.index(home); len(left) != 0 {
		t.Errorf("after both rollbacks the index has %v", left)
	}
}

// sectionIn cuts the section to add out of what was printed.
func sectionIn(t *testing.T, out string) string {
	t.Helper()
	_, after, ok := strings.Cut(out, "[[Common.PersistStores]]\n")
	if !ok {
		t.Fatalf("no section in:\n%s", out)
	}
	section, _, _ := strings.Cut(after, "\n\n")
	return "[[Common.PersistStores]]\n" + section
}

// checkIndex holds damocles's way of looking a sector up against the truth.
func (w *world) checkIndex(home, kind string) {
	w.t.Helper()
	at, err := damocles.OpenHome(w.ctx, home, damocles.Config{}, damocles.Options{})
	w.must(err)
	defer func() { w.must(at.Close()) }()
	name := func(path string) string {
		store, _, _ := strings.Cut(path, "/")
		return store
	}
	checked := 0
	for _, s := range storedSectors(w.t) {
		if s.Kind != kind {
			continue
		}
		id := abi.SectorID{Miner: abi.ActorID(s.Miner), Number: abi.SectorNumber(s.Number)}
		for upgrade, want := range map[bool][2]string{false: {s.Sealed, s.Cache}, true: {s.Update, s.UpdateCache}} {
			sealed, cache, found, err := at.Index(w.t.Context(), id, upgrade)
			w.must(err)
			if found != (want[0] != "") {
				w.t.Errorf("sector %d, upgrade %t: found %t", s.Number, upgrade, found)
			}
			if found && (sealed != name(want[0]) || cache != name(want[1])) {
				w.t.Errorf("sector %d, upgrade %t: sealed in %s, cache in %s, want %v", s.Number, upgrade, sealed, cache, want)
			}
			if found {
				checked++
			}
		}
	}
	if checked != 29 {
		w.t.Errorf("%d pairs of files were looked up, want 29", checked)
	}
}

// What the original wrote into the fixture's index, ours writes, too.
func TestAttachAsTheOriginal(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	want := w.index(home)
	empty := w.homeWithStores("empty")
	w.must(os.RemoveAll(filepath.Join(empty, "sector-index")))
	for _, store := range []string{"damocles-1", "damocles-2"} {
		w.attach(home, "--allow-splitted", w.store(store)).exits(0).says("0 written").never("PersistStores")
		w.attach(empty, "--allow-splitted", w.store(store)).exits(0).never("PersistStores")
	}
	if got := w.index(empty); !maps.Equal(got, want) {
		t.Errorf("the index is\n%v\nwant\n%v", got, want)
	}
	if !maps.Equal(w.index(home), want) {
		t.Error("the index was changed")
	}
}

func TestAttachWithoutSplitted(t *testing.T) {
	w := newWorld(t)
	home := w.emptyHome("home", "lotus-1")
	w.attach(home, w.store("lotus-1")).exits(3).
		says("s-t01000-5: failed: its directory in cache is not in this store", "--allow-splitted", "15 written (3 upgraded)", "1 failed")
	if got := w.index(home); len(got) != 30 || got[indexKey("", 5)] != "" || got[indexKey("cache/", 20)] != "" {
		t.Errorf("the index is %v", got)
	}
}

func TestAttachDryRun(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	digest := func() string {
		return testkit.Digest(t, home, "*/*") + testkit.Digest(t, w.stores(), "*/sealed/*") + testkit.Digest(t, w.stores(), "*/cache/*/*")
	}
	before := digest()
	plan := w.path("plan.json")
	r := w.attach(home, "--dry-run", "--plan-out", plan, "--name", "l1", w.store("lotus-1")).exits(3).
		says("would be written", "[[Common.PersistStores]]").never("undo with")
	if digest() != before {
		t.Errorf("a dry run changed something:\n%s", r.out)
	}
	if _, err := os.Stat(filepath.Join(home, "switching")); err == nil {
		t.Error("a dry run made a journal")
	}
	var doc struct {
		Command, Source string
		Steps           []struct {
			Sector, Action string
			Changes        []struct{ Store, Key string }
		}
	}
	readJSONFile(t, plan, &doc)
	if doc.Command != "attach" || doc.Source != w.store("lotus-1") || len(doc.Steps) != 16 || len(doc.Steps[15].Changes) != 2 {
		t.Errorf("the plan is %+v", doc)
	}
}

// What is wrong with one sector's files keeps that sector out, and no other.
func TestAttachIncomplete(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		flags []string
		harm  func(w *world, dir string)
		want  []string
	}{
		{"a replica that is too short", nil, func(w *world, dir string) { w.must(os.Truncate(dir+"/sealed/s-t01000-2", 2000)) },
			[]string{"s-t01000-2: failed", "has 2000 bytes, and its sector 2048"}},
		{"of the size of another network", nil, func(w *world, dir string) { w.must(os.Truncate(dir+"/sealed/s-t01000-2", 8<<20)) },
			[]string{"s-t01000-2: failed", "has 8388608 bytes, and its sector 2048"}},
		{"a cache file that is missing", nil, func(w *world, dir string) { w.must(os.Remove(dir + "/cache/s-t01000-2/t_aux")) },
			[]string{"s-t01000-2: failed", "s-t01000-2 lacks t_aux"}},
		{"half a cache, splitted", []string{"--allow-splitted"}, func(w *world, dir string) { w.must(os.Remove(dir + "/cache/s-t01000-2/t_aux")) },
			[]string{"s-t01000-2: failed", "s-t01000-2 lacks t_aux"}},
		{"a directory for a replica", nil, func(w *world, dir string) {
			w.must(os.Remove(dir + "/sealed/s-t01000-2"))
			w.must(os.Mkdir(dir+"/sealed/s-t01000-2", 0o755))
		}, []string{"s-t01000-2: failed", "is no regular file, but a directory"}},
		{"a link, with --strict", []string{"--strict"}, func(w *world, dir string) {
			w.must(os.Rename(dir+"/sealed/s-t01000-2", dir+"/elsewhere"))
			w.must(os.Symlink(dir+"/elsewhere", dir+"/sealed/s-t01000-2"))
		}, []string{"s-t01000-2: failed", "is a symbolic link"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			home := w.homeWithStores("home")
			w.changeTo(home, "lotus-1")
			tt.harm(w, w.store("lotus-1"))
			args := append([]string{"--pattern", "s-t01000-[24]"}, tt.flags...)
			w.attach(home, append(args, w.store("lotus-1"))...).exits(3).says(append(tt.want, "1 written", "1 failed")...)
			if got := w.index(home); got[indexKey("", 4)] != "lotus-1" || got[indexKey("", 2)] != "" {
				t.Errorf("the index has 4 in %q, 2 in %q", got[indexKey("", 4)], got[indexKey("", 2)])
			}
		})
	}
}

// changeTo adds one of the copied stores to the configuration, under its own name.
func (w *world) changeTo(home, store string) {
	w.t.Helper()
	w.addConfig(home, "[[Common.PersistStores]]\nName = \""+store+"\"\nPath = \""+w.store(store)+"\"")
}

// A link is as good as what it points to, unless the store is strict.
func TestAttachLinks(t *testing.T) {
	w := newWorld(t)
	home := w.emptyHome("home", "lotus-1")
	dir := w.store("lotus-1")
	w.must(os.Rename(dir+"/cache/s-t01000-2", dir+"/elsewhere"))
	w.must(os.Symlink(dir+"/elsewhere", dir+"/cache/s-t01000-2"))
	w.attach(home, "--pattern", "*-2", dir).exits(0).says("1 written")
	w.attach(home, "--pattern", "*-2", "--strict", dir).exits(3).says("is a symbolic link, which a strict store does not take")
}

func TestAttachJunkAndPattern(t *testing.T) {
	w := newWorld(t)
	home := w.emptyHome("home", "lotus-1")
	dir := w.store("lotus-1")
	w.must(os.MkdirAll(dir+"/sealed/fetching", 0o755))
	for _, name := range []string{"lost+found", "s-t01000-2.tmp", "s-t01000-002", "s-f01000-2"} {
		w.must(os.WriteFile(dir+"/sealed/"+name, make([]byte, 2048), 0o644))
	}
	w.attach(home, "--pattern", "s-t01000-1[0-46]", dir).exits(0).says("4 written, 0 unchanged, 0 conflicts, 0 unfinished, 0 skipped")
	got := slices.Sorted(maps.Keys(w.index(home)))
	want := []string{
		"cache/m-1000-n-10", "cache/m-1000-n-12", "cache/m-1000-n-14", "cache/m-1000-n-16",
		"m-1000-n-10", "m-1000-n-12", "m-1000-n-14", "m-1000-n-16",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the index has %q, want %q", got, want)
	}
	w.attach(home, "--allow-splitted", dir).exits(0).
		says("15 written", "4 skipped (no sector file 4)", "sealed/lost+found: skipped", "sealed/s-t01000-2.tmp: skipped").never("fetching")
	w.attach(home, "--pattern", "s-t01000-99", dir).exits(3).says("missing: no sector's file in " + dir + ` matches "s-t01000-99"`)
	for _, bad := range []string{"[", "sealed/*"} {
		w.attach(home, "--pattern", bad, dir).exits(2).says("hint:")
	}
}

// Sectors of which the home knows nothing are entered, and counted; the first
// says how large all others of the miner must be.
func TestAttachWithoutMetadata(t *testing.T) {
	w := newWorld(t)
	home := w.emptyHome("home", "lotus-1")
	dir := w.store("lotus-1")
	for _, n := range []string{"2", "4"} {
		w.must(os.Truncate(dir+"/sealed/s-t01000-"+n, 8<<20))
	}
	r := w.attach(home, "--json", "--pattern", "s-t01000-[24]", dir).exits(0)
	if notes, _ := r.lines()["summary"][0]["notes"].(map[string]any); notes["no-metadata"] != 2.0 {
		t.Errorf("the notes are %v", notes)
	}
	w.must(os.Truncate(dir+"/sealed/s-t01000-4", 4096))
	w.attach(home, "--pattern", "s-t01000-4", dir).exits(3).says("has 4096 bytes, which is the size of no sector")

	two := w.emptyHome("two", "lotus-1") // whichever comes first, one of them differs
	w.must(os.Truncate(dir+"/sealed/s-t01000-4", 2048))
	w.attach(two, "--pattern", "s-t01000-[24]", dir).exits(3).says("1 written", "1 failed", "bytes, and its sector")
}

// Two stores have the same sectors. The one that the index names and that has
// them keeps them; where it has lost one, or is no store any more, the other one
// takes its place.
func TestAttachConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.emptyHome("home", "lotus-1")
	w.attach(home, "--allow-splitted", w.store("lotus-1")).exits(0)
	before := w.index(home)
	w.must(os.CopyFS(w.path("storage/copy"), os.DirFS(w.store("lotus-1"))))
	w.attach(home, "--name", "copy", w.store("copy")).exits(3).
		says(`s-t01000-2: conflict: the index has its sealed in store "lotus-1", which holds it, too`, "15 conflicts", "1 failed")
	w.attach(home, "--name", "copy", "--allow-splitted", w.store("copy")).exits(3).says("19 conflicts", "0 written")
	if !maps.Equal(w.index(home), before) {
		t.Error("a conflict changed the index")
	}

	w.must(os.Remove(w.store("lotus-1") + "/sealed/s-t01000-2"))
	w.must(os.RemoveAll(w.store("lotus-1") + "/update-cache/s-t01000-20"))
	w.attach(home, "--name", "copy", w.store("copy")).exits(3).says("2 written (1 upgraded)", "13 conflicts",
		`its cache directory stays in the index as in store "lotus-1"`, `the index had its sealed in store "lotus-1", where it is not`)
	got := w.index(home)
	for key, want := range map[string]string{
		indexKey("", 2): "copy", indexKey("cache/", 2): "lotus-1", indexKey("", 4): "lotus-1",
		indexKey("sector-upgrade/", 20): "lotus-1", indexKey("sector-upgrade/cache/", 20): "copy",
	} {
		if got[key] != want {
			t.Errorf("the index has %s in %q, want %q", key, got[key], want)
		}
	}
	w.attach(home, "--name", "copy", w.store("copy")).exits(3).says("0 written, 1 unchanged, 14 conflicts")

	w.must(os.WriteFile(filepath.Join(home, "sector-manager.cfg"), nil, 0o600))
	w.attach(home, "--name", "copy", w.store("copy")).exits(3).says("15 written (3 upgraded), 0 unchanged", "which the configuration does not have")
}

// A replica alone leaves the entry of its cache in the store that has it.
func TestAttachKeepsTheCache(t *testing.T) {
	w := newWorld(t)
	home := w.emptyHome("home", "lotus-1", "lotus-2")
	// The cache of 5 stands in the index as being where its sealed file is.
	w.set(home, "sector-index", indexKey("", 5), "lotus-2")
	w.attach(home, "--pattern", "*-5", "--allow-splitted", w.store("lotus-1")).exits(0).says("1 written")
	if got := w.index(home); got[indexKey("", 5)] != "lotus-1" || got[indexKey("cache/", 5)] != "lotus-2" {
		t.Errorf("the index is %v", got)
	}
	w.storage(home, "find", "1000", "5").exits(0)
}

func TestAttachName(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	dir := w.store("lotus-1")
	w.attach(home, "--name", "other", w.store("damocles-1")).exits(1).says(`damocles's configuration has`, `"t01000_01"`, "hint:")
	w.attach(home, "--name", "t01000_02", dir).exits(1).says(`the name "t01000_02" is that of the store `+w.store("damocles-2"), "hint:")
	w.must(os.Symlink(w.store("damocles-1"), w.path("link")))
	w.attach(home, "--allow-splitted", w.path("link")).exits(0).says("0 written").never("PersistStores")

	w.attach(home, "--read-only", "--strict", "--pattern", "*-2", dir).exits(0).
		says("Name = \"" + dir + "\"\nPath = \"" + dir + "\"\nStrict = true\nReadOnly = true\n")
	if got := w.index(home)[indexKey("", 2)]; got != dir {
		t.Errorf("without --name the store is called %q, want its path %s", got, dir)
	}
	scanned := w.emptyHome("scanned")
	w.must(os.WriteFile(filepath.Join(scanned, "sector-manager.cfg"), []byte("[Common]\nScanPersistStores = [\""+w.stores()+"/*\"]\n"), 0o600))
	w.attach(scanned, "--pattern", "*-2", dir).exits(0).says("1 written").never("PersistStores")
	if got := w.index(scanned)[indexKey("", 2)]; got != "4e34aa51-e955-4542-bd3a-6da3befc15a4" {
		t.Errorf("a store that was found by its sectorstore.json is called %q, want its ID", got)
	}
}

func TestAttachBadPlace(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	dir := w.store("lotus-1")
	w.attach(home, dir+"/none").exits(1).says("there is no directory "+dir+"/none", "hint:")
	w.attach(home, dir+"/sectorstore.json").exits(1).says("is not a directory", "hint:")
	w.attach(home).exits(2).says("attach takes one storage path")
	w.attach(home, dir, dir).exits(2).says("attach takes one storage path")
	w.attach(w.path("nowhere"), dir).exits(1).says("there is no damocles-manager home", "hint:")
	w.must(os.Mkdir(w.path("new"), 0o755))
	w.attach(home, w.path("new")).exits(0).says("there is no sector in "+w.path("new"), "[[Common.PersistStores]]").never("undo with")

	t.Chdir(w.stores())
	w.attach(home, "--pattern", "*-2", "lotus-1").exits(0)
	if got := w.index(home)[indexKey("", 2)]; got != dir {
		t.Errorf("a relative path is called %q, want %s", got, dir)
	}
}

// With damocles-manager running nothing can be entered: no RPC does that.
func TestAttachDaemonUp(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.withHome(home, "meta", func(*badger.DB) {
		w.attach(home, w.store("lotus-1")).exits(5).says("hint:")
	})
	w.attach(home, "--pattern", "*-2", w.store("lotus-1")).exits(0)
}

// What the user who runs damocles-manager may not read is listed.
func TestAttachUnreadable(t *testing.T) {
	w := sharedWorld(t)
	home := w.emptyHome("home", "lotus-1")
	w.give(w.dir)
	w.must(os.Chown(w.store("lotus-1")+"/cache/s-t01000-2/p_aux", 0, 0))
	w.must(os.Chmod(w.store("lotus-1")+"/cache/s-t01000-2/p_aux", 0o600))
	r := w.attach(home, "--json", "--allow-splitted", w.store("lotus-1")).exits(3).says("s-t01000-2/p_aux: ", " may not read it", "hint:")
	if n := r.lines()["store"][0]["unreadable"]; n != 1.0 {
		t.Errorf("unreadable is %v, want 1", n)
	}
	w.must(os.Chown(w.store("lotus-1")+"/cache/s-t01000-2/p_aux", nobody, nobody))
	w.attach(home, "--allow-splitted", w.store("lotus-1")).exits(0)
	w.owned("attach")
}
