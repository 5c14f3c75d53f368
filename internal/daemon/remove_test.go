package daemon_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/daemon"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
	"damocles-manager/internal/testkit"
)

// goneChain is a chain without the sectors.
func goneChain(t *testing.T, numbers ...uint64) *testkit.Server {
	return testkit.Chain(t, testkit.ChainOptions{Sector: func(_, number uint64) (json.RawMessage, bool) {
		return nil, slices.Contains(numbers, number)
	}}).ServeHistory(nil).ServeHead(headTime)
}

func (w *world) exists(path string) bool {
	_, err := os.Lstat(filepath.Join(w.storage, path))
	return err == nil
}

// addFile puts a file or a cache directory of a sector into a store.
func (w *world) addFile(dir string, kind sector.FileKind, id sector.ID) {
	w.t.Helper()
	path := store.Store{Dir: filepath.Join(w.storage, dir)}.Path(kind, id)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil && kind.IsDir() {
		err = os.Mkdir(path, 0o755)
	} else if err == nil {
		err = os.WriteFile(path, []byte("x"), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// A sector that the chain gave up goes, with all its files in the stores of the index,
// and only its own.
func TestRemove(t *testing.T) {
	w := newWorld(t, worldOptions{chain: goneChain(t, 103, 110)})
	w.addFile("damocles-1", sector.Unsealed, sid(110))
	w.addFile("damocles-1", sector.Sealed, sid(1100)) // another sector's
	before := string(w.stored(damocles.Offline, 103))
	w.is("void", "RemoveSector", sid(103)) // split over two stores
	w.is("void", "RemoveSector", sid(110)) // upgraded
	var moved []string
	for _, put := range w.jail.puts {
		what, why, _ := strings.Cut(put, ": ")
		moved = append(moved, what)
		if why != "removed: the chain has not had it since epoch 99100" {
			t.Errorf("the reason is %q", why)
		}
	}
	slices.Sort(moved)
	want := []string{
		"t01000_01 sealed s-t01000-103", "t01000_01 unsealed s-t01000-110", "t01000_01 update s-t01000-110",
		"t01000_01 update-cache s-t01000-110", "t01000_02 cache s-t01000-103",
	}
	for _, kind := range []string{"sealed", "cache"} { // what the upgrade has left of the first replica
		if _, err := os.Stat(filepath.Join(testkit.Fixture(t, "switch-2k/storage/damocles-1"), kind, "s-t01000-110")); err == nil {
			want = append(want, "t01000_01 "+kind+" s-t01000-110")
		}
	}
	slices.Sort(want)
	if !slices.Equal(moved, want) {
		t.Errorf("moved %q\nwant  %q", moved, want)
	}
	if got := string(w.stored(damocles.Offline, 103)); got != strings.Replace(before, `"Removed":false`, `"Removed":true`, 1) {
		t.Errorf("the record is %s", got)
	}
	if !w.exists("damocles-1/sealed/s-t01000-1100") || !w.exists("damocles-1/sealed/s-t01000-100") {
		t.Error("another sector's files are gone")
	}
	n := len(w.jail.puts)
	w.is("void", "RemoveSector", sid(103))
	if len(w.jail.puts) != n {
		t.Error("what was removed was moved again")
	}
}

// Everything that tries to remove a sector which may be live, or whose files cannot all
// be taken, is refused and changes nothing.
func TestRemoveRefuses(t *testing.T) {
	broken := func(method string) testkit.Options {
		return testkit.Options{Fail: func(m string, _ int) testkit.Failure {
			if m == method {
				return testkit.HTML
			}
			return testkit.Pass
		}}
	}
	for _, tt := range []struct {
		name  string
		chain func(t *testing.T) *testkit.Server
		o     worldOptions
		prep  func(w *world)
		id    sector.ID
		want  string
	}{
		{name: "live", chain: func(t *testing.T) *testkit.Server { return testkit.Chain(t, testkit.ChainOptions{}).ServeHistory(nil) },
			id: sid(100), want: "the chain has it, and expects proofs of it until epoch 1500000"},
		{name: "no chain", id: sid(100), want: "has no chain node"},
		{name: "no chain, terminated by the record", id: sid(115), want: "has no chain node"},
		{name: "not there", chain: func(t *testing.T) *testkit.Server { return goneChain(t) }, id: sid(999), want: "load sector state: load state from offline: key not found"},
		{name: "online only", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 117) }, id: sid(117), want: "load sector state"},
		{name: "the chain is broken", chain: func(t *testing.T) *testkit.Server {
			return testkit.Chain(t, testkit.ChainOptions{Options: broken("Filecoin.StateSectorGetInfo")}).ServeHistory(nil)
		}, id: sid(100), want: "Filecoin.StateSectorGetInfo"},
		{name: "a node without history", chain: func(t *testing.T) *testkit.Server {
			return testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) { return nil, n == 100 }})
		}, id: sid(100), want: "ChainGetTipSetByHeight"},
		{name: "null once, of an active sector", chain: func(t *testing.T) *testkit.Server {
			asked := 0
			return testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) {
				asked++
				return nil, n == 100 && asked == 1
			}}).ServeHistory(nil)
		}, id: sid(100), want: "it went from the chain after epoch 99100, which is not final yet"},
		{name: "gone a moment ago", chain: func(t *testing.T) *testkit.Server {
			return testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) { return nil, n == 100 }}).
				ServeHistory(func(n uint64, _ int64) (json.RawMessage, bool) {
					return testkit.OnChain(n, "bagboea4b5abcbanw5r22grt3vtksd4l42s5wl6wu5qjq47c4nekripa2526hmljq", ""), true
				})
		}, id: sid(100), want: "which is not final yet"},
		{name: "a node that lags", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			o:  worldOptions{change: func(o *daemon.Options) { o.Now = func() time.Time { return headTime.Add(3 * time.Hour) } }},
			id: sid(100), want: "the newest tipset of the chain node is 3h0m0s old"},
		{name: "terminated too recently", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			prep: func(w *world) {
				w.change(100, `"TerminatedAt":0,"AddedHeight":0`, `"TerminatedAt":99500,"AddedHeight":99500`)
			},
			id: sid(100), want: "wait for the epoch 100400"},
		{name: "a record from the chain's future", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 5) },
			prep: func(w *world) { w.is("true", "ImportSector", "offline", json.RawMessage(byTheOriginal), false) },
			id:   sid(5), want: "wait for the epoch 3001050"},
		{name: "another network", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 99) },
			prep: func(w *world) { w.change(100, `"Number":100}`, `"Number":99}`) },
			id:   sid(99), want: "has never heard of it"},
		{name: "another network, and a record without Pre", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 99) },
			prep: func(w *world) {
				raw := string(w.stored(damocles.Offline, 100))
				before, rest, _ := strings.Cut(raw, `"Pre":{`)
				_, after, _ := strings.Cut(rest, `"Proof":`)
				raw = strings.Replace(before+`"Proof":`+after, `"Number":100}`, `"Number":99}`, 1)
				w.apply(damocles.Change{Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, 99), After: []byte(raw)})
				w.setIndex(99, "t01000_01")
				w.addFile("damocles-1", sector.Sealed, sid(99))
			},
			id: sid(99), want: "has never heard of it"},
		{name: "nowhere in the index", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 115) },
			prep: func(w *world) { w.setIndex(115, "") }, id: sid(115), want: "object not found"},
		{name: "a store that is not configured", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			prep: func(w *world) { w.setIndex(100, "elsewhere") }, id: sid(100), want: "instance not found: elsewhere"},
		{name: "a store that is not mounted", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			prep: func(w *world) {
				if err := os.Rename(filepath.Join(w.storage, "damocles-1/sealed"), filepath.Join(w.storage, "aside")); err != nil {
					w.t.Fatal(err)
				}
			}, id: sid(100), want: "its store t01000_01 has no sealed"},
		{name: "a read-only store", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			o:  worldOptions{change: func(o *daemon.Options) { o.Stores = slices.Clone(o.Stores); o.Stores[0].ReadOnly = true }},
			id: sid(100), want: "its store t01000_01 is read-only"},
		{name: "a plugin's store", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			o:  worldOptions{change: func(o *daemon.Options) { o.Stores = slices.Clone(o.Stores); o.Stores[0].PluginName = "s3" }},
			id: sid(100), want: `kept by the plugin "s3"`},
		{name: "no quarantine", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			o: worldOptions{change: func(o *daemon.Options) { o.Quarantine = nil }}, id: sid(100), want: "there is no quarantine"},
		{name: "a directory for a file", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			prep: func(w *world) {
				path := filepath.Join(w.storage, "damocles-1/sealed/s-t01000-100")
				if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
					w.t.Fatal(err)
				}
			}, id: sid(100), want: "is not what belongs there"},
		{name: "the record of another sector", chain: func(t *testing.T) *testkit.Server { return goneChain(t, 100) },
			prep: func(w *world) {
				raw := w.stored(damocles.Offline, 100)
				w.apply(damocles.Change{Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, 100), Before: raw,
					After: []byte(strings.Replace(string(raw), `"Number":100`, `"Number":101`, 1))})
			}, id: sid(100), want: "its record is that of sector 101"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.chain != nil {
				tt.o.chain = tt.chain(t)
			}
			w := newWorld(t, tt.o)
			if tt.prep != nil {
				tt.prep(w)
			}
			w.refuses(tt.want, "RemoveSector", tt.id)
			if len(w.jail.puts) > 0 {
				t.Errorf("files went to the quarantine: %q", w.jail.puts)
			}
		})
	}
}

