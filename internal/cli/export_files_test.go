package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/testkit"
)

// tree has the SHA-256 of every file below a directory, by its path there.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		sum := sha256.Sum256(raw)
		rel, relErr := filepath.Rel(dir, path)
		out[rel] = hex.EncodeToString(sum[:])
		if err == nil {
			err = relErr
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

// carriedPaths are the files that a sector takes along, below its store.
func carriedPaths(t *testing.T, paths ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, path := range paths {
		if path == "" {
			continue
		}
		_, rel, _ := strings.Cut(path, "/")
		from := testkit.Fixture(t, "switch-2k/storage") + "/" + path
		for file, sum := range tree(t, from) {
			out[filepath.Join(rel, file)] = sum
		}
		if info, err := os.Stat(from); err == nil && !info.IsDir() {
			raw, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(raw)
			out[rel] = hex.EncodeToString(sum[:])
		}
	}
	return out
}

// damoclesFiles are the files of the sectors that damocles has finished.
func damoclesFiles(t *testing.T) (map[string]string, int) {
	t.Helper()
	out, n := map[string]string{}, 0
	for _, s := range storedSectors(t) {
		if s.Kind != "damocles" && s.Number < 100 || s.Miner != 1000 || slices.Contains([]uint64{113, 114, 115, 116, 117, 118}, s.Number) {
			continue
		}
		paths := []string{s.Sealed, s.Cache}
		if s.Update != "" {
			paths = []string{s.Update, s.UpdateCache}
		}
		n++
		for rel, sum := range carriedPaths(t, paths...) {
			out[rel] = sum
		}
	}
	return out, n
}

// lotusFiles are those of the sectors that lotus-miner has finished: both pairs
// where the import cannot tell which one is on chain.
func lotusFiles(t *testing.T, numbers map[uint64]bool) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range storedSectors(t) {
		if s.Number >= 100 || !numbers[s.Number] {
			continue
		}
		paths := []string{s.Sealed, s.Cache, s.Update, s.UpdateCache}
		if s.Sealed == "" { // half a pair stays
			paths = paths[2:]
		}
		for rel, sum := range carriedPaths(t, paths...) {
			out[rel] = sum
		}
	}
	return out
}

const manifestName = "damocles-manager.sha256"

// arrived checks that the target holds just these files, and the manifest.
func (w *world) arrived(target string, want map[string]string) {
	w.t.Helper()
	got := tree(w.t, target)
	if _, ok := got[manifestName]; !ok {
		w.t.Errorf("there is no manifest in %s", target)
	}
	delete(got, manifestName)
	for rel, sum := range want {
		if got[rel] != sum {
			w.t.Errorf("%s at the target is %q, want %q", rel, got[rel], sum)
		}
		delete(got, rel)
	}
	for rel := range got {
		w.t.Errorf("%s should not be at the target", rel)
	}
	w.sumsAreRight(target)
}

// sumsAreRight does what sha256sum -c does, which transfer's own tests run. Here
// it would not do: while a child is being started it has the locks of other
// tests' databases, too.
func (w *world) sumsAreRight(target string) {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(target, manifestName))
	w.must(err)
	files := tree(w.t, target)
	for line := range strings.Lines(string(raw)) {
		if sum, name, ok := strings.Cut(strings.TrimSpace(line), "  "); ok && !strings.HasPrefix(line, "#") && files[name] != sum {
			w.t.Errorf("the manifest has another sum for %q", name)
		}
	}
}

func (w *world) files(home, target string, args ...string) *result {
	w.t.Helper()
	return w.sectorsCmd(home, append([]string{"export", "--miner=t01000", "files", "--dest-path=" + target}, args...)...)
}

// otherDisk is a directory on another file system than the world's.
func (w *world) otherDisk() string {
	w.t.Helper()
	dir, err := os.MkdirTemp(testkit.DiskDir, "damocles-manager-test")
	w.must(err)
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var here, there unix.Stat_t
	w.must(unix.Stat(dir, &there))
	w.must(unix.Stat(w.dir, &here))
	if here.Dev == there.Dev {
		w.t.Skipf("no second file system: %s and %s are on one", dir, w.dir)
	}
	return dir
}

