package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"damocles-manager/internal/testkit"
)

// storesCmd runs `export stores` for f01000.
func (w *world) storesCmd(home, repo string, args ...string) *result {
	w.t.Helper()
	return w.sectorsCmd(home, append([]string{"export", "--miner=t01000", "stores", "--dest-repo", repo}, args...)...)
}

// lotusFinds reads a repo's storage paths by lotus's rules, on its own, and
// returns the directory of every object, as "sealed/s-t01000-1".
func lotusFinds(t *testing.T, repo string) map[string]string {
	t.Helper()
	var config struct{ StoragePaths []struct{ Path string } }
	decodeStrict(t, filepath.Join(repo, "storage.json"), &config)
	found, ids := map[string]string{}, map[string]string{}
	for _, p := range config.StoragePaths {
		var meta struct {
			ID                                                              string
			Weight                                                          uint64
			CanSeal, CanStore                                               bool
			MaxStorage                                                      uint64
			Groups, AllowTo, AllowTypes, DenyTypes, AllowMiners, DenyMiners []string
		}
		readJSONFile(t, filepath.Join(p.Path, "sectorstore.json"), &meta)
		if meta.ID == "" || ids[meta.ID] != "" {
			t.Errorf("%s has the ID %q, as %q", p.Path, meta.ID, ids[meta.ID])
		}
		ids[meta.ID] = p.Path
		for _, kind := range []string{"unsealed", "sealed", "cache", "update", "update-cache", "piece"} {
			entries, err := os.ReadDir(filepath.Join(p.Path, kind))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.Name() == "fetching" {
					continue
				}
				var miner, number uint64
				if _, err := fmt.Sscanf(e.Name(), "s-t0%d-%d", &miner, &number); err != nil {
					t.Fatalf("lotus-miner does not start: %s/%s/%s: %v", p.Path, kind, e.Name(), err)
				}
				found[fmt.Sprintf("%s/s-t0%d-%d", kind, miner, number)] = p.Path
			}
		}
	}
	return found
}

// decodeStrict takes no key that is not known.
func decodeStrict(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, raw)
	}
}

// damoclesStores reads a home's stores by damocles's rules, on its own, and
// returns their directories by name.
func damoclesStores(t *testing.T, home string) map[string]string {
	t.Helper()
	var config struct {
		Common struct {
			PersistStores []struct {
				Name, Path              string
				AllowMiners, DenyMiners []uint64
			}
			ScanPersistStores []string
		}
	}
	if _, err := toml.DecodeFile(filepath.Join(home, "sector-manager.cfg"), &config); err != nil {
		t.Fatal(err)
	}
	stores := map[string]string{}
	add := func(path string, names ...string) {
		i := slices.IndexFunc(names, func(s string) bool { return s != "" })
		if other, taken := stores[names[i]]; taken {
			t.Errorf("damocles-manager does not start: %s and %s are named %s", other, path, names[i])
		}
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			t.Errorf("damocles-manager does not start: %s is no directory", path)
		}
		stores[names[i]] = path
	}
	for _, s := range config.Common.PersistStores {
		add(s.Path, s.Name, s.Path)
	}
	for _, pattern := range config.Common.ScanPersistStores {
		files, err := filepath.Glob(filepath.Join(pattern, "sectorstore.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			var meta struct {
				ID, Name, Path          string
				Meta                    map[string]string
				Strict, ReadOnly        bool
				Weight                  uint
				AllowMiners, DenyMiners []uint64
				Plugin, PluginName      string
			}
			readJSONFile(t, file, &meta)
			add(filepath.Dir(file), meta.Name, meta.ID, filepath.Dir(file))
		}
	}
	return stores
}

// findsAll checks that every file of the fixture's damocles stores is found by
// both systems, where it is.
func findsAll(t *testing.T, w *world, home, repo string) {
	t.Helper()
	found, known := lotusFinds(t, repo), slices.Collect(maps.Values(damoclesStores(t, home)))
	n := 0
	for _, s := range storedSectors(t) {
		for _, path := range s.paths() {
			if s.Kind != "damocles" || *path == "" {
				continue
			}
			n++
			dir, object, _ := strings.Cut(*path, "/")
			if found[object] != w.store(dir) {
				t.Errorf("lotus-miner finds %s in %q", *path, found[object])
			}
			if !slices.Contains(known, w.store(dir)) {
				t.Errorf("damocles does not know the store of %s", *path)
			}
		}
	}
	if n == 0 {
		t.Error("nothing was looked for")
	}
}

func (w *world) put(path, content string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, []byte(content), 0o644))
}

func (w *world) textOf(path string) string {
	w.t.Helper()
	raw, err := os.ReadFile(path)
	w.must(err)
	return string(raw)
}

