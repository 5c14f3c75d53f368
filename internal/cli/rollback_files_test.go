package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// undoOf is the command that a run says would undo it.
func (r *result) undoOf() []string {
	r.t.Helper()
	_, undo, ok := strings.Cut(r.out, "undo with: damocles-manager ")
	if !ok {
		r.t.Fatalf("no undo in\n%s", r.out)
	}
	return strings.Fields(strings.SplitN(undo, "\n", 2)[0])
}

// without leaves the manifests out of a tree.
func without(name string, of map[string]string) map[string]string {
	for rel := range of {
		if filepath.Base(rel) == name {
			delete(of, rel)
		}
	}
	return of
}

// cameBack checks that the stores have their files again, and the targets none.
func (w *world) cameBack(before map[string]string, targets ...string) {
	w.t.Helper()
	after := without(manifestName, tree(w.t, w.stores()))
	for rel, sum := range before {
		if after[rel] != sum {
			w.t.Errorf("%s is %q after the undoing, want %q", rel, after[rel], sum)
		}
	}
	for _, dir := range targets {
		if left := without(manifestName, tree(w.t, dir)); len(left) > 0 {
			w.t.Errorf("still in %s: %v", dir, left)
		}
	}
}

// shortReplica cuts sector 101's replica short, so that a run stays incomplete, and
// returns what mends it.
func (w *world) shortReplica() (mend func()) {
	w.t.Helper()
	short := w.store("damocles-1") + "/sealed/s-t01000-101"
	if _, err := os.Stat(short); err != nil {
		short = w.store("damocles-2") + "/sealed/s-t01000-101"
	}
	whole, err := os.ReadFile(short)
	w.must(err)
	w.must(os.Truncate(short, 100))
	return func() { w.must(os.WriteFile(short, whole, 0o644)) }
}

func (w *world) addStore(home, name string) (dir string) {
	w.t.Helper()
	dir = w.path(name)
	w.must(os.MkdirAll(dir, 0o755))
	w.addConfig(home, fmt.Sprintf("[[Common.PersistStores]]\nName = %q\nPath = %q", name, dir))
	return dir
}

// A run that left its journal open is gone on with by one that has another
// target: the sectors that had arrived go on from there, and all come back.
func TestFilesRollbackOfTwoTargets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	first, second := w.addStore(home, "zz-first"), w.addStore(home, "second")
	before := tree(t, w.stores())
	index := w.get(home, "sector-index", "m-1000-n-103")
	cache := w.get(home, "sector-index", "cache/m-1000-n-103")
	mend := w.shortReplica()
	w.files(home, first, "--numbers=101,103").exits(3).says("export failure number: 1")
	mend()
	r := w.files(home, second, "--numbers=101,103").exits(0)

	w.run(append(r.undoOf(), "--dry-run")...).exits(0)
	for range 2 { // the second time there is nothing left to do
		w.run(r.undoOf()...).exits(0).says("total: 2")
		w.cameBack(before, first, second)
		if got := w.get(home, "sector-index", "m-1000-n-103"); got != index {
			t.Errorf("the index says %q, want %q", got, index)
		}
		if got := w.get(home, "sector-index", "cache/m-1000-n-103"); got != cache {
			t.Errorf("the index says that the cache is in %q, want %q", got, cache)
		}
	}
}

// A target that a later run of the same journal left, and a third came back to: the
// sectors go all the way, and not only once around.
func TestFilesRollbackOfATargetComeBackTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	first, second := w.addStore(home, "zz-first"), w.addStore(home, "second")
	before := tree(t, w.stores())
	index := w.get(home, "sector-index", "m-1000-n-103")
	mend := w.shortReplica()
	for _, target := range []string{first, second, w.store("damocles-2"), second} {
		w.files(home, target, "--numbers=101,103").exits(3).says("export failure number: 1")
	}
	mend()
	r := w.files(home, first, "--numbers=101,103").exits(0)
	for range 2 { // the second time there is nothing left to do
		w.run(r.undoOf()...).exits(0)
		w.cameBack(before, first, second)
		if got := w.get(home, "sector-index", "m-1000-n-103"); got != index {
			t.Errorf("the index says %q, want %q", got, index)
		}
	}
}