func TestExportFiles(t *testing.T) {
	want, n := damoclesFiles(t)
	if n != 17 || len(want) < 17*4 {
		t.Fatalf("the fixture has %d sectors, %d files", n, len(want))
	}
	for name, c := range map[string]struct {
		across bool
		args   []string
	}{
		"move":                  {},
		"move across":           {across: true},
		"move across, by size":  {across: true, args: []string{"--verify=size", "--jobs=1"}},
		"copy":                  {args: []string{"--reserve"}},
		"copy across":           {across: true, args: []string{"--reserve"}},
		"copy across, by hash":  {across: true, args: []string{"--reserve", "--verify", "hash", "--bwlimit", "50MiB"}},
		"copy, taking the size": {args: []string{"--reserve", "--trust-size"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			home := w.homeWithStores("home")
			before := tree(t, w.stores())
			target := w.path("new/dest")
			if c.across {
				target = filepath.Join(w.otherDisk(), "dest")
			}
			keep := slices.Contains(c.args, "--reserve")
			r := w.files(home, target, c.args...).exits(3).says(
				"move sector 103 file...\n", "export failure number: 0, total: 17\n", "2 unfinished", "finalize --miner f01000 117")
			verb := "move"
			if keep {
				verb = "copy"
			}
			r.says(fmt.Sprintf("%s file from %s to %s\n", verb, w.store("damocles-1")+"/sealed/s-t01000-103", target+"/sealed/s-t01000-103"),
				fmt.Sprintf("%s file from %s to %s\n", verb, w.store("damocles-2")+"/cache/s-t01000-103/p_aux", target+"/cache/s-t01000-103/p_aux"),
				target+"/update/s-t01000-110\n")
			w.arrived(target, want)
			after := tree(t, w.stores())
			for rel, sum := range before {
				_, inStore, _ := strings.Cut(rel, "/")
				_, carried := want[inStore]
				carried = carried && strings.HasPrefix(rel, "damocles-")
				if carried && !keep {
					sum = ""
				}
				if after[rel] != sum {
					t.Errorf("%s in the old store is %q, want %q", rel, after[rel], sum)
				}
			}
			w.files(home, target, c.args...).exits(3).says("17 there already", "export failure number: 0, total: 17\n").never("file from")
			w.arrived(target, want)
		})
	}
}

// Every sector that lotus-miner sealed: imported, its stores attached, and moved.
func TestExportFilesOfLotus(t *testing.T) {
	for _, across := range []bool{false, true} {
		t.Run(fmt.Sprintf("across %v", across), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			repo, home := w.repoWithStores("repo"), w.path("home")
			chain := testkit.Chain(t, testkit.ChainOptions{})
			w.sectorsCmd(home, "import", "--repo", repo, "--with-stores", "--write-config", "--chain", chain.URL).exits(3)
			target := w.path("dest")
			if across {
				target = filepath.Join(w.otherDisk(), "dest")
			}
			r := w.files(home, target, "--json").exits(0)
			moved := map[uint64]bool{}
			for _, line := range r.lines()["sector"] {
				if line["action"] == "moved" {
					moved[uint64(line["number"].(float64))] = true
				}
			}
			if len(moved) != 28 || !moved[5] || !moved[23] || !moved[20] {
				t.Errorf("moved %v", moved)
			}
			w.arrived(target, lotusFiles(t, moved))
		})
	}
}

func TestExportFilesKeepsTheIndexTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target := w.homeWithStores("home"), w.path("third")
	w.must(os.Mkdir(target, 0o755))
	w.addConfig(home, fmt.Sprintf("[[Common.PersistStores]]\nName = \"third\"\nPath = %q", target))
	w.files(home, target, "--numbers=103,110").exits(0).never("no longer names")
	w.run("util", "storage", "--home", home, "find", "t01000", "103").exits(0).
		says(`sector s-t01000-103 located, sealed file in "third", cache dir in "third"`)
	w.run("util", "storage", "--home", home, "find", "--upgrade", "t01000", "110").exits(0).says(`sealed file in "third"`)
	// To a place that is none of damocles's, the entry goes.
	w.files(home, w.path("away"), "--numbers=103").exits(0).says("no longer names")
	w.run("util", "storage", "--home", home, "find", "t01000", "103").exits(1)
	if got := w.get(home, "sector-index", "m-1000-n-101"); got != "t01000_02" {
		t.Errorf("another sector's entry is %q", got)
	}
}

