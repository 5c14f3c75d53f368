package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// storeWorld is a repo, and the stores a and b with a sector each.
type storeWorld struct {
	t      *testing.T
	dir    string
	run    StoreExport
	events []StoreEvent
	ids    int
}

func newStoreWorld(t *testing.T) *storeWorld {
	w := &storeWorld{t: t, dir: t.TempDir()}
	w.put("repo/storage.json", `{"StoragePaths":null}`)
	w.run = StoreExport{
		Miner: 1000, Repo: w.path("repo"),
		Stores: []HomeStore{w.store("a"), w.store("b")},
		Scans:  func(string) (bool, error) { return false, nil },
		NewID: func() (string, error) {
			w.ids++
			return fmt.Sprintf("id-%d", w.ids), nil
		},
		Observe: func(e StoreEvent) { w.events = append(w.events, e) },
	}
	w.put("a/sealed/s-t01000-1", "1")
	w.put("b/sealed/s-t01000-2", "2")
	return w
}

func (w *storeWorld) path(name string) string { return filepath.Join(w.dir, name) }

func (w *storeWorld) store(name string) HomeStore {
	return HomeStore{StoreConfig: damocles.StoreConfig{Name: name, Path: w.path(name)}}
}

// put makes a file; $ stands for the world's directory.
func (w *storeWorld) put(name, content string) {
	w.t.Helper()
	err := os.MkdirAll(filepath.Dir(w.path(name)), 0o755)
	if err == nil {
		err = os.WriteFile(w.path(name), []byte(strings.ReplaceAll(content, "$", w.dir)), 0o644)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *storeWorld) get(name string) string {
	w.t.Helper()
	raw, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

// files is every file but the journals, which hold no store's.
func (w *storeWorld) files() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == w.path("repo/backups") {
			return fs.SkipDir
		}
		name, _ := filepath.Rel(w.dir, path)
		out[name] = d.Type().String()
		if d.Type().IsRegular() {
			out[name] = w.get(name)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *storeWorld) export() error {
	w.t.Helper()
	w.events = nil
	_, err := w.run.Run(w.t.Context())
	return err
}

// problems are all that was told of why stores are refused.
func (w *storeWorld) problems() string {
	var all []string
	for _, e := range w.events {
		for _, p := range e.Problems {
			all = append(all, p.Text)
			if p.Hint == "" {
				w.t.Errorf("%s: no next step: %s", e.Path, p.Text)
			}
		}
	}
	return strings.Join(all, "\n")
}

func (w *storeWorld) undo(journal string) (*RollbackReport, error) {
	w.t.Helper()
	files := NewRepoFiles(w.path("repo"), RollbackStoresCommand, 1000, w.run.FS)
	rb := Rollback{Store: files, Journal: journal, Hold: files.Hold, Keep: func(string) bool { return false }}
	return rb.Run(w.t.Context())
}

func (w *storeWorld) journal() string {
	w.t.Helper()
	path, err := FindJournal(BackupDir(w.path("repo")), "", ExportStoresCommand)
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

const lotusMeta = `{"ID":"ID","Weight":10,"CanSeal":false,"CanStore":true,"MaxStorage":0}`

// Each reason to refuse is told, and nothing is changed then.
func TestStoreExportRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(w *storeWorld)
		want string
	}{
		"an ID twice among the new": {func(w *storeWorld) {
			w.put("a/sectorstore.json", lotusMeta)
			w.put("b/sectorstore.json", lotusMeta)
		}, "its ID ID is that of $/a, too"},
		"the ID of a path that is there": {func(w *storeWorld) {
			w.put("c/sectorstore.json", lotusMeta)
			w.put("repo/storage.json", `{"StoragePaths":[{"Path":"$/c"}]}`)
			w.put("b/sectorstore.json", lotusMeta)
		}, "its ID ID is that of $/c, too"},
		"an ID twice among those that are there": {func(w *storeWorld) {
			w.put("c/sectorstore.json", lotusMeta)
			w.put("d/sectorstore.json", lotusMeta)
			w.put("repo/storage.json", `{"StoragePaths":[{"Path":"$/c"},{"Path":"$/d"}]}`)
		}, "its ID ID is that of $/c, too"},
		"a path that is there twice, by a slash": {func(w *storeWorld) {
			w.put("a/sectorstore.json", lotusMeta)
			w.put("repo/storage.json", `{"StoragePaths":[{"Path":"$/a"},{"Path":"$/a/"}]}`)
		}, "storage.json names the same directory twice"},
		"a relative path": {func(w *storeWorld) {
			w.put("repo/storage.json", `{"StoragePaths":[{"Path":"sectors"}]}`)
		}, "by a path that depends on where lotus-miner is started"},
		"two stores that are one, by a link": {func(w *storeWorld) {
			w.link("a", "link")
			w.run.Stores = append(w.run.Stores, w.store("link"))
		}, "it is the same directory as the store a ($/a)"},
		"a store inside another": {func(w *storeWorld) {
			w.put("a/more/sealed/s-t01000-7", "7")
			w.run.Stores = append(w.run.Stores, w.store("a/more"))
		}, "one of $/a/more and $/a lies inside the other"},
		"a store inside another, by a link": {func(w *storeWorld) {
			w.put("a/more/sealed/s-t01000-7", "7")
			w.link("a/more", "link")
			w.run.Stores = append(w.run.Stores, w.store("link"))
		}, "one of $/link and $/a lies inside the other"},
		"a path that is there around a store": {func(w *storeWorld) {
			w.put("repo/storage.json", `{"StoragePaths":[{"Path":"$"}]}`)
			w.put("sectorstore.json", lotusMeta)
		}, "one of $/a and $ lies inside the other"},
		"lost+found": {func(w *storeWorld) { w.put("b/cache/lost+found/x", "") }, "b/cache/lost+found is none of a sector's files"},
		"a temporary name": {func(w *storeWorld) { w.put("b/sealed/s-t01000-2.tmp", "") },
			"s-t01000-2.tmp is none of a sector's files, and lotus-miner would take it for s-t01000-2"},
		"a file for a type directory": {func(w *storeWorld) { w.put("b/unsealed", "") }, "b/unsealed is none"},
		"a store that is not there":   {func(w *storeWorld) { w.run.Stores = append(w.run.Stores, w.store("gone")) }, "it cannot be looked into"},
		"a store that is a file":      {func(w *storeWorld) { w.put("f", ""); w.run.Stores = append(w.run.Stores, w.store("f")) }, "is not a directory"},
		"half a sectorstore.json":     {func(w *storeWorld) { w.put("b/sectorstore.json", `{"ID":`) }, "$/b/sectorstore.json: it is not whole JSON"},
		"a list of miners for both": {func(w *storeWorld) {
			w.put("b/sectorstore.json", `{"ID":"x","Name":"b","AllowMiners":[1000]}`)
			w.run.Stores[1].Scanned = true
		}, "AllowMiners lists miners, which damocles reads as numbers and lotus as addresses"},
		"a list of miners, and nobody knows who reads it": {func(w *storeWorld) {
			w.put("b/sectorstore.json", `{"ID":"x","Name":"b","DenyMiners":[1000]}`)
			w.run.Scans = nil
		}, "DenyMiners lists miners"},
		"a store that would be found twice": {func(w *storeWorld) {
			w.run.Scans = func(dir string) (bool, error) { return dir == w.path("b"), nil }
		}, "with a sectorstore.json it would find it twice"},
		"a key of the wrong kind": {func(w *storeWorld) { w.put("b/sectorstore.json", `{"ID":"x","CanStore":"yes"}`) }, "CanStore is a JSON string"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newStoreWorld(t)
			tt.make(w)
			before := w.files()
			err := w.export()
			if fault.KindOf(err) != fault.Refused || fault.HintOf(err) == "" || !strings.Contains(err.Error(), "nothing was changed") {
				t.Errorf("got %v, want a refusal", err)
			}
			if got, want := w.problems(), strings.ReplaceAll(tt.want, "$", w.dir); !strings.Contains(got, want) {
				t.Errorf("the problems are %q, want %q", got, want)
			}
			if after := w.files(); !maps.Equal(after, before) {
				t.Errorf("something was changed: %v, was %v", after, before)
			}
			if _, err := os.Stat(w.path("repo/backups")); err == nil {
				t.Error("a journal was begun")
			}
		})
	}
}

