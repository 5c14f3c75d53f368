package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// Store is a database that a run is undone in.
type Store interface {
	// Value returns what a key holds, nil where it is not there.
	Value(ctx context.Context, store, key string) ([]byte, error)
	// Undo sets keys back, all or nothing as the database can, under a journal and
	// backup of its own. FinishUndo makes it last.
	Undo(ctx context.Context, changes []Change) error
	FinishUndo(ctx context.Context) (Undo, error)
	// AbandonUndo gives up what FinishUndo would have made last.
	AbandonUndo() error
}

// Rollback undoes one run from its journal, key by key, and each only while it
// still holds what the run wrote.
type Rollback struct {
	Store   Store
	Journal string
	// Keep says which keys never go back, as the counters of numbers.
	Keep func(key string) bool
	// Hold says why a key that could be undone has to stay, because of others that
	// were kept before it in this run; "" where it need not. It may be nil.
	Hold    func(e durable.Entry, kept map[string]bool) (string, error)
	DryRun  bool
	Observe func(RollbackEvent)
}

// RollbackEvent says what became of one key.
type RollbackEvent struct {
	Type   string `json:"type"` // always "key"
	Store  string `json:"store"`
	Key    string `json:"key"`
	Action string `json:"action"` // restored, deleted, already, kept, number
	Reason string `json:"reason,omitempty"`
}

// RollbackReport counts keys.
type RollbackReport struct {
	Type string `json:"type"` // always "summary"
	// Restored were set back to what they held, Deleted had not been there.
	Restored int `json:"restored"`
	Deleted  int `json:"deleted"`
	// Already held what they held before the run.
	Already int `json:"already"`
	// Kept have changed since, and were left alone.
	Kept int `json:"kept"`
	// Numbers are counters, which never go back.
	Numbers int    `json:"numbers"`
	DryRun  bool   `json:"dryRun"`
	Undone  string `json:"undone"`
	Backup  string `json:"backup,omitempty"`
	Journal string `json:"journal,omitempty"`
}

// Run undoes the journal's changes, the newest run in it first.
func (rb *Rollback) Run(ctx context.Context) (*RollbackReport, error) {
	report := &RollbackReport{Type: "summary", DryRun: rb.DryRun, Undone: rb.Journal}
	j, err := durable.OpenJournal(rb.Journal)
	if err != nil {
		return report, err
	}
	w := &rollbackRun{Rollback: rb, report: report}
	err = j.EachNewestRunFirst(ctx, func(e durable.Entry) error { return w.entry(ctx, e) })
	if err == nil {
		err = w.flush(ctx)
	}
	if err == nil && !rb.DryRun {
		var undo Undo
		undo, err = rb.Store.FinishUndo(ctx)
		report.Backup, report.Journal = undo.Backup, undo.Journal
	}
	if err != nil {
		return report, errors.Join(err, rb.Store.AbandonUndo())
	}
	return report, nil
}

type rollbackRun struct {
	*Rollback
	report *RollbackReport
	batch  []Change
	keys   map[string]bool // of the batch: a key that comes twice must see its first undo
	kept   map[string]bool // only where Hold wants them
}

func (w *rollbackRun) entry(ctx context.Context, e durable.Entry) error {
	if w.keys[e.Store+"\x00"+e.Key] {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	if w.Keep(e.Key) {
		w.report.Numbers++
		w.tell(e, "number", "sector numbers never go back")
		return nil
	}
	have, err := w.Store.Value(ctx, e.Store, e.Key)
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Key, err)
	}
	switch {
	case isAfter(have, e) && !isBefore(have, e):
		return w.undoUnlessHeld(ctx, e, have)
	case isBefore(have, e):
		if e.Store != originsStore {
			w.report.Already++
			w.tell(e, "already", "")
		}
	default:
		w.keep(e, "it has changed since")
	}
	return nil
}

func (w *rollbackRun) keep(e durable.Entry, reason string) {
	w.report.Kept++
	w.tell(e, "kept", reason)
	if w.Hold != nil {
		if w.kept == nil {
			w.kept = map[string]bool{}
		}
		w.kept[e.Key] = true
	}
}

func (w *rollbackRun) undoUnlessHeld(ctx context.Context, e durable.Entry, have []byte) error {
	if w.Hold != nil {
		reason, err := w.Hold(e, w.kept)
		if err != nil {
			return err
		}
		if reason != "" {
			w.keep(e, reason)
			return nil
		}
	}
	return w.undo(ctx, e, have)
}

func (w *rollbackRun) undo(ctx context.Context, e durable.Entry, have []byte) error {
	switch {
	case e.Store == originsStore: // it goes with its record, which is counted
	case e.Before == nil:
		w.report.Deleted++
		w.tell(e, "deleted", "")
	default:
		w.report.Restored++
		w.tell(e, "restored", "")
	}
	if w.DryRun {
		return nil
	}
	w.batch = append(w.batch, Change{Store: e.Store, Key: e.Key, Before: have, After: e.Before})
	if w.keys == nil {
		w.keys = map[string]bool{}
	}
	w.keys[e.Store+"\x00"+e.Key] = true
	if len(w.batch) < 1000 {
		return nil
	}
	return w.flush(ctx)
}