func TestExportFilesRollback(t *testing.T) {
	for _, across := range []bool{false, true} {
		t.Run(fmt.Sprintf("across %v", across), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			home, target := w.homeWithStores("home"), w.path("dest")
			if across {
				target = filepath.Join(w.otherDisk(), "dest")
			}
			before, index := tree(t, w.stores()), w.get(home, "sector-index", "m-1000-n-103")
			r := w.files(home, target).exits(3)
			_, undo, ok := strings.Cut(r.out, "undo with: damocles-manager ")
			if !ok {
				t.Fatalf("no undo in\n%s", r.out)
			}
			args := strings.Fields(strings.SplitN(undo, "\n", 2)[0])
			w.run(append(args, "--dry-run")...).exits(0)
			if got := tree(t, target); len(got) < 50 {
				t.Errorf("the dry run of the undoing has left %d files", len(got))
			}
			w.run(args...).exits(0)
			after := tree(t, w.stores())
			for rel := range after {
				if filepath.Base(rel) == manifestName {
					delete(after, rel)
				}
			}
			for rel, sum := range before {
				if after[rel] != sum {
					t.Errorf("%s is %q after the undoing, want %q", rel, after[rel], sum)
				}
				delete(after, rel)
			}
			if len(after) > 0 {
				t.Errorf("new in the stores: %v", after)
			}
			if got := w.get(home, "sector-index", "m-1000-n-103"); got != index {
				t.Errorf("the index says %q, want %q", got, index)
			}
			if got := tree(t, target); len(got) > 1 {
				t.Errorf("still at the target: %v", got)
			}
		})
	}
}

// The manifest's copy in the home is the last that is made: where it cannot be, the
// sectors are moved all the same, and how to undo that is said.
func TestExportFilesManifestNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	before, target := tree(t, w.stores()), w.path("dest")
	w.must(os.MkdirAll(home+"/switching", 0o700))
	w.must(os.WriteFile(home+"/switching/manifests", nil, 0o600)) // in the place of the directory
	r := w.files(home, target, "--numbers=103").exits(1).says("copy the manifest", "1 sectors moved")
	w.run(r.undoOf()...).exits(0)
	w.cameBack(before, target)
}

func TestExportFilesDryRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target, plan := w.homeWithStores("home"), w.path("dest"), w.path("plan.json")
	before := tree(t, w.dir)
	w.files(home, target, "--dry-run").exits(3).says("would move file from", "17 sectors would be moved")
	w.files(home, target, "--dry-run", "--reserve", "--json").exits(3)
	if !maps.Equal(tree(t, w.dir), before) {
		t.Error("a dry run has changed something")
	}
	w.files(home, target, "--dry-run", "--plan-out", plan).exits(3)
	var saved struct {
		Type  string
		Steps []struct {
			Sector, Action string
			Files          []struct{ Kind, From, To string }
		}
	}
	readJSONFile(t, plan, &saved)
	files := 0
	for _, s := range saved.Steps {
		files += len(s.Files)
	}
	if saved.Type != "plan" || files != 34 {
		t.Errorf("the plan has %d objects: %+v", files, saved)
	}
}

func TestExportFilesThroughTheDaemon(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	holds(t, "badger", home)
	w.files(home, w.path("dest")).exits(5).says("hint:")
	if exists(w.path("dest")) {
		t.Error("a refused move has made the target")
	}
}

func TestExportFilesVerifyOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target := w.homeWithStores("home"), w.path("dest")
	w.files(home, target, "--verify-only", "--numbers=100").exits(5).says("no manifest", "hint:")
	w.files(home, target, "--reserve", "--numbers=101").exits(0)
	w.files(home, target, "--verify-only", "--numbers=100,101").exits(3).
		says("1 not in the manifest", "1 sectors as in the manifest, 1 of them by size and time alone", "their content was not read")
	w.files(home, target, "--reserve", "--verify=hash").exits(3)
	w.files(home, target, "--verify-only", "--numbers=100-112").exits(0).says("13 sectors as in the manifest, 0 there", "export failure number: 0, total: 13")
	path := target + "/sealed/s-t01000-104"
	raw, err := os.ReadFile(path)
	w.must(err)
	info, err := os.Stat(path)
	w.must(err)
	raw[77] ^= 4
	w.must(os.Chmod(path, 0o644))
	w.must(os.WriteFile(path, raw, 0o644))
	w.must(os.Chtimes(path, info.ModTime(), info.ModTime()))
	w.files(home, target, "--verify-only", "--numbers=100-112").exits(3).says("bad file "+path, "export failure number: 1, total: 13")
	// The home's copy of the manifest is the store's.
	copies, err := filepath.Glob(home + "/switching/manifests/*.sha256")
	if err != nil || len(copies) != 1 {
		t.Fatalf("the home keeps %q, %v", copies, err)
	}
	kept, err := os.ReadFile(copies[0])
	w.must(err)
	own, err := os.ReadFile(target + "/" + manifestName)
	w.must(err)
	if !bytes.Equal(kept, own) {
		t.Error("the home's copy of the manifest is another")
	}
}