func (w *storeWorld) link(old, name string) {
	w.t.Helper()
	if err := os.Symlink(w.path(old), w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

// What is no reason to refuse: a note at most, and the rest goes on.
func TestStoreExportGoesOn(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(w *storeWorld)
		want string // of the event of store b
	}{
		"junk in a store without sectors of the miner": {func(w *storeWorld) {
			w.put("b/sealed/s-t01001-2", "")
			w.remove("b/sealed/s-t01000-2")
		}, "skipped []"},
		"junk that lotus passes over":   {func(w *storeWorld) { w.put("b/sealed/fetching/x", ""); w.put("b/lost+found/x", "") }, "entered []"},
		"another miner's sectors":       {func(w *storeWorld) { w.put("b/sealed/s-t01001-2", "") }, "entered [other-miner]"},
		"a plugin's store":              {func(w *storeWorld) { w.run.Stores[1].PluginName = "s3" }, "skipped []"},
		"a path that cannot be opened":  {func(w *storeWorld) { w.put("repo/storage.json", `{"StoragePaths":[{"Path":"$/gone"}]}`) }, "entered []"},
		"it is there already":           {func(w *storeWorld) { w.put("b/sectorstore.json", lotusMeta); w.list("b") }, "unchanged []"},
		"it is there, by another name":  {func(w *storeWorld) { w.put("b/sectorstore.json", lotusMeta); w.link("b", "l"); w.list("l/") }, "unchanged []"},
		"it is there, and not complete": {func(w *storeWorld) { w.put("b/sectorstore.json", "{}"); w.list("b") }, "entered []"},
		"the stores of a daemon":        {func(w *storeWorld) { w.run.Scans = nil }, "entered [scan-unknown]"},
		"lotus wants nothing more there": {func(w *storeWorld) {
			w.put("b/sectorstore.json", `{"ID":"x","Weight":0,"CanSeal":false,"CanStore":false}`)
		}, "entered [lotus-read-only]"},
		"damocles wants nothing more": {func(w *storeWorld) { w.put("b/sectorstore.json", lotusMeta); w.run.Stores[1].ReadOnly = true }, "entered [damocles-read-only]"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newStoreWorld(t)
			tt.make(w)
			if err := w.export(); err != nil {
				t.Fatalf("%v\n%s", err, w.problems())
			}
			i := slices.IndexFunc(w.events, func(e StoreEvent) bool { return e.Name == "b" })
			codes := []string{}
			for _, n := range w.events[i].Notes {
				codes = append(codes, n.Code)
			}
			if got := fmt.Sprintf("%s %v", w.events[i].Action, codes); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := w.get("repo/storage.json"); !strings.Contains(got, w.path("a")) {
				t.Errorf("a was not entered: %s", got)
			}
			done := w.files()
			if err := w.export(); err != nil {
				t.Fatal(err)
			}
			if again := w.files(); !maps.Equal(again, done) {
				t.Errorf("a second run changed something: %v, was %v", again, done)
			}
		})
	}
}