// change imports the offline record of a sector with a text of it replaced.
func (w *world) change(number int, old, new string) {
	w.t.Helper()
	raw := w.call("FindSector", "offline", sid(number)).result
	if !strings.Contains(raw, old) {
		w.t.Fatalf("the record of %d does not have %s", number, old)
	}
	w.is("true", "ImportSector", "offline", json.RawMessage(strings.Replace(raw, old, new, 1)), true)
}

func (w *world) apply(changes ...damocles.Change) {
	w.t.Helper()
	if err := w.home.Apply(w.t.Context(), changes); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) setIndex(number int, name string) {
	w.t.Helper()
	changes, err := w.home.IndexChanges(w.t.Context(), abi.SectorID(sid(number)), false, name, name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.apply(changes...)
}

// What never came to the chain can go without one.
func TestRemoveAborted(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.is("void", "RemoveSector", sid(114))
	if !strings.Contains(string(w.stored(damocles.Offline, 114)), `"Removed":true`) {
		t.Error("it is not marked")
	}
	// One that is aborted, but has sent a message, cannot.
	w.change(114, `"Removed":true`, `"Removed":false`)
	w.change(114, `"PreCommitCid":null`, `"PreCommitCid":{"/":"bafy2bzacea6b5jycu2p2gx3wlwgto4363gztclqbzn6yr27jxnjbvj6v5ubow"}`)
	w.refuses("has no chain node", "RemoveSector", sid(114))
}

// An interrupted removal is not marked as done, and finished by the same call.
func TestRemoveAgain(t *testing.T) {
	w := newWorld(t, worldOptions{chain: goneChain(t, 100)})
	w.jail.fail = errors.New("no space")
	if got := w.call("RemoveSector", sid(100)); got.err == nil || !strings.Contains(got.err.Error(), "move the files of s-t01000-100 to the quarantine: no space") {
		t.Fatalf("got %v", got.err)
	}
	if strings.Contains(string(w.stored(damocles.Offline, 100)), `"Removed":true`) || len(w.jail.puts) != 1 {
		t.Fatalf("it is half done: %q", w.jail.puts)
	}
	w.jail.fail = nil
	w.is("void", "RemoveSector", sid(100))
	if !strings.Contains(string(w.stored(damocles.Offline, 100)), `"Removed":true`) || len(w.jail.puts) != 2 {
		t.Errorf("it was not finished: %q", w.jail.puts)
	}
}
