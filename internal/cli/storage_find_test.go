package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v2"

	"damocles-manager/internal/testkit"
)

// theOriginalFound is what the original prints for sector 103, without what its
// log puts before each line.
func theOriginalFound(t *testing.T) string {
	t.Helper()
	out := printed(t, "storage-find.txt")
	return regexp.MustCompile(`(?m)^.*util_storage\.go:\d+\t`).ReplaceAllString(out, "")
}

func TestFindInHome(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	r := w.storage(home, "find", "1000", "103").exits(0)
	want := theOriginalFound(t) + w.store("damocles-1") + "/sealed/s-t01000-103: is there\n" +
		w.store("damocles-2") + "/cache/s-t01000-103: is there\n"
	if r.out != want {
		t.Errorf("got\n%s\nwant\n%s", r.out, want)
	}
	w.storage(home, "find", "--upgrade", "f01000", "110").exits(0).
		says(`sealed file in "t01000_01", cache dir in "t01000_01"`, "/update/s-t01000-110: is there", "/update-cache/s-t01000-110: is there")
	w.storage(home, "find", "f01000", "110").exits(1).says("is in no store that the index names", "--upgrade")
	w.storage(home, "find", "--upgrade", "f01000", "100").exits(1).says("without --upgrade")
	w.storage(home, "find", "f01000", "999").exits(1).says("the sector s-t01000-999 is in no store", "util storage attach")
	w.storage(home, "find", "f01000").exits(2)
	w.storage(home, "find", "f01000", "x").exits(2)
	w.storage(w.path("none"), "find", "f01000", "1").exits(1).says("hint:")
}

// What the index says and what there is are two things.
func TestFindWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.must(os.Remove(w.store("damocles-2") + "/cache/s-t01000-103/p_aux"))
	w.storage(home, "find", "1000", "103").exits(3).says("sealed/s-t01000-103: is there", "cache/s-t01000-103: lacks p_aux")
	w.must(os.Remove(w.store("damocles-1") + "/sealed/s-t01000-103"))
	w.storage(home, "find", "1000", "103").exits(3).says("sealed/s-t01000-103: is not there")

	w.must(os.WriteFile(filepath.Join(home, "sector-manager.cfg"),
		[]byte("[[Common.PersistStores]]\nName = \"t01000_02\"\nPath = \""+w.store("damocles-2")+"\"\nPluginName = \"s3\"\n"), 0o600))
	w.storage(home, "find", "1000", "103").exits(3).
		says(`store instance not found, check your config file	{"instance": "t01000_01"}`, `store instance exists	{"instance": "t01000_02"}`).
		never("is there", "lacks")
}

func TestFindThroughDaemon(t *testing.T) {
	w := newWorld(t)
	w.daemon(testkit.DamoclesOptions{}).ServeStores(t, "")
	find := func(args ...string) *result {
		return w.run(append([]string{"util", "storage", "find"}, args...)...)
	}
	if r := find("1000", "103").exits(0); r.out != theOriginalFound(t) {
		t.Errorf("got\n%s\nwant\n%s", r.out, theOriginalFound(t))
	}
	find("--upgrade", "1000", "110").exits(0).says(`sector s-t01000-110 located, sealed file in "t01000_01"`)
	find("1000", "110").exits(1).says("--upgrade")
	find("1000", "999").exits(1).says("util storage attach")
}

// A daemon that has its home on this machine has its stores here, too.
func TestFindThroughDaemonOfThisHome(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores(".damocles-manager")
	w.daemon(testkit.DamoclesOptions{}).ServeStores(t, w.stores())
	w.must(os.Remove(w.store("damocles-2") + "/cache/s-t01000-103/t_aux"))
	w.withHome(home, "meta", func(*badger.DB) {
		w.run("util", "storage", "find", "1000", "103").exits(3).
			says(w.store("damocles-1")+"/sealed/s-t01000-103: is there", w.store("damocles-2")+"/cache/s-t01000-103: lacks t_aux")
	})
}

// A daemon whose store is gone from its configuration, and one that is too old.
func TestFindThroughDaemonUnusual(t *testing.T) {
	w := newWorld(t)
	w.daemon(testkit.DamoclesOptions{Options: testkit.Options{Results: results("Venus.StoreBasicInfo", "null")}}).ServeStores(t, "")
	w.run("util", "storage", "find", "1000", "103").exits(3).says("store instance not found, check your config file")

	old := newWorld(t)
	old.daemon(testkit.DamoclesOptions{})
	r := old.run("util", "storage", "find", "1000", "103").exits(1).says("Venus.SectorIndexerFind")
	if strings.Contains(r.out, "located") {
		t.Error("it says where the sector is")
	}
}