func TestExportFilesOneBadSector(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target := w.homeWithStores("home"), w.path("dest")
	w.must(os.Truncate(w.store("damocles-1")+"/sealed/s-t01000-100", 2000))
	w.must(os.Remove(w.store("damocles-2") + "/cache/s-t01000-101/p_aux"))
	w.must(os.Remove(w.store("damocles-1") + "/sealed/s-t01000-102"))
	w.must(os.Mkdir(w.store("damocles-1")+"/sealed/s-t01000-102", 0o755))
	w.must(os.MkdirAll(target+"/sealed", 0o755))
	w.must(os.WriteFile(target+"/sealed/s-t01000-104", make([]byte, 2048), 0o644))
	before := tree(t, w.stores())
	w.files(home, target).exits(3).says(
		"s-t01000-100: failed:", "2000", "s-t01000-101: failed:", "p_aux", "s-t01000-102: failed:", "s-t01000-104: failed:",
		"export failure number: 4, total: 17")
	after := tree(t, w.stores())
	for rel, sum := range before {
		for _, n := range []string{"100", "101", "102", "104"} {
			if strings.Contains(rel, "s-t01000-"+n) && after[rel] != sum {
				t.Errorf("%s of a sector that failed was touched", rel)
			}
		}
	}
	if raw, err := os.ReadFile(target + "/sealed/s-t01000-104"); err != nil || !bytes.Equal(raw, make([]byte, 2048)) {
		t.Errorf("what was at the target was touched: %v", err)
	}
}

func TestExportFilesBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	file := w.path("file")
	w.must(os.WriteFile(file, nil, 0o600))
	before := tree(t, w.dir)
	cases := []struct {
		code int
		says string
		args []string
	}{
		{2, "--dest-path", []string{"--miner=t01000", "files"}},
		{2, "--miner", []string{"files", "--dest-path", w.path("x")}},
		{2, "--verify", []string{"--miner=t01000", "files", "--dest-path", w.path("x"), "--verify", "md5"}},
		{2, "--bwlimit", []string{"--miner=t01000", "files", "--dest-path", w.path("x"), "--bwlimit", "fast"}},
		{2, "--jobs", []string{"--miner=t01000", "files", "--dest-path", w.path("x"), "--jobs", "0"}},
		{2, "--numbers", []string{"--miner=t01000", "files", "--dest-path", w.path("x"), "--numbers", "7-3"}},
		{2, "--verify-only", []string{"--miner=t01000", "files", "--dest-path", w.path("x"), "--verify-only", "--reserve"}},
		{2, "takes no arguments", []string{"--miner=t01000", "files", "--dest-path", w.path("x"), "160"}},
		{5, file, []string{"--miner=t01000", "files", "--dest-path", file}},
		{3, "total: 0", []string{"--miner=t01000", "files", "--dest-path", w.path("x"), "--numbers", "4711", "--dry-run"}},
	}
	for _, c := range cases {
		r := w.sectorsCmd(home, append([]string{"export"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.out+r.stderr, c.says) || c.code != 3 && !strings.Contains(r.stderr, "hint:") {
			t.Errorf("%v: exit code %d, want %d saying %q\n%s%s", c.args, r.code, c.code, c.says, r.out, r.stderr)
		}
	}
	if !maps.Equal(tree(t, w.dir), before) {
		t.Error("wrong input has changed something")
	}
}

func TestExportFilesOntoItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	before := tree(t, w.stores())
	same := func(what string) {
		t.Helper()
		if after := tree(t, w.stores()); !mapsEqualButManifest(after, before) {
			t.Errorf("%s has changed the stores", what)
		}
	}
	// The target is one of the sources: its own sectors are there already.
	w.files(home, w.store("damocles-1"), "--numbers=100", "--reserve").exits(0).says("1 there already")
	same("an export of a store onto itself")
	// Another name of one.
	link := w.path("link")
	w.must(os.Symlink(w.store("damocles-1"), link))
	w.files(home, link, "--numbers=100,102").exits(0).says("2 there already")
	same("an export onto a link to the store")
	// A target of which a part is the source's.
	w.must(os.Mkdir(w.path("mixed"), 0o755))
	w.must(os.Symlink(w.store("damocles-1")+"/sealed", w.path("mixed/sealed")))
	w.files(home, w.path("mixed")).exits(5).says("hint:")
	same("an export onto a link to a part of the store")
}

