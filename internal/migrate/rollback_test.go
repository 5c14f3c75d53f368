package migrate

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// memory is a Store that keeps its keys in memory and notes what is asked of it.
type memory struct {
	keys      map[string]string
	changes   []Change
	finished  bool
	abandoned bool
	fail      error
}

func (m *memory) Value(_ context.Context, store, key string) ([]byte, error) {
	if v, ok := m.keys[store+" "+key]; ok {
		return []byte(v), nil
	}
	return nil, nil
}

func (m *memory) Undo(_ context.Context, changes []Change) error {
	if m.fail != nil {
		return m.fail
	}
	for _, c := range changes {
		if c.After == nil {
			delete(m.keys, c.Store+" "+c.Key)
		} else {
			m.keys[c.Store+" "+c.Key] = string(c.After)
		}
		m.changes = append(m.changes, c)
	}
	return nil
}

func (m *memory) FinishUndo(context.Context) (Undo, error) {
	m.finished = true
	return Undo{Journal: "undo"}, nil
}

func (m *memory) AbandonUndo() error {
	m.abandoned = true
	return nil
}

// change is one from before to after; "" is no value.
func change(key, before, after string) Change {
	c := Change{Store: "s", Key: key}
	if before != "" {
		c.Before = []byte(before)
	}
	if after != "" {
		c.After = []byte(after)
	}
	return c
}