// A run that was killed behind its note, and gone on with by one that has another
// target: nothing was moved the first way.
func TestFilesRollbackOfWhatWasOnlyMeant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	first, second := w.path("first"), w.path("second")
	before := tree(t, w.stores())
	index := w.get(home, "sector-index", "m-1000-n-103")
	r := w.files(home, second, "--numbers=103").exits(0)
	journal := r.undoOf()[len(r.undoOf())-1]
	raw, err := os.ReadFile(journal)
	w.must(err)
	head, noted, ok := strings.Cut(string(raw), `{"type":"change"`)
	run := head[strings.Index(head, "\n")+1:]
	meant := ""
	for line := range strings.Lines(`{"type":"change"` + noted) {
		if strings.Contains(line, `"store":"files"`) {
			meant += strings.ReplaceAll(line, second+"/", first+"/")
		}
	}
	if !ok || !strings.Contains(meant, first) {
		t.Fatalf("the journal is not as this test thinks:\n%s", raw)
	}
	w.must(os.WriteFile(journal, []byte(head+meant+run+`{"type":"change"`+noted), 0o600))
	for range 2 {
		w.run(r.undoOf()...).exits(0)
		w.cameBack(before)
		if got := w.get(home, "sector-index", "m-1000-n-103"); got != index {
			t.Errorf("the index says %q, want %q", got, index)
		}
	}
}

// The target was attached after the move, as the move's own words propose. The
// index must not go on naming a store that the files have left.
func TestFilesRollbackOfWhatWasAttached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target := w.homeWithStores("home"), w.path("dest")
	keys := []string{"m-1000-n-103", "cache/m-1000-n-103"}
	var before []string
	for _, key := range keys {
		before = append(before, w.get(home, "sector-index", key))
	}
	r := w.files(home, target, "--numbers=103").exits(0).says("no longer names")
	w.addStore(home, "dest")
	w.run("util", "storage", "--home", home, "attach", target).exits(0)
	if got := w.get(home, "sector-index", "m-1000-n-103"); got != "dest" {
		t.Fatalf("the index says %q", got)
	}
	w.run(r.undoOf()...).exits(0)
	for i, key := range keys {
		if got := w.get(home, "sector-index", key); got != before[i] {
			t.Errorf("%s: the index says %q, want %q", key, got, before[i])
		}
	}
}

// A store of which the disk is not mounted any more gets nothing back.
// So it is where the store was attached, but its section not added to the configuration.
func TestFilesRollbackOfWhatWasAttachedOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target := w.homeWithStores("home"), w.path("dest")
	before, index := tree(t, w.stores()), w.collection(home, "sector-index")
	undo := w.files(home, target, "--numbers=101,110").exits(0).undoOf()
	w.run("util", "storage", "--home", home, "attach", target).exits(0).says("add the section below")
	w.run(undo...).exits(0).says("2 sectors moved").never("kept")
	w.cameBack(before, target)
	if got := w.collection(home, "sector-index"); !maps.Equal(got, index) {
		t.Errorf("the index is %v, want %v", got, index)
	}
}

func TestFilesRollbackToAStoreThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target := w.homeWithStores("home"), w.path("dest")
	r := w.files(home, target, "--numbers=103").exits(0)
	moved, from := tree(t, target), w.store("damocles-1")
	w.must(os.Rename(from, from+".away"))
	w.must(os.Mkdir(from, 0o755)) // as an empty mount point
	w.run(r.undoOf()...).exits(5).says("there is no "+from+"/sealed, where the files came from", "mount its disk")
	if got := tree(t, target); !maps.Equal(got, moved) {
		t.Errorf("the target has changed: %v", got)
	}
	w.must(os.Remove(from))
	w.must(os.Rename(from+".away", from))
	w.run(r.undoOf()...).exits(0)
}

// A sector of which the parts go back to two stores is one sector.
func TestFilesRollbackCountsSectors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	r := w.files(home, w.path("dest"), "--numbers=101,103").exits(0).says("2 sectors moved, 2 of them by renaming")
	w.run(append(r.undoOf(), "--dry-run")...).exits(0).says("2 sectors would be moved, 2 of them by renaming", "total: 2")
	w.run(r.undoOf()...).exits(0).says("2 sectors moved, 2 of them by renaming", "total: 2")
	w.run(r.undoOf()...).exits(0).says("2 there already", "total: 2")

	// One of which the index has changed since, in both entries.
	r = w.files(home, w.path("other"), "--numbers=101,103").exits(0)
	w.set(home, "sector-index", "m-1000-n-103", "elsewhere")
	w.set(home, "sector-index", "cache/m-1000-n-103", "elsewhere")
	w.run(r.undoOf()...).exits(3).says("cache/m-1000-n-103: kept", "1 sectors moved, 1 of them by renaming", "export failure number: 1, total: 2")
}