func (w *world) rollbackStores(home, repo string, args ...string) *result {
	w.t.Helper()
	return w.sectorsCmd(home, append([]string{"export", "--miner=t01000", "rollback", "--dest-repo", repo}, args...)...)
}

func TestExportStores(t *testing.T) {
	w := newWorld(t)
	home, repo := w.homeWithStores("home"), w.emptyRepo("lotus")
	before := w.tree()
	w.storesCmd(home, repo, "--dry-run").exits(0).says("2 would be entered", "t01000_01 ("+w.store("damocles-1")+"): would-enter (9 sectors)")
	w.same(before)

	r := w.storesCmd(home, repo).exits(0).
		says("export stores: 2 entered, 0 unchanged, 0 skipped", "1 sectors of f01001", "undo with: ", "there was no storage.json").readable()
	findsAll(t, w, home, repo)
	want := "{\n  \"StoragePaths\": [\n    {\n      \"Path\": \"" + w.store("damocles-1") + "\"\n    },\n    {\n      \"Path\": \"" + w.store("damocles-2") + "\"\n    }\n  ]\n}"
	if got := w.textOf(filepath.Join(repo, "storage.json")); got != want {
		t.Errorf("storage.json: got\n%s\nwant\n%s", got, want)
	}
	if got := w.textOf(filepath.Join(w.store("damocles-1"), "sectorstore.json")); !strings.Contains(got, "\"Weight\": 10,\n  \"CanSeal\": false,\n  \"CanStore\": true,\n  \"MaxStorage\": 0,\n  \"Groups\": null,") {
		t.Errorf("sectorstore.json: %s", got)
	}
	entered := w.tree()
	w.storesCmd(home, repo).exits(0).says("the repo has all 2 stores already: nothing was changed").never("undo with")
	w.same(entered)

	w.rollbackStores(home, repo, "--dry-run").exits(0).says("3 would be deleted")
	w.same(entered)
	w.rollbackStores(home, repo, "--backup", r.undoes()).exits(0).says("3 deleted")
	w.sameBut(before, filepath.Join(repo, "backups"))
	w.storesCmd(home, repo).exits(0).says("2 entered") // and it can be done again
}

// Into a repo that has paths of its own, by way of a plan, and taken back byte for byte.
func TestExportStoresBesideOthers(t *testing.T) {
	w := newWorld(t)
	home, repo := w.homeWithStores("home"), w.repoWithStores("lotus")
	storage := filepath.Join(repo, "storage.json")
	original := strings.Replace(w.textOf(storage), `{"StoragePaths"`, `{"Mine":1,"StoragePaths"`, 1)
	w.put(storage, original)
	w.put(filepath.Join(w.store("damocles-2"), "sectorstore.json"), "{\"Name\":\"old\",\t\"Weight\":3,\"Strict\":true,\"Mine\":{\"b\":1,\"a\":2},\"AllowMiners\":[1000]}\n")
	before := w.tree()
	w.storesCmd(home, repo, "--plan-out", w.path("plan.json")).exits(0).says("2 entered")
	if got := w.textOf(w.path("plan.json")); !strings.Contains(got, `"store":"storage.json"`) {
		t.Errorf("the plan: %s", got)
	}
	got := w.textOf(storage)
	for _, path := range []string{w.store("lotus-1"), w.store("lotus-2"), w.store("damocles-1"), w.store("damocles-2"), `"Mine": 1`} {
		if !strings.Contains(got, path) {
			t.Errorf("storage.json lacks %s: %s", path, got)
		}
	}
	w.put(storage, strings.Replace(got, `"Mine": 1`, `"Mine": 2`, 1)) // for the strict reader only after a look
	meta := w.textOf(filepath.Join(w.store("damocles-2"), "sectorstore.json"))
	for _, text := range []string{`"Name": "old"`, `"Strict": true`, `"Weight": 3`, `"b": 1,`, `"t01000"`, `"CanStore": true`} {
		if !strings.Contains(meta, text) {
			t.Errorf("the sectorstore.json lacks %s: %s", text, meta)
		}
	}

	// storage.json was changed since: it stays, and so does what it names
	changed := w.tree()
	w.rollbackStores(home, repo).exits(3).says("storage.json: kept: it has changed since", "still names its directory", "0 deleted", "3 kept")
	w.sameBut(changed, filepath.Join(repo, "backups"))

	w.put(storage, got)
	w.rollbackStores(home, repo).exits(0).says("1 deleted, 2 restored")
	w.must(os.Remove(w.path("plan.json")))
	w.sameBut(before, filepath.Join(repo, "backups"))
}

