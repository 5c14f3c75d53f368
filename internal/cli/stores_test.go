package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"damocles-manager/internal/testkit"
)

// fixtureStorage is where the fixture home and repo say that their stores are.
const fixtureStorage = "/storage/"

// stores copies the fixture stores below a directory of the world, once, and
// returns the directory: lotus-1, lotus-2, damocles-1 and damocles-2 lie in it.
func (w *world) stores() string {
	w.t.Helper()
	dir := w.path("storage")
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	return w.copy("switch-2k/storage", "storage")
}

// store is the path of one of the stores that stores copies.
func (w *world) store(name string) string {
	w.t.Helper()
	return filepath.Join(w.stores(), name)
}

// homeWithStores copies the fixture home. Its configuration names the copied
// stores damocles-1 and damocles-2, as t01000_01 and t01000_02.
func (w *world) homeWithStores(name string) string {
	w.t.Helper()
	home := w.home(name)
	w.rewrite(filepath.Join(home, "sector-manager.cfg"))
	return home
}

// repoWithStores copies the fixture repo. Its storage.json names the copied
// stores lotus-1 and lotus-2.
func (w *world) repoWithStores(name string) string {
	w.t.Helper()
	repo := w.repo(name)
	w.rewrite(filepath.Join(repo, "storage.json"))
	return repo
}

// rewrite lets a file name the copied stores instead of those of the fixture.
func (w *world) rewrite(path string) {
	w.t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(raw), `"`+fixtureStorage, `"`+w.stores()+"/")
	if changed == string(raw) {
		w.t.Fatalf("%s names no store below %s", path, fixtureStorage)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// addConfig appends lines to the configuration of a home, which need not have one yet.
func (w *world) addConfig(home, lines string) {
	w.t.Helper()
	f, err := os.OpenFile(filepath.Join(home, "sector-manager.cfg"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := f.WriteString("\n" + lines + "\n"); err != nil {
		w.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// storedSector is where the fixture stores have a sector's files:
// <store>/<kind>/<name>, empty for a file that is not there.
type storedSector struct {
	Miner, Number       uint64
	Kind                string // lotus or damocles, which had it first
	Sealed, Cache       string
	Update, UpdateCache string
}

// storedSectors reads sectors.json. A lotus-miner ran over the stores after it was
// written, and took away three of the files that it names: they are left out.
func storedSectors(t *testing.T) []storedSector {
	t.Helper()
	raw, err := os.ReadFile(testkit.Fixture(t, "switch-2k/sectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []storedSector
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	var gone []string
	for i := range all {
		for _, path := range all[i].paths() {
			if *path == "" {
				continue
			}
			if _, err := os.Stat(testkit.Fixture(t, "switch-2k/storage") + "/" + *path); err != nil {
				gone = append(gone, *path)
				*path = ""
			}
		}
	}
	want := []string{"lotus-1/sealed/s-t01000-22", "lotus-2/sealed/s-t01000-29", "lotus-2/cache/s-t01000-29"}
	if !slices.Equal(gone, want) {
		t.Fatalf("the fixture stores lack %q, want %q", gone, want)
	}
	return all
}

func (s *storedSector) paths() []*string {
	return []*string{&s.Sealed, &s.Cache, &s.Update, &s.UpdateCache}
}

func TestWorldHasStores(t *testing.T) {
	w := newWorld(t)
	home, repo := w.homeWithStores("home"), w.repoWithStores("repo")
	for file, want := range map[string]string{
		filepath.Join(home, "sector-manager.cfg"): `Path = "` + w.store("damocles-2") + `"`,
		filepath.Join(repo, "storage.json"):       `"Path":"` + w.store("lotus-1") + `"`,
	} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s does not say %s:\n%s", file, want, raw)
		}
	}
	for _, s := range storedSectors(t) {
		for _, path := range s.paths() {
			if *path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(w.stores(), *path)); err != nil {
				t.Error(err)
			}
		}
	}
}