// A target among the sectors' files would keep lotus-miner from starting with the
// store, and be taken along with the sector that it is in.
func TestExportFilesIntoASectorsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	of := w.store("damocles-1")
	other := w.store("lotus-1") // which damocles does not know
	link := w.path("link")
	w.must(os.Symlink(of+"/sealed", link))
	before := tree(t, w.stores())
	for _, target := range []string{
		of + "/sealed", of + "/sealed/", of + "/cache/s-t01000-101/", of + "/update/new/deep", of + "/quarantine", link, link + "/new",
		other + "/cache", w.stores() + "/../storage/damocles-1/unsealed",
	} {
		w.files(home, target, "--numbers=103").exits(5).says("where a store has its sectors' files", "--dest-path")
		w.files(home, target, "--numbers=103", "--reserve").exits(5)
	}
	if !maps.Equal(tree(t, w.stores()), before) {
		t.Error("a refused export has changed the stores")
	}
	w.files(home, w.path("sealed"), "--numbers=103").exits(0) // a name alone is none
}

func mapsEqualButManifest(a, b map[string]string) bool {
	for rel, sum := range a {
		if filepath.Base(rel) != manifestName && b[rel] != sum {
			return false
		}
	}
	for rel, sum := range b {
		if a[rel] != sum {
			return false
		}
	}
	return true
}

// A user who may not read a store, or not write the target.
func TestExportFilesWithoutPermission(t *testing.T) {
	w := sharedWorld(t)
	home := w.homeWithStores("home")
	w.give(w.dir)
	locked := w.store("damocles-2") + "/sealed"
	w.must(os.Chown(locked, 0, 0))
	w.must(os.Chmod(locked, 0o700))
	before := tree(t, w.stores())
	r := w.runAs(nobody, "--home", home, "util", "sealer", "sectors", "export", "--miner", "t01000", "files",
		"--dest-path", w.path("dest"), "--numbers", "100,101")
	r.exits(5).says(locked, "permission denied", "hint:")
	if after := tree(t, w.stores()); !maps.Equal(after, before) || exists(w.path("dest")) {
		t.Error("what was refused has changed something")
	}
	w.runAs(nobody, "--home", home, "util", "sealer", "sectors", "export", "--miner", "t01000", "files",
		"--dest-path", w.path("dest"), "--numbers", "100").exits(0)
	closed := w.path("closed")
	w.must(os.Mkdir(closed, 0o755))
	r = w.runAs(nobody, "--home", home, "util", "sealer", "sectors", "export", "--miner", "t01000", "files",
		"--dest-path", closed+"/dest", "--numbers", "102")
	r.exits(5).says("belongs to", "hint:")
}

// Copies keep the owner, the mode and the times.
func TestExportFilesKeepsTheOwner(t *testing.T) {
	w := sharedWorld(t)
	home := w.homeWithStores("home")
	w.give(w.dir)
	from := w.store("damocles-1") + "/sealed/s-t01000-100"
	w.must(os.Chmod(from, 0o440))
	was, err := os.Stat(from)
	w.must(err)
	w.files(home, w.path("dest"), "--numbers=100", "--reserve").exits(0)
	w.owned("a copy by root")
	is, err := os.Stat(w.path("dest/sealed/s-t01000-100"))
	w.must(err)
	if is.Mode() != was.Mode() || !is.ModTime().Equal(was.ModTime()) {
		t.Errorf("the copy has %v %v, want %v %v", is.Mode(), is.ModTime(), was.Mode(), was.ModTime())
	}
}
