package migrate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/durable"
)

// importing is a run that writes the configuration of a home.
func (w *storeWorld) importing(dfs durable.FS) (*StoreImport, *Daemon) {
	daemon := NewDaemon(nil, 1, w.path("journal"), w.path("home"), "import", 1000, dfs)
	return &StoreImport{
		Miner: 1000, ConfigPath: w.path("home/sector-manager.cfg"), Writer: daemon,
		Lotus:   []LotusStore{{ID: "1", Path: w.path("a"), CanStore: true, Weight: 10}, {ID: "2", Path: w.path("b"), CanStore: true, Weight: 10}},
		Observe: func(e StoreEvent) { w.events = append(w.events, e) },
	}, daemon
}

// Stopped before any of its steps, the configuration is the old one or the new one
// whole, the journal has the old one before it is touched, and the next run
// completes it.
func TestStoreImportStoppedAnywhere(t *testing.T) {
	const old = "# mine\n[Common]\n"
	for n := 1; ; n++ {
		w := newStoreWorld(t)
		w.put("home/sector-manager.cfg", old)
		steps := 0
		run, daemon := w.importing(durable.FS{Fault: func(string, string) error {
			if steps++; steps >= n {
				return errStopped
			}
			return nil
		}})
		_, err := run.Run(t.Context())
		if err == nil {
			_, err = daemon.Finish(t.Context(), nil)
		}
		done := err == nil
		if !done && !errors.Is(err, errStopped) {
			t.Fatalf("step %d: %v", n, err)
		}
		if got := w.get("home/sector-manager.cfg"); got != old {
			w.isWhole(n, old, got)
			w.hasOld(n, old)
		}
		run, daemon = w.importing(durable.FS{})
		run.Known = nil
		if got := w.get("home/sector-manager.cfg"); got != old { // damocles knows them now
			run.Known = []HomeStore{w.store("a"), w.store("b")}
		}
		if _, err := run.Run(t.Context()); err != nil {
			t.Fatalf("step %d: the next run: %v", n, err)
		}
		if _, err := daemon.Finish(t.Context(), nil); err != nil {
			t.Fatalf("step %d: the next run: %v", n, err)
		}
		w.isWhole(n, old, w.get("home/sector-manager.cfg"))
		w.hasOld(n, old)
		left, err := filepath.Glob(w.path("*/.*.tmp"))
		if err != nil || len(left) > 0 {
			t.Errorf("step %d: left over: %v %v", n, left, err)
		}
		if done {
			if n < 10 {
				t.Errorf("it took %d steps only", n)
			}
			return
		}
	}
}

func (w *storeWorld) isWhole(n int, old, got string) {
	w.t.Helper()
	if !strings.HasPrefix(got, old) || strings.Count(got, "[[Common.PersistStores]]") != 2 || !strings.Contains(got, "Path = \""+w.path("b")+"\"\n") {
		w.t.Fatalf("step %d: the configuration is %q", n, got)
	}
}

// hasOld checks that some journal can bring the old configuration back.
func (w *storeWorld) hasOld(n int, old string) {
	w.t.Helper()
	path, err := durable.Latest(w.path("journal"), func(durable.Header, bool) bool { return true })
	if err != nil || path == "" {
		w.t.Fatalf("step %d: no journal: %v", n, err)
	}
	j, err := durable.OpenJournal(path)
	if err != nil {
		w.t.Fatal(err)
	}
	found := false
	err = j.EachNewestRunFirst(w.t.Context(), func(e durable.Entry) error {
		found = found || (e.Store == configStore && string(e.Before) == old)
		return nil
	})
	if err != nil || !found {
		w.t.Fatalf("step %d: the journal has not the old configuration: %v", n, err)
	}
}

// A journal is a file that anybody may have written.
func TestConfigUndoWritesNothingElse(t *testing.T) {
	for _, path := range []string{"/etc/passwd", "sector-manager.cfg", "/x/sector-manager.cfg.d"} {
		if _, err := readConfigFile(path); err == nil {
			t.Errorf("%s is taken for a configuration", path)
		}
	}
}

func TestStoreNamesAreFree(t *testing.T) {
	w := newStoreWorld(t)
	for _, dir := range []string{"1/disk", "2/disk", "3/disk"} {
		if err := os.MkdirAll(w.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run, _ := w.importing(durable.FS{})
	run.Writer = nil
	known := w.store("a")
	known.Name = "disk_2"
	run.Known = []HomeStore{known}
	run.Lotus = []LotusStore{
		{Path: w.path("1/disk"), CanStore: true}, {Path: w.path("2/disk"), CanStore: true, Weight: 3}, {Path: w.path("1/disk/"), CanStore: true},
		{Path: w.path("3/disk"), Weight: 3}, {Path: w.path("a"), CanStore: true},
	}
	if _, err := run.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range w.events {
		got = append(got, e.Name+" "+string(e.Action))
	}
	if want := "disk printed|disk_3 printed| skipped|disk_4 printed|disk_2 unchanged"; strings.Join(got, "|") != want {
		t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
	}
	all := strings.Join(run.Sections(), "")
	if strings.Count(all, "ReadOnly = true") != 2 || strings.Count(all, "Weight = 3") != 1 {
		t.Errorf("the sections are %s", all)
	}
}