// A journal that is damaged is what the error is about, and not a repo, which an
// undoing of a move of files does not need.
func TestFilesRollbackOfADamagedJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	r := w.files(home, w.path("dest"), "--numbers=103").exits(0)
	journal := r.undoOf()[len(r.undoOf())-1]
	raw, err := os.ReadFile(journal)
	w.must(err)
	w.must(os.WriteFile(journal, []byte(strings.Replace(string(raw), `"type":"change"`, `"type":"chance"`, 1)), 0o600))
	w.run(r.undoOf()...).exits(1).says(journal+", line 3", "hint:").never("lotus-miner repo")
	w.run("util", "sealer", "sectors", "export", "--miner", "f01000", "rollback", "--home", home, "--backup", journal+".journal").
		exits(1).says(journal+".journal", "hint:").never("lotus-miner repo")
}

// A sector that damocles has no record of any more, as after the undoing of its
// import, goes back by the size of its files. One that cannot be told holds up no other.
func TestFilesRollbackWithoutARecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	before, dest := tree(t, w.stores()), w.path("dest")
	r := w.files(home, dest, "--numbers=101,103").exits(0)
	w.set(home, "offline_meta", offlineKey(101), "")
	w.set(home, "offline_meta", offlineKey(103), "")
	replica := dest + "/sealed/s-t01000-101"
	w.must(os.Rename(replica, replica+".away"))
	w.run(append(r.undoOf(), "--dry-run")...).exits(3)
	w.run(r.undoOf()...).exits(3).says("s-t01000-101: failed", "1 sectors moved", "export failure number: 1, total: 2")
	w.must(os.Rename(replica+".away", replica))
	w.run(r.undoOf()...).exits(0)
	w.cameBack(before, dest)
}

// What is not carried stays in the source's cache directory, which does not make that
// the place of the cache for a run to another target, nor for the undoing.
func TestFilesLeftBehindAndAnotherTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.homeWithStores("home")
	first, second := w.otherDisk(), w.addStore(home, "second")
	w.addConfig(home, fmt.Sprintf("[[Common.PersistStores]]\nName = %q\nPath = %q", "zz-first", first))
	found, err := filepath.Glob(w.stores() + "/*/cache/s-t01000-103")
	w.must(err)
	left := found[0] + "/notes.json"
	w.must(os.WriteFile(left, []byte("{}"), 0o644))
	before := tree(t, w.stores())
	mend := w.shortReplica()
	w.files(home, first, "--numbers=101,103").exits(3).says("export failure number: 1")
	mend()
	r := w.files(home, second, "--numbers=101,103").exits(0)
	late := second + "/cache/s-t01000-103/late.json"
	w.must(os.WriteFile(late, []byte("{}"), 0o644))
	w.run(r.undoOf()...).exits(0).says(late)
	w.must(os.Remove(late))
	w.cameBack(before, first, second)
}

// An import is undone after its files were moved: lotus-miner, which is to prove on, would
// look for them where they were. That is said, with the command that brings them back.
func TestImportRollbackAfterFilesWereMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target := w.path("home"), w.path("dest")
	w.sectorsCmd(home, "import", "--repo", w.repoWithStores("lotus"), "--with-stores", "--write-config", "--numbers", "1-5").exits(0)
	before := tree(t, w.stores())
	w.files(home, target, "--numbers=2-3").exits(0)
	const moved = "the files of 2 sectors of it were moved since"
	w.sectorsCmd(home, "import", "rollback", "--dry-run").exits(0).says(moved)
	r := w.sectorsCmd(home, "import", "rollback").exits(0).says(moved).readable()
	_, undo, ok := strings.Cut(r.stderr, "before it starts: damocles-manager ")
	if !ok {
		t.Fatalf("no command in\n%s", r.stderr)
	}
	w.run(strings.Fields(strings.SplitN(undo, "\n", 2)[0])...).exits(0).says("2 sectors moved")
	w.cameBack(before, target)
	w.sectorsCmd(home, "import", "rollback").exits(0).never(moved)
}

// What was at the target already has not moved, but the index no longer names it: that
// comes back, too.
func TestFilesRollbackOfWhatWasThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, target := w.homeWithStores("home"), w.path("dest")
	found, err := filepath.Glob(filepath.Join(w.stores(), "*", "*", "s-t01000-103"))
	w.must(err)
	for _, path := range found {
		to := filepath.Join(target, filepath.Base(filepath.Dir(path)))
		w.must(os.MkdirAll(to, 0o755))
		w.must(os.Rename(path, filepath.Join(to, filepath.Base(path))))
	}
	index := w.collection(home, "sector-index")
	undo := w.files(home, target, "--numbers=101,103").exits(0).says("1 there already").undoOf()
	w.run(append(undo, "--dry-run")...).exits(0).says("2 entries of the index would be set back")
	w.run(undo...).exits(0).says("1 sectors moved", "2 entries of the index set back").readable()
	if got := w.collection(home, "sector-index"); !maps.Equal(got, index) {
		t.Errorf("the index is %v, want %v", got, index)
	}
	w.run(undo...).exits(0).never("set back")
}
