package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/migrate"
)

// What was replaced, moved or marked comes back with the journal, also what changed
// several times, and what a daemon that was stopped in between has written.
func TestRollback(t *testing.T) {
	o := worldOptions{chain: goneChain(t, 103)}
	w := newWorld(t, o)
	w.reserve(summary)
	before := w.records()
	steps := func() {
		w.change(100, `"AbortReason":""`, `"AbortReason":"one"`)
		w.change(100, `"AbortReason":"one"`, `"AbortReason":"two"`)
		w.is("void", "FinalizeSector", sid(117))
		w.is("null", "RestoreSector", sid(117), true)
		w.is("void", "FinalizeSector", sid(117))
	}
	steps()
	w.is("void", "RemoveSector", sid(103))
	w.is("false", "StoreReleaseReserved", sid(117))
	w.close()
	w.open(o)
	// The journal of the first daemon has ended; this one gets another.
	first := w.journal()
	w.change(100, `"AbortReason":"two"`, `"AbortReason":"three"`)
	w.is("true", "ImportSector", "offline", json.RawMessage(byTheOriginal), false) // new: nothing to take back
	w.close()
	second := w.journal()
	if first == second {
		t.Fatal("both wrote into one journal")
	}
	w.undo(second, 0)
	w.undo(first, 0)
	w.open(o)
	w.is(byTheOriginal, "FindSector", "offline", sid(5))
	if after := strings.Replace(w.records(), "sector-states-offline/m-1000-n-5 "+byTheOriginal+"\n", "", 1); after != before {
		t.Errorf("the home is not as before:\n%s\nwas\n%s", after, before)
	}
	if left, err := w.home.Reserved(t.Context()); err != nil || string(left) != summary {
		t.Errorf("reserved is %s, %v", left, err)
	}
}

// What changed since is kept.
func TestRollbackKeeps(t *testing.T) {
	o := worldOptions{}
	w := newWorld(t, o)
	w.change(100, `"AbortReason":""`, `"AbortReason":"one"`)
	w.close()
	journal := w.journal()
	w.open(o)
	w.change(100, `"AbortReason":"one"`, `"AbortReason":"two"`)
	w.close()
	w.undo(journal, 1)
}

func (w *world) records() string {
	text, _, _ := strings.Cut(w.state(), w.storage)
	return text
}

func (w *world) journal() string {
	w.t.Helper()
	path, err := migrate.FindJournal(migrate.JournalDir(w.dir), "", migrate.DaemonCommand)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := migrate.CheckJournal(path, w.dir, true, migrate.DaemonCommand); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// undo does what `import rollback --backup` does, with the daemon stopped.
func (w *world) undo(journal string, kept int) {
	w.t.Helper()
	w.openHomeOnly()
	rb := migrate.Rollback{
		Store: migrate.NewHome(w.home, w.dir, migrate.RollbackCommand, 0, durable.FS{}), Journal: journal, Keep: migrate.KeepHomeKeys,
	}
	report, err := rb.Run(w.t.Context())
	if err != nil || report.Kept != kept {
		w.t.Errorf("undoing %s: %+v, %v", journal, report, err)
	}
	if err := w.home.Close(); err != nil {
		w.t.Fatal(err)
	}
}