func (w *storeWorld) remove(name string) {
	w.t.Helper()
	if err := os.Remove(w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *storeWorld) list(name string) {
	w.put("repo/storage.json", `{"StoragePaths":[{"Path":"$/`+name+`"}]}`)
}

var errStopped = errors.New("stopped on purpose")

// Stopped before any of its steps, as a kill would, storage.json names no path
// that lotus-miner could not open, the next run completes it, and one undo takes
// both runs back.
func TestStoreExportStoppedAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		w := newStoreWorld(t)
		w.put("b/sectorstore.json", `{"Name":"b","Mine":1}`)
		before := w.files()
		steps := 0
		w.run.FS = durable.FS{Fault: func(op, path string) error {
			if steps++; steps >= n {
				return fmt.Errorf("%s %s: %w", op, path, errStopped)
			}
			return nil
		}}
		err := w.export()
		if err == nil {
			if n < 20 {
				t.Fatalf("it took %d steps only", n)
			}
			return
		}
		if !errors.Is(err, errStopped) {
			t.Fatalf("step %d: got %v", n, err)
		}
		w.checkOpens(n)
		w.run.FS = durable.FS{}
		if err := w.export(); err != nil {
			t.Fatalf("step %d: the next run: %v\n%s", n, err, w.problems())
		}
		w.checkOpens(n)
		if got := w.get("repo/storage.json"); !strings.Contains(got, w.path("a")) || !strings.Contains(got, w.path("b")) {
			t.Fatalf("step %d: the next run does not complete it: %s", n, got)
		}
		for name := range w.files() {
			if strings.HasSuffix(name, ".tmp") {
				t.Errorf("step %d: %s is left", n, name)
			}
		}
		if _, err := w.undo(w.journal()); err != nil {
			t.Fatalf("step %d: undo: %v", n, err)
		}
		if after := w.files(); !maps.Equal(after, before) {
			t.Fatalf("step %d: after the undo: %v, was %v", n, after, before)
		}
	}
}