func (w *rollbackRun) flush(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	err := w.Store.Undo(ctx, w.batch)
	w.batch, w.keys = w.batch[:0], nil
	return err
}

func (w *rollbackRun) tell(e durable.Entry, action, reason string) {
	if w.Observe != nil {
		w.Observe(RollbackEvent{Type: "key", Store: e.Store, Key: e.Key, Action: action, Reason: reason})
	}
}

// RollbackCommand marks the journals of an undoing, which is not undone again
// by default.
const RollbackCommand = "rollback"

// DaemonCommand marks the journals of `daemon run`, of what it was told to replace
// or delete. They are undone only where the user names one.
const DaemonCommand = "daemon"

// FindJournal returns the journal that a rollback of the command undoes: the
// one given (a journal, or the backup beside it), else the newest of the
// command in dir.
func FindJournal(dir, given string, commands ...string) (string, error) {
	if given != "" {
		return journalOf(given)
	}
	path, err := durable.Latest(dir, func(h durable.Header, _ bool) bool {
		return slices.Contains(commands, h.Command)
	})
	if err != nil {
		return "", journalError("name the journal with --backup, or move away what is none", err)
	}
	if path == "" {
		return "", fault.New("name the journal with --backup", "there is nothing to undo: no journal of %s in %s",
			strings.Join(commands, " or "), dir)
	}
	return path, nil
}

const giveJournal = "give a file that ends in .journal, or the backup that lies beside one"

const anotherJournal = "nothing was changed; name another journal with --backup, a file that ends in .journal"

// journalError adds the next step to an error about a journal that has none.
func journalError(hint string, err error) error {
	return fault.New(cmp.Or(fault.HintOf(err), hint), "%w", fault.JSON(err))
}

// journalOf takes a backup's name for that of the journal which names it.
func journalOf(given string) (string, error) {
	if strings.HasSuffix(given, ".journal") {
		return given, nil
	}
	abs, err := filepath.Abs(given)
	if err != nil {
		return "", err
	}
	path, err := durable.Latest(filepath.Dir(abs), func(h durable.Header, _ bool) bool { return h.Backup == abs })
	if err != nil {
		return "", journalError(giveJournal, err)
	}
	if path == "" {
		return "", fault.New(giveJournal, "no journal names %s as its backup", given)
	}
	return path, nil
}

// isOfAnother says whether a journal's target is another directory than dir. A
// journal made through a daemon has an address for its target, and one whose
// directory is gone may have moved here with it: each key decides for itself then.
func isOfAnother(target, dir string) bool {
	if target == dir || !filepath.IsAbs(target) {
		return false
	}
	was, err := os.Stat(target)
	if err != nil {
		return false
	}
	is, err := os.Stat(dir)
	return err != nil || !os.SameFile(was, is)
}

// CheckJournal refuses a journal that is not of one of the commands (or of the
// undoing of one), and one of another repo or home than dir. What went through a
// running damocles-manager is known by an address; such a one is taken where the
// user named it. run says of which run the journal is.
func CheckJournal(path, dir string, named bool, commands ...string) (run string, err error) {
	j, err := durable.OpenJournal(path)
	if err != nil {
		return "", journalError(anotherJournal, err)
	}
	h := j.Header
	undoes := h.Command == RollbackCommand || h.Command == RollbackStoresCommand && slices.Contains(commands, ExportStoresCommand)
	if !slices.Contains(commands, h.Command) && !undoes {
		return "", fault.Refuse("name a journal of "+strings.Join(commands, " or "), "the journal %s is of %s", path, h.Command)
	}
	switch byAddress := !filepath.IsAbs(h.Target); {
	case byAddress && !named:
		return "", fault.Refuse("if that one works on this home, name the journal with --backup",
			"the newest journal, %s, is of the damocles-manager at %s", path, h.Target)
	case isOfAnother(h.Target, dir):
		return "", fault.Refuse("name the journal of this one, or the one that it belongs to",
			"the journal %s is of %s, not of %s", path, h.Target, dir)
	}
	return runOf(j), nil
}

// runOf names the run of a journal as its owner remembers it: by what it was and
// when it began.
func runOf(j *durable.JournalReader) string {
	h := j.Header
	text := "the " + strings.ReplaceAll(h.Command, "-", " of ") // export-stores
	if h.Miner != "" && h.Miner != sector.MinerString(0) {      // an undoing is of no miner
		text += " of " + h.Miner
	}
	text += " that began at " + h.Started.UTC().Format("2006-01-02 15:04:05 UTC")
	if !j.Ended {
		text += " and was interrupted"
	}
	return text
}