// journalOfRuns is a journal in which each of the runs made its changes, and
// all but the last were interrupted.
func journalOfRuns(t *testing.T, runs ...[]Change) string {
	t.Helper()
	r := recorder{dir: t.TempDir(), now: time.Now, header: durable.Header{Command: "import", Target: "/nowhere"}}
	for i, run := range runs {
		if err := r.record(run...); err != nil {
			t.Fatal(err)
		}
		end := r.abandon
		if i == len(runs)-1 {
			end = r.end
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	return r.path
}

func undo(t *testing.T, m *memory, journal string, dryRun bool) (*RollbackReport, map[string]string) {
	t.Helper()
	events := map[string]string{}
	rb := Rollback{
		Store: m, Journal: journal, DryRun: dryRun, Keep: func(key string) bool { return strings.HasPrefix(key, "number") },
		Observe: func(e RollbackEvent) {
			if events[e.Key] != "" {
				events[e.Key] += ", "
			}
			events[e.Key] += e.Action
		},
	}
	report, err := rb.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report, events
}

// Every key goes back, where it still holds what the run wrote.
func TestRollback(t *testing.T) {
	journal := journalOfRuns(t, []Change{
		change("new", "", "1"), change("over", "a", "b"), change("gone", "x", ""), change("changed", "a", "b"),
		change("changed new", "", "1"), change("back", "a", "b"), change("number", "", "7"), change("same", "a", "a"),
	})
	now := map[string]string{
		"s new": "1", "s over": "b", "s changed": "c", "s changed new": "2", "s back": "a", "s number": "7", "s same": "a", "s other": "o",
	}
	wantEvents := map[string]string{
		"new": "deleted", "over": "restored", "gone": "restored", "changed": "kept", "changed new": "kept", "back": "already",
		"number": "number", "same": "already",
	}
	wantReport := RollbackReport{Type: "summary", Restored: 2, Deleted: 1, Already: 2, Kept: 2, Numbers: 1, Undone: journal}

	m := &memory{keys: maps.Clone(now)}
	report, events := undo(t, m, journal, true)
	want := wantReport
	want.DryRun = true
	if *report != want || !maps.Equal(events, wantEvents) {
		t.Errorf("dry run: %+v\n%v", report, events)
	}
	if !maps.Equal(m.keys, now) || m.finished {
		t.Error("a dry run changed something")
	}

	report, events = undo(t, m, journal, false)
	want = wantReport
	want.Journal = "undo"
	if *report != want || !maps.Equal(events, wantEvents) {
		t.Errorf("%+v\n%v", report, events)
	}
	after := map[string]string{
		"s over": "a", "s gone": "x", "s changed": "c", "s changed new": "2", "s back": "a", "s number": "7", "s same": "a", "s other": "o",
	}
	if !maps.Equal(m.keys, after) || !m.finished || m.abandoned {
		t.Errorf("left: %v", m.keys)
	}

	// again: what is undone already is said to be
	report, _ = undo(t, m, journal, false)
	if report.Restored != 0 || report.Deleted != 0 || report.Already != 5 || report.Kept != 2 {
		t.Errorf("the second time: %+v", report)
	}
}

// Two runs in one journal, the second of which went over keys of the first, go
// back to what was before both.
func TestRollbackOfAChain(t *testing.T) {
	journal := journalOfRuns(t,
		[]Change{change("a", "", "1"), change("b", "0", "1"), change("c", "", "1"), change("d", "0", "1")},
		[]Change{change("a", "1", "2"), change("b", "1", "2"), change("c", "1", ""), change("e", "", "1")},
	)
	m := &memory{keys: map[string]string{"s a": "2", "s b": "2", "s d": "1", "s e": "1"}}
	report, events := undo(t, m, journal, false)
	if want := map[string]string{"s b": "0", "s d": "0"}; !maps.Equal(m.keys, want) {
		t.Errorf("left %v, want %v (%v)", m.keys, want, events)
	}
	if report.Restored != 5 || report.Deleted != 3 || report.Kept != 0 {
		t.Errorf("%+v", report)
	}
	// A key that has changed since keeps its place in every run of the chain.
	m = &memory{keys: map[string]string{"s a": "3", "s b": "2", "s d": "1", "s e": "1"}}
	report, events = undo(t, m, journal, false)
	if m.keys["s a"] != "3" || events["a"] != "kept, kept" || report.Kept != 2 {
		t.Errorf("a is %q: %v", m.keys["s a"], events)
	}
}

// An undo that fails is given up, and says so.
func TestRollbackFails(t *testing.T) {
	journal := journalOfRuns(t, []Change{change("a", "", "1")})
	m := &memory{keys: map[string]string{"s a": "1"}, fail: errOfFn}
	rb := Rollback{Store: m, Journal: journal, Keep: func(string) bool { return false }}
	if _, err := rb.Run(t.Context()); !errors.Is(err, errOfFn) || !m.abandoned || m.finished {
		t.Errorf("%v, abandoned %v", err, m.abandoned)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m = &memory{keys: map[string]string{"s a": "1"}}
	rb.Store = m
	if _, err := rb.Run(ctx); !errors.Is(err, context.Canceled) || len(m.changes) > 0 {
		t.Errorf("cancelled: %v, %v", err, m.changes)
	}
	rb.Journal = filepath.Join(t.TempDir(), "none.journal")
	if _, err := rb.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no journal: %v", err)
	}
}

// On a real home and a real repo: undone, and the undoing undone.
func TestRollbackOfTargets(t *testing.T) {
	for _, tt := range targets(t) {
		if tt.name == "Daemon" {
			continue // undone in its home
		}
		t.Run(tt.name, func(t *testing.T) {
			target := tt.open(t)
			added, over := tt.step(t, target, 5000), tt.step(t, target, map[string]uint64{"Home": 100, "Repo": 10}[tt.name])
			before := over.Changes[0].Before
			if before == nil {
				t.Fatal("there is nothing to write over")
			}
			if err := target.Write(t.Context(), []*Step{added, over}); err != nil {
				t.Fatal(err)
			}
			done, err := target.Finish(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			run := func(journal string) *RollbackReport {
				rb := Rollback{Store: tt.again(t).(Store), Journal: journal, Keep: KeepRepoKeys}
				report, err := rb.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return report
			}
			report := run(done.Journal)
			if report.Deleted != 1 || report.Restored != 1 || (report.Backup != "") != (tt.name == "Repo") {
				t.Errorf("%+v", report)
			}
			held, err := tt.again(t).Holds(t.Context(), over.ID)
			if err != nil || !bytes.Equal(held.Offline, before) {
				t.Errorf("it was not restored: %v", err)
			}
			if report = run(report.Journal); report.Restored != 2 { // one of them had been deleted
				t.Errorf("undoing the undo: %+v", report)
			}
			if target = tt.again(t); !holds(t, target, added) || !holds(t, target, over) {
				t.Error("undoing the undo did not bring it back")
			}
		})
	}
}

func TestCheckJournal(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	moved := filepath.Join(t.TempDir(), "gone")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, command, target string
		named                 bool
		refused               string
	}{
		{"its own", "import", dir, false, ""},
		{"the other command", "finalize", dir, false, ""},
		{"through a link", "import", link, false, ""},
		{"an undoing", RollbackCommand, dir, true, ""},
		{"the directory was moved here", "import", moved, false, ""},
		{"of another home", "import", other, false, "not of " + dir},
		{"of another home, named", "import", other, true, "not of " + dir},
		{"of an export", "export", dir, true, "is of export"},
		{"through a daemon, named", "import", "http://127.0.0.1:1789/rpc/v0", true, ""},
		{"through a daemon, by chance", "import", "http://127.0.0.1:1789/rpc/v0", false, "is of the damocles-manager at http"},
	}
	for _, tt := range tests {
		r := recorder{dir: t.TempDir(), now: time.Now, header: durable.Header{Command: tt.command, Target: tt.target}}
		if err := errors.Join(r.record(change("k", "", "v")), r.end()); err != nil {
			t.Fatal(err)
		}
		_, err := CheckJournal(r.path, dir, tt.named, "import", "finalize")
		if tt.refused == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), tt.refused) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCheckJournalNamesTheRun(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 22, 14, 9, 11, 5, time.UTC)
	r := recorder{dir: dir, now: func() time.Time { return at }, header: durable.Header{Command: "import", Miner: "f01000", Target: dir}}
	if err := errors.Join(r.record(change("k", "", "v")), r.sync()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"the import of f01000 that began at 2026-11-22 14:09:11 UTC and was interrupted",
		"the import of f01000 that began at 2026-11-22 14:09:11 UTC",
	} {
		if got, err := CheckJournal(r.path, dir, false, "import"); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
	}
}

// A sector that went from online to offline comes back without ever being in
// neither, wherever the undoing stops.
func TestRollbackOfAFinalizeNeverLosesIt(t *testing.T) {
	dir := homeDir(t, false, nil)
	home, _ := openHome(t, dir, true)
	id := numberID(117)
	f := Finalize{Target: home, Observe: func(Event) {}}
	report, err := f.Run(t.Context(), ids(id))
	if err != nil || report.Written != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	offline := "offline_meta " + offlineKey(id)
	online := "meta " + damocles.StateKey(damocles.Online, id.Miner, id.Number)
	held, err := home.Holds(t.Context(), id)
	if err != nil || held.Offline == nil {
		t.Fatal(err)
	}
	m := &memory{keys: map[string]string{offline: string(held.Offline)}}
	rb := Rollback{Store: m, Journal: report.Journal, Keep: KeepHomeKeys}
	if _, err := rb.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range m.changes {
		order = append(order, c.Store+" "+c.Key)
	}
	if !slices.Equal(order, []string{online, offline}) || m.keys[online] == "" || m.keys[offline] != "" {
		t.Errorf("undone in the order %v", order)
	}
}
