package migrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/store"
	"damocles-manager/internal/testkit"
)

// attachWorld is an empty home and one of the fixture's stores.
type attachWorld struct {
	home *damocles.Home
	dir  string
	at   Attach
}

func newAttachWorld(t *testing.T) *attachWorld {
	t.Helper()
	w := &attachWorld{dir: t.TempDir()}
	var err error
	w.home, err = damocles.OpenHome(t.Context(), w.dir, damocles.Config{}, damocles.Options{Write: true, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.home.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(t.TempDir(), "lotus-1")
	if err := os.CopyFS(dir, os.DirFS(testkit.Fixture(t, "switch-2k/storage/lotus-1"))); err != nil {
		t.Fatal(err)
	}
	w.at = Attach{
		Home:  NewHome(w.home, w.dir, AttachCommand, 0, durable.FS{}),
		Store: store.Store{Name: "a", Dir: dir}, Pattern: "*", Splitted: true,
	}
	return w
}

// index returns what the index has of the store's sectors.
func (w *attachWorld) index(t *testing.T) (entries []damocles.Change) {
	t.Helper()
	for number := range 32 {
		for _, prefix := range []string{"", "cache/", "sector-upgrade/", "sector-upgrade/cache/"} {
			key := fmt.Sprintf("%sm-1000-n-%d", prefix, number)
			value, found, err := w.home.Value(t.Context(), damocles.CollectionIndex, key)
			if err != nil {
				t.Fatal(err)
			}
			if found {
				entries = append(entries, damocles.Change{Store: damocles.CollectionIndex, Key: key, Before: value})
			}
		}
	}
	return entries
}

// forget empties the index and the directory of the journals.
func (w *attachWorld) forget(t *testing.T) {
	t.Helper()
	if err := w.home.Apply(t.Context(), w.index(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(JournalDir(w.dir)); err != nil {
		t.Fatal(err)
	}
}

// Whatever step of the journal fails, nothing is in the index that the journal
// does not tell of, and the next run finishes.
func TestAttachJournalFails(t *testing.T) {
	broken := errors.New("broken")
	w := newAttachWorld(t)
	run := func(fault func(op, path string) error) error {
		w.at.Home = NewHome(w.home, w.dir, AttachCommand, 0, durable.FS{Fault: fault})
		_, err := w.at.Run(t.Context())
		return err
	}
	var steps []string
	if err := run(func(op, _ string) error { steps = append(steps, op); return nil }); err != nil {
		t.Fatal(err)
	}
	const whole = 34
	if n := len(w.index(t)); n != whole || len(steps) < 5 {
		t.Fatalf("%d entries after the steps %q", n, steps)
	}
	failures := 0
	for at, step := range steps {
		w.forget(t)
		n := -1
		err := run(func(string, string) error {
			if n++; n == at {
				return broken
			}
			return nil
		})
		if errors.Is(err, broken) {
			failures++
		} else if err != nil {
			t.Errorf("step %d (%s): %v", at, step, err)
		}
		if has, journaled := len(w.index(t)), journaledKeys(t, JournalDir(w.dir)); has > journaled {
			t.Errorf("step %d (%s): %d entries are written, %d in the journal", at, step, has, journaled)
		}
		if err := run(nil); err != nil {
			t.Errorf("step %d (%s), the next run: %v", at, step, err)
		}
		if has := len(w.index(t)); has != whole {
			t.Errorf("step %d (%s): %d entries after the next run, want %d", at, step, has, whole)
		}
	}
	if failures < 5 {
		t.Errorf("%d of the steps %q stopped a run", failures, steps)
	}
}

func journaledKeys(t *testing.T, dir string) (n int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		j, err := durable.OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.EachNewestRunFirst(t.Context(), func(durable.Entry) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestAttachCancelled(t *testing.T) {
	w := newAttachWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	w.at.Observe = func(Event) { seen++ }
	cancel()
	if _, err := w.at.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := len(w.index(t)); n != 0 || seen != 0 {
		t.Errorf("%d entries, %d sectors told of", n, seen)
	}
}

// A store that a plugin keeps cannot be looked into: what the index has there stays.
func TestAttachPluginStore(t *testing.T) {
	w := newAttachWorld(t)
	w.at.Stores = []HomeStore{{StoreConfig: damocles.StoreConfig{Name: "far", Path: "/bucket", PluginName: "s3"}}}
	key, _ := damocles.IndexKeys(1000, 2, false)
	err := w.home.Apply(t.Context(), []damocles.Change{{Store: damocles.CollectionIndex, Key: key, After: []byte("far")}})
	if err != nil {
		t.Fatal(err)
	}
	w.at.Pattern = "s-t01000-2"
	var got []Event
	w.at.Observe = func(e Event) { got = append(got, e) }
	if _, err := w.at.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Action != Conflict || !strings.Contains(got[0].Reason, `store "far"`) || got[0].Hint == "" {
		t.Errorf("got %+v", got)
	}
}