// sameBut is same, but for what is below a directory.
func (w *world) sameBut(before map[string]string, dir string) {
	w.t.Helper()
	after := w.tree()
	for _, tree := range []map[string]string{before, after} {
		maps.DeleteFunc(tree, func(path, _ string) bool { return path == dir || strings.HasPrefix(path, dir+"/") })
	}
	if !maps.Equal(before, after) {
		for path := range before {
			if before[path] != after[path] {
				w.t.Errorf("%s was %q, is %q", path, before[path], after[path])
			}
		}
		w.t.Fatal("files were made, changed or removed")
	}
}

// Through a damocles-manager whose home is elsewhere.
func TestExportStoresThroughADaemon(t *testing.T) {
	w := newWorld(t)
	repo := w.emptyRepo("lotus")
	w.daemon(testkit.DamoclesOptions{}).ServeStores(t, w.stores())
	w.run("util", "sealer", "sectors", "export", "--miner", "1000", "stores", "--dest-repo", repo).exits(0).
		says("export stores: 2 entered", "see that ScanPersistStores of that damocles-manager").readable()
	if found := lotusFinds(t, repo); found["sealed/s-t01000-100"] != w.store("damocles-1") {
		t.Errorf("lotus-miner finds %v", found)
	}
}

// damocles finds the stores by their sectorstore.json, and goes on doing so.
func TestExportScannedStores(t *testing.T) {
	w := newWorld(t)
	home, repo := w.homeWithStores("home"), w.emptyRepo("lotus")
	config := filepath.Join(home, "sector-manager.cfg")
	w.put(config, "[Common]\nScanPersistStores = [\""+w.stores()+"/damocles-*\"]\n")
	w.put(filepath.Join(w.store("damocles-1"), "sectorstore.json"), `{"Name":"t01000_01","Strict":true,"Weight":0,"AllowMiners":[],"DenyMiners":null}`)
	w.put(filepath.Join(w.store("damocles-2"), "sectorstore.json"), `{"ReadOnly":true}`)
	before := damoclesStores(t, home)
	w.storesCmd(home, repo).exits(0).says("2 entered").readable()
	findsAll(t, w, home, repo)
	if after := damoclesStores(t, home); !maps.Equal(after, before) {
		t.Errorf("damocles has the stores %v, had %v", after, before)
	}
	if got := w.textOf(filepath.Join(w.store("damocles-2"), "sectorstore.json")); !strings.Contains(got, `"CanStore": false`) {
		t.Errorf("a read-only store has %s", got)
	}
}

func TestExportStoresRefuses(t *testing.T) {
	w := newWorld(t)
	home, repo := w.homeWithStores("home"), w.emptyRepo("lotus")
	none := w.home("none")
	w.must(os.Remove(filepath.Join(none, "sector-manager.cfg")))
	before := w.tree()
	w.sectorsCmd(home, "export", "stores", "--dest-repo", repo).exits(2).says("export needs --miner")
	w.sectorsCmd(home, "export", "--miner", "1001", "stores", "--dest-repo", repo).exits(5).says("belongs to f01000")
	w.storesCmd(home, w.path("nowhere")).exits(1).readable()
	w.storesCmd(w.path("nohome"), repo).exits(1).says("there is no damocles-manager home")
	w.storesCmd(none, repo).exits(1).says("the stores are not known")
	w.must(os.Mkdir(filepath.Join(w.store("damocles-2"), "sealed", "lost+found"), 0o755))
	w.storesCmd(home, repo).exits(5).says("t01000_02 ("+w.store("damocles-2")+"): refused", "lost+found is none of a sector's files",
		"t01000_01 ("+w.store("damocles-1")+"): skipped: others cannot be entered", "nothing was changed").readable()
	w.must(os.Remove(filepath.Join(w.store("damocles-2"), "sealed", "lost+found")))
	w.same(before)

	for _, lock := range []string{"repo.lock", "leveldb"} {
		pid := holds(t, lock, repo)
		w.storesCmd(home, repo).exits(5).says("is in use by", fmt.Sprint(pid), "stop lotus-miner first").readable()
	}
	if exists(filepath.Join(repo, "storage.json")) || exists(filepath.Join(w.store("damocles-1"), "sectorstore.json")) {
		t.Error("something was written while lotus-miner was running")
	}
}

// What root writes belongs to the owners of the places.
func TestRootExportsStoresForTheOwner(t *testing.T) {
	w := sharedWorld(t)
	home, repo := w.homeWithStores("home"), w.emptyRepo("lotus")
	w.give(w.dir)
	w.storesCmd(home, repo).exits(0)
	w.owned("export stores")
	w.rollbackStores(home, repo).exits(0)
	w.owned("its rollback")
}
