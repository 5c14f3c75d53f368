package ui

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

// screen is a UI with what it wrote.
type screen struct {
	*UI
	t           *testing.T
	out, stderr bytes.Buffer
}

func newScreen(t *testing.T, o Options) *screen {
	t.Helper()
	s := &screen{t: t}
	s.UI = New(&s.out, &s.stderr, o)
	return s
}

// shows checks all that was written to stdout.
func (s *screen) shows(want string) {
	s.t.Helper()
	if err := s.Flush(); err != nil {
		s.t.Fatal(err)
	}
	if got := s.out.String(); got != want {
		s.t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func event(n uint64, action migrate.Action) migrate.Event {
	return migrate.Event{Type: "sector", Miner: "f01000", Number: n, Action: action}
}

// full is an event with everything that one can have.
func full(action migrate.Action) migrate.Event {
	e := event(5, action)
	e.State, e.Upgraded, e.Reason, e.Hint = "Proving", true, "why", "do this"
	e.Differences = []sector.Difference{{Field: "F", Have: "1", Want: "2"}}
	e.Notes = []sector.Note{{Code: "c", Text: "note this"}}
	return e
}

// The text of every action, in every loudness.
func TestSectorText(t *testing.T) {
	const diff, note = "\tF: has 1, would be 2\n", "s-t01000-5: note: note this\n"
	tests := []struct {
		action                  migrate.Action
		plain, quiet, verbosely string
	}{
		{migrate.Write, "", "", "s-t01000-5: written (Proving upgraded)\n" + diff + note},
		{migrate.WouldWrite, "", "", "s-t01000-5: would-write (Proving upgraded)\n" + diff + note},
		{migrate.Unchanged, "", "", "s-t01000-5: unchanged\n" + diff},
		{migrate.Skipped, "s-t01000-5: skipped: why (Proving upgraded)\n", "", "s-t01000-5: skipped: why (Proving upgraded)\n" + diff + note},
		{migrate.Conflict, "s-t01000-5: conflict: why (Proving upgraded)\n\thint: do this\n" + diff, "s-t01000-5: conflict: why (Proving upgraded)\n\thint: do this\n" + diff, "s-t01000-5: conflict: why (Proving upgraded)\n\thint: do this\n" + diff + note},
		{migrate.Unfinished, "s-t01000-5: unfinished: why (Proving upgraded)\n\thint: do this\n", "s-t01000-5: unfinished: why (Proving upgraded)\n\thint: do this\n", "s-t01000-5: unfinished: why (Proving upgraded)\n\thint: do this\n" + diff + note},
		{migrate.Failed, "s-t01000-5: failed: why (Proving upgraded)\n\thint: do this\n", "s-t01000-5: failed: why (Proving upgraded)\n\thint: do this\n", "s-t01000-5: failed: why (Proving upgraded)\n\thint: do this\n" + diff + note},
		{migrate.Missing, "missing: why\n\thint: do this\n", "missing: why\n\thint: do this\n", "missing: why\n\thint: do this\n" + diff + note},
	}
	for _, tt := range tests {
		for _, o := range []struct {
			Options
			want string
		}{{Options{}, tt.plain}, {Options{Quiet: true}, tt.quiet}, {Options{Verbose: true}, tt.verbosely}} {
			s := newScreen(t, o.Options)
			s.Sector(full(tt.action))
			s.shows(o.want)
			if s.stderr.Len() > 0 {
				t.Errorf("%s: on stderr: %s", tt.action, s.stderr.String())
			}
		}
	}
	s := newScreen(t, Options{})
	e := event(0, migrate.Failed)
	e.Key, e.Reason = "/sectors/abc", "it names no sector"
	s.Sector(e)
	s.shows("/sectors/abc: failed: it names no sector\n")
}

// What is only good to know is shown twenty times for each kind; what needs the
// user, always; a hint, once.
func TestFlood(t *testing.T) {
	s := newScreen(t, Options{})
	for n := range uint64(50) {
		skipped := event(n, migrate.Skipped)
		skipped.State, skipped.Reason = []string{"Removed", "Terminated"}[n%2], "why"
		s.Sector(skipped)
		failed := event(n, migrate.Failed)
		failed.Reason, failed.Hint = "why", "do this"
		s.Sector(failed)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{
		"(Removed)": 20, "(Terminated)": 20, ": failed: why": 50, "\thint: do this": 1,
		"… more like this are counted below; --verbose shows them all\n": 2,
	} {
		if got := strings.Count(s.out.String(), text); got != want {
			t.Errorf("%q stands there %d times, want %d", text, got, want)
		}
	}
	s = newScreen(t, Options{Verbose: true})
	for n := range uint64(50) {
		s.Sector(event(n, migrate.Write))
	}
	if err := s.Flush(); err != nil || strings.Count(s.out.String(), ": written\n") != 50 || strings.Contains(s.out.String(), "…") {
		t.Errorf("verbose: %v\n%s", err, s.out.String())
	}
}

// Notes that say the same are shown once, with the sectors that they are about.
func TestNotes(t *testing.T) {
	s := newScreen(t, Options{})
	noted := func(n uint64, texts ...string) {
		e := event(n, migrate.Write)
		for _, text := range texts {
			e.Notes = append(e.Notes, sector.Note{Code: "c", Text: text})
		}
		s.Sector(e)
	}
	noted(1, "one", "two")
	noted(1, "one")
	for n := range uint64(8) {
		noted(n+2, "two")
	}
	unchanged := event(99, migrate.Unchanged)
	unchanged.Notes = []sector.Note{{Code: "c", Text: "of no interest"}}
	s.Sector(unchanged)
	s.Summary("import", &migrate.Report{Written: 9})
	s.shows("note: s-t01000-1: one\n" +
		"note: s-t01000-1, s-t01000-2, s-t01000-3, s-t01000-4, s-t01000-5 and 4 more: two\n" +
		"import: 9 written, 0 unchanged, 0 conflicts, 0 unfinished, 0 skipped, 0 failed\n")

	s = newScreen(t, Options{})
	for n := range uint64(maxNoteGroups + 7) {
		noted(n, fmt.Sprint("text ", n))
	}
	s.Summary("import", &migrate.Report{})
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(s.out.String(), "note: "); got != maxNoteGroups || !strings.Contains(s.out.String(), "… and 7 more notes; --verbose shows them all\n") {
		t.Errorf("%d notes:\n%s", got, s.out.String())
	}
	s = newScreen(t, Options{Quiet: true})
	noted(1, "one")
	s.Summary("import", &migrate.Report{Written: 1})
	s.shows("import: 1 written, 0 unchanged, 0 conflicts, 0 unfinished, 0 skipped, 0 failed\n")
}

func TestSummary(t *testing.T) {
	for _, tt := range []struct {
		report migrate.Report
		want   string
	}{
		{migrate.Report{}, "x: 0 written, 0 unchanged, 0 conflicts, 0 unfinished, 0 skipped, 0 failed\n"},
		{migrate.Report{Written: 7, Upgraded: 2, Unchanged: 1, Conflicts: 3, Unfinished: 4, Failed: 5, Missing: 6, Skipped: map[string]int{"b": 1, "a": 2}},
			"x: 7 written (2 upgraded), 1 unchanged, 3 conflicts, 4 unfinished, 3 skipped (a 2, b 1), 5 failed, 6 missing\n"},
		{migrate.Report{DryRun: true, Written: 1}, "x: 1 would be written, 0 unchanged, 0 conflicts, 0 unfinished, 0 skipped, 0 failed\n"},
	} {
		s := newScreen(t, Options{})
		s.Summary("x", &tt.report)
		s.shows(tt.want)
	}
}

func TestRollbackText(t *testing.T) {
	events := []migrate.RollbackEvent{
		{Type: "key", Store: "s", Key: "k1", Action: "deleted"}, {Type: "key", Store: "s", Key: "k2", Action: "restored"},
		{Type: "key", Store: "s", Key: "k3", Action: "already"}, {Type: "key", Store: "s", Key: "k4", Action: "kept", Reason: "it has changed since"},
		{Type: "key", Store: "s", Key: "k5", Action: "number", Reason: "sector numbers never go back"},
	}
	report := &migrate.RollbackReport{Type: "summary", Restored: 1, Deleted: 2, Already: 3, Kept: 4, Numbers: 5}
	const sum = "rollback: 2 deleted, 1 restored, 3 undone already, 4 kept as they have changed since\n"
	for _, tt := range []struct {
		Options
		want string
	}{
		{Options{}, "s k4: kept: it has changed since\ns k5: kept: sector numbers never go back\n" + sum},
		{Options{Quiet: true}, "s k4: kept: it has changed since\n" + sum},
		{Options{Verbose: true}, "s k1: deleted\ns k2: restored\ns k3: already\ns k4: kept: it has changed since\ns k5: kept: sector numbers never go back\n" + sum},
	} {
		s := newScreen(t, tt.Options)
		for _, e := range events {
			s.Key(e)
		}
		s.RollbackSummary(report)
		s.shows(tt.want)
	}
	s := newScreen(t, Options{})
	s.RollbackSummary(&migrate.RollbackReport{DryRun: true, Deleted: 1})
	s.shows("rollback: 1 would be deleted, 0 would be restored, 0 undone already, 0 kept as they have changed since\n")
	s = newScreen(t, Options{JSON: true})
	s.Key(events[3])
	s.RollbackSummary(report)
	s.shows(`{"type":"key","store":"s","key":"k4","action":"kept","reason":"it has changed since"}` + "\n" +
		`{"type":"summary","restored":1,"deleted":2,"already":3,"kept":4,"numbers":5,"dryRun":false,"undone":""}` + "\n")
}

func TestNotices(t *testing.T) {
	s := newScreen(t, Options{Quiet: true})
	s.Notice("a notice")
	s.Info("an info")
	s.Error(errors.New("what is wrong"), "")
	s.Error(errors.New("what is wrong"), "do this")
	if got, want := s.stderr.String(), "a notice\nerror: what is wrong\nerror: what is wrong\nhint:  do this\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s = newScreen(t, Options{})
	s.Info("an info")
	if got := s.stderr.String(); got != "an info\n" {
		t.Errorf("got %q", got)
	}
}
