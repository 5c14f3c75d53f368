package migrate

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
	"damocles-manager/internal/testkit"
)

// filesWorld is the fixture home and its two stores.
type filesWorld struct {
	home   *Home
	stores []store.Store
	target store.Store
}

func newFilesWorld(t *testing.T) *filesWorld {
	t.Helper()
	storage := testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/storage"))
	home, _ := openHome(t, testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/damocles-home")), true)
	return &filesWorld{
		home: home,
		stores: []store.Store{
			{Name: "t01000_01", Dir: filepath.Join(storage, "damocles-1")},
			{Name: "t01000_02", Dir: filepath.Join(storage, "damocles-2")},
		},
		target: store.Store{Dir: filepath.Join(t.TempDir(), "target")},
	}
}

func (w *filesWorld) files() *Files {
	f := &Files{Source: w.home, Locator: w.home, Stores: w.stores, Target: w.target}
	f.Miner = 1000
	return f
}

// find runs f and renders what it found, a line a sector: number, then kind:store.
func find(t *testing.T, f *Files) (map[uint64]string, *Report, map[uint64]Event) {
	t.Helper()
	events := map[uint64]Event{}
	f.Observe = func(e Event) { events[e.Number] = e }
	set, report, err := f.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]string{}
	last := -1
	set.Each(func(s SectorFiles) bool {
		if int(s.ID.Number) <= last || s.Size != 2048 {
			t.Errorf("%s after %d, of %d bytes", s.ID, last, s.Size)
		}
		last = int(s.ID.Number)
		var parts []string
		for _, o := range s.Objects {
			parts = append(parts, o.Kind.String()+":"+filepath.Base(o.Store.Dir))
		}
		got[uint64(s.ID.Number)] = strings.Join(parts, " ")
		return true
	})
	if set.Len() != len(got) || report.Written != len(got) {
		t.Errorf("%d in the set, %d counted, %d given", set.Len(), report.Written, len(got))
	}
	return got, report, events
}