// checkOpens checks that every path of storage.json has what lotus-miner needs.
func (w *storeWorld) checkOpens(n int) {
	w.t.Helper()
	for _, name := range []string{"a", "b"} {
		if strings.Contains(w.get("repo/storage.json"), w.path(name)+`"`) && !strings.Contains(w.get(name+"/sectorstore.json"), `"ID": "id-`) {
			w.t.Fatalf("step %d: storage.json names %s, which lotus-miner cannot open", n, name)
		}
	}
}

// An undo that is stopped anywhere is completed by the next one.
func TestStoreUndoStoppedAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		w := newStoreWorld(t)
		w.put("b/sectorstore.json", `{"Name":"b","Mine":1}`)
		before := w.files()
		if err := w.export(); err != nil {
			t.Fatal(err)
		}
		steps := 0
		w.run.FS = durable.FS{Fault: func(string, string) error {
			if steps++; steps >= n {
				return errStopped
			}
			return nil
		}}
		_, err := w.undo(w.journal())
		w.checkOpens(n)
		w.run.FS = durable.FS{}
		if _, err := w.undo(w.journal()); err != nil {
			t.Fatalf("step %d: the next undo: %v", n, err)
		}
		if after := w.files(); !maps.Equal(after, before) {
			t.Fatalf("step %d: after the undo: %v, was %v", n, after, before)
		}
		if err == nil {
			return
		}
	}
}

// A journal is a file that anybody may have written.
func TestStoreUndoWritesNothingElse(t *testing.T) {
	w := newStoreWorld(t)
	w.put("precious", "x")
	j, err := durable.FS{}.CreateJournal(w.path("forged.journal"), durable.Header{Command: ExportStoresCommand, Target: w.path("repo")})
	if err != nil {
		t.Fatal(err)
	}
	sum := durable.Sum([]byte("x"))
	if err := errors.Join(j.Append(durable.Entry{Store: "sectorstore.json", Key: w.path("precious"), Before: []byte("y"), After: &sum}), j.End()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.undo(w.path("forged.journal")); fault.KindOf(err) != fault.Refused {
		t.Errorf("got %v, want a refusal", err)
	}
	if got := w.get("precious"); got != "x" {
		t.Errorf("the file holds %q now", got)
	}
}

// A file that somebody changes between the look and the write is not lost.
func TestStoreExportChangedMeanwhile(t *testing.T) {
	w := newStoreWorld(t)
	w.run.FS = durable.FS{Fault: func(op, path string) error {
		if op == "mkdir" {
			w.put("repo/storage.json", `{"StoragePaths":[{"Path":"/theirs"}]}`)
		}
		return nil
	}}
	if err := w.export(); err == nil || !strings.Contains(err.Error(), "was changed by somebody else") {
		t.Errorf("got %v", err)
	}
	if got := w.get("repo/storage.json"); !strings.Contains(got, "/theirs") {
		t.Errorf("storage.json was written over: %s", got)
	}
}

// What the repo's owner cannot work with is listed, and nothing is changed.
func TestStoreExportForAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root to give files to another user")
	}
	const nobody = 65534
	for name, tt := range map[string]struct {
		make func(w *storeWorld) error
		want string
	}{
		"a store that is closed":          {func(w *storeWorld) error { return os.Chmod(w.path("b"), 0o700) }, "$/b: "},
		"a file that is closed":           {func(w *storeWorld) error { return os.Chmod(w.path("b/sealed/s-t01000-2"), 0o600) }, "$/b/sealed/s-t01000-2: "},
		"type directories are missing":    {func(*storeWorld) error { return nil }, "may not write to it"},
		"a type directory that is closed": {func(w *storeWorld) error { return os.Chmod(w.path("b/sealed"), 0o700) }, "$/b/sealed: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newStoreWorld(t)
			if err := errors.Join(os.Chown(w.path("repo"), nobody, nobody), tt.make(w)); err != nil {
				t.Fatal(err)
			}
			before := w.files()
			if err := w.export(); fault.KindOf(err) != fault.Refused {
				t.Errorf("got %v, want a refusal", err)
			}
			if got, want := w.problems(), strings.ReplaceAll(tt.want, "$", w.dir); !strings.Contains(got, want) {
				t.Errorf("the problems are %q, want %q", got, want)
			}
			if after := w.files(); !maps.Equal(after, before) {
				t.Errorf("something was changed: %v", after)
			}
		})
	}
}

func TestStoreExportIsCancelled(t *testing.T) {
	w := newStoreWorld(t)
	before := w.files()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.run.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if after := w.files(); !maps.Equal(after, before) {
		t.Errorf("something was changed: %v", after)
	}
}