func TestFilesOfTheFixtureHome(t *testing.T) {
	got, report, events := find(t, newFilesWorld(t).files())

	// Every file of a finished sector, against the truth; leftovers of the original
	// replica of an upgraded one stay.
	raw, err := os.ReadFile(testkit.Fixture(t, "switch-2k/sectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var truth []struct {
		Miner, Number              uint64
		Sealed, Update             string
		Cache, UpdateCache, NewKey string
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		t.Fatal(err)
	}
	want := map[uint64]string{}
	for _, s := range truth {
		if s.Miner != 1000 || s.Number < 100 || slices.Contains([]uint64{113, 114, 115, 116, 117, 118}, s.Number) {
			continue
		}
		store := func(path string) string { name, _, _ := strings.Cut(path, "/"); return name }
		want[s.Number] = fmt.Sprintf("sealed:%s cache:%s", store(s.Sealed), store(s.Cache))
		if s.Update != "" {
			want[s.Number] = fmt.Sprintf("update:%s update-cache:%s", store(s.Update), store(s.UpdateCache))
		}
	}
	for n, line := range want {
		if got[n] != line {
			t.Errorf("%d: got %q, want %q", n, got[n], line)
		}
	}
	if len(got) != len(want) || len(want) != 17 {
		t.Errorf("got %d sectors, want %d of 17: %v", len(got), len(want), got)
	}
	if got[103] != "sealed:damocles-1 cache:damocles-2" {
		t.Errorf("the divided sector: %q", got[103])
	}
	if report.Unfinished != 2 || report.Skipped["NeedRebuild"] != 1 || report.Skipped["Aborted"] != 1 ||
		report.Skipped["Terminated"] != 1 || report.Skipped["Removed"] != 1 {
		t.Errorf("counted %+v", report)
	}
	if e := events[117]; e.Action != Unfinished || !strings.Contains(e.Hint, "finalize") {
		t.Errorf("117: %+v", e)
	}
}

func TestFilesTakeBothPairsWhereTheyCouldDiffer(t *testing.T) {
	w := newFilesWorld(t)
	// 121 was imported as not upgraded, 122 as upgraded; the original import gets both wrong at times.
	for _, c := range []struct {
		number uint64
		kinds  []sector.FileKind
		want   string
	}{
		{121, []sector.FileKind{sector.Update, sector.UpdateCache}, "sealed:damocles-2 cache:damocles-2 update:damocles-2 update-cache:damocles-2"},
		{122, []sector.FileKind{sector.Sealed}, "sealed:damocles-1 cache:damocles-1 update:damocles-1 update-cache:damocles-1"},
		{101, []sector.FileKind{sector.Update, sector.UpdateCache}, "sealed:damocles-2 cache:damocles-2"}, // damocles sealed it itself, and knows
	} {
		s := w.stores[1]
		if c.number == 122 {
			s = w.stores[0]
		}
		for _, kind := range c.kinds {
			mkdirAll(t, s.Path(kind, sector.ID{Miner: 1000, Number: abi.SectorNumber(c.number)}))
		}
		got, _, _ := find(t, w.files())
		if got[c.number] != c.want {
			t.Errorf("%d: got %q, want %q", c.number, got[c.number], c.want)
		}
	}
	// The chain knows better: 121 is not upgraded, 122 is.
	f := w.files()
	f.Chain = fixtureChain(t)
	got, _, _ := find(t, f)
	if got[121] != "sealed:damocles-2 cache:damocles-2" || got[122] != "update:damocles-1 update-cache:damocles-1" {
		t.Errorf("with the chain: 121 %q, 122 %q", got[121], got[122])
	}
}

func TestFilesWithKeyAndUnsealed(t *testing.T) {
	w := newFilesWorld(t)
	at := w.stores[0]
	mkdirAll(t, at.Path(sector.Sealed, sector.ID{Miner: 1000, Number: 110}))
	mkdirAll(t, at.Path(sector.Unsealed, sector.ID{Miner: 1000, Number: 100}))
	f := w.files()
	got, _, _ := find(t, f)
	if got[110] != "update:damocles-1 update-cache:damocles-1" || got[100] != "sealed:damocles-1 cache:damocles-1" {
		t.Errorf("without being asked: 110 %q, 100 %q", got[110], got[100])
	}
	f.WithKey, f.WithUnsealed = true, true
	got, _, _ = find(t, f)
	if got[110] != "sealed:damocles-1 cache:damocles-1 update:damocles-1 update-cache:damocles-1" {
		t.Errorf("with the key: %q", got[110])
	}
	if got[100] != "sealed:damocles-1 cache:damocles-1 unsealed:damocles-1" || got[102] != "sealed:damocles-1 cache:damocles-1" {
		t.Errorf("with the unsealed copy: 100 %q, 102 %q", got[100], got[102])
	}
}

func TestFilesNotInTheIndex(t *testing.T) {
	w := newFilesWorld(t)
	ids := []sector.ID{{Miner: 1000, Number: 101}, {Miner: 1000, Number: 110}}
	out := NewFilesMove(w.home, store.Store{Dir: "/elsewhere"}) // no store of damocles's: the entries go
	err := out.Known(t.Context(), []SectorFiles{
		{ID: ids[0], Objects: []FileObject{{Kind: sector.Sealed}}},
		{ID: ids[1], Objects: []FileObject{{Kind: sector.Update}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _, _ := find(t, w.files())
	if got[101] != "sealed:damocles-2 cache:damocles-2" || got[110] != "update:damocles-1 update-cache:damocles-1" {
		t.Errorf("files that the stores have, but not the index: 101 %q, 110 %q", got[101], got[110])
	}
	f := w.files()
	f.Stores = w.stores[:1]
	_, report, events := find(t, f)
	if e := events[101]; e.Action != Failed || !strings.Contains(e.Reason, "in no store") || !strings.Contains(e.Hint, "storage attach") {
		t.Errorf("files that are nowhere: %+v", e)
	}
	// 107 is in the index, under a store that is not there any more.
	if e := events[107]; e.Action != Failed || !strings.Contains(e.Reason, `"t01000_02"`) {
		t.Errorf("a store that is gone from the configuration: %+v", e)
	}
	if report.Failed < 5 || report.Written == 0 {
		t.Errorf("counted %+v", report)
	}
}

// Two stores have it, and the index does not say which one is right: neither is
// taken, as one may be a leftover. What an interrupted run copied to the target is
// no such case.
func TestFilesInTwoStores(t *testing.T) {
	w := newFilesWorld(t)
	id := sector.ID{Miner: 1000, Number: 103}
	changes, err := w.home.home.IndexChanges(t.Context(), abi.SectorID(id), false, "", "")
	if err != nil {
		t.Fatal(err)
	}
	out := make([]Change, len(changes))
	for i, c := range changes {
		out[i] = Change(c)
	}
	if err := w.home.apply(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	put := func(path string) {
		t.Helper()
		mkdirAll(t, filepath.Dir(path))
		if err := os.WriteFile(path, []byte("another"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(w.target.Path(sector.Sealed, id))
	if got, _, _ := find(t, w.files()); got[103] != "sealed:damocles-1 cache:damocles-2" {
		t.Errorf("got %q", got[103])
	}
	put(w.stores[1].Path(sector.Sealed, id))
	got, _, events := find(t, w.files())
	if e := events[103]; got[103] != "" || e.Action != Failed || !strings.Contains(e.Reason, "more than one store") || e.Hint == "" {
		t.Errorf("got %q, %+v", got[103], e)
	}
}

func TestFilesSelection(t *testing.T) {
	f := newFilesWorld(t).files()
	var err error
	if f.Numbers, err = sector.ParseNumbers([]string{"100-103,999"}); err != nil {
		t.Fatal(err)
	}
	got, report, _ := find(t, f)
	if len(got) != 4 || report.Missing != 1 {
		t.Errorf("got %v, counted %+v", got, report)
	}
}

func TestFilesMoveKeepsTheIndex(t *testing.T) {
	w := newFilesWorld(t)
	id := sector.ID{Miner: 1000, Number: 103}
	s := SectorFiles{ID: id, Size: 2048, Objects: []FileObject{
		{Kind: sector.Sealed, Store: w.stores[0]}, {Kind: sector.Cache, Store: w.stores[1]},
	}}
	move := NewFilesMove(w.home, store.Store{Name: "new", Dir: w.target.Dir})
	if was, err := move.Interrupted(t.Context()); was != nil || err != nil {
		t.Fatalf("before any move: %v", err)
	}
	if err := move.Intend([]SectorFiles{s}); err != nil {
		t.Fatal(err)
	}
	if err := move.Abandon(); err != nil { // as after a kill
		t.Fatal(err)
	}
	was, err := move.Interrupted(t.Context())
	if err != nil || was == nil {
		t.Fatalf("the interrupted move is not known: %v", err)
	}
	for kind, dir := range map[sector.FileKind]string{sector.Sealed: w.stores[0].Dir, sector.Cache: w.stores[1].Dir} {
		if got, ok := was(id, kind); !ok || got != dir {
			t.Errorf("%s: interrupted in %q, %v", kind, got, ok)
		}
	}
	if _, ok := was(id, sector.Update); ok {
		t.Error("says that a file was moved that was not")
	}
	if err := move.Known(t.Context(), []SectorFiles{s}); err != nil {
		t.Fatal(err)
	}
	replica, cache, found, err := w.home.Locate(t.Context(), id, false)
	if replica != "new" || cache != "new" || !found || err != nil {
		t.Errorf("the index names %q, %q, %v, %v", replica, cache, found, err)
	}
	// The index names the target already, but the sources were not removed.
	f := w.files()
	f.Stores = append(f.Stores, store.Store{Name: "new", Dir: w.target.Dir})
	f.Moved = was
	got, _, _ := find(t, f)
	if got[103] != "sealed:damocles-1 cache:damocles-2" {
		t.Errorf("after the interruption: %q", got[103])
	}
	if err := os.Remove(w.stores[0].Path(sector.Sealed, id)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(w.stores[1].Path(sector.Cache, id)); err != nil {
		t.Fatal(err)
	}
	if f.Moved, err = move.Interrupted(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _, _ = find(t, f)
	if got[103] != "sealed:target cache:target" {
		t.Errorf("after the removal: %q", got[103])
	}
	undo, err := move.Finish(t.Context())
	if err != nil || undo.Journal == "" {
		t.Fatalf("finish: %+v, %v", undo, err)
	}
	if was, err := move.Interrupted(t.Context()); was != nil || err != nil {
		t.Errorf("after the end something is still being moved: %v", err)
	}
}

func mkdirAll(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func fixtureChain(t *testing.T) Chain {
	t.Helper()
	at, err := chain.ParseEndpoint(testkit.Chain(t, testkit.ChainOptions{}).URL)
	if err != nil {
		t.Fatal(err)
	}
	node := chain.Dial(at, rpcOptions())
	head, err := node.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return NewChainNode(node.At(head))
}
