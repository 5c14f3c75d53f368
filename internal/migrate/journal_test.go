package migrate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

func newRecorder(dir, command string) *recorder {
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	return &recorder{
		dir: dir, header: durable.Header{Command: command, Miner: "f01000", Target: "/home"},
		now: func() time.Time { start = start.Add(time.Second); return start },
	}
}

func noError(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// journaled are the keys in a journal, as an undo goes through them.
func journaled(t *testing.T, path string) (keys []string, ended bool) {
	t.Helper()
	j, err := durable.OpenJournal(path)
	if err == nil {
		err = j.EachNewestRunFirst(context.Background(), func(e durable.Entry) error {
			keys = append(keys, e.Key)
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return keys, j.Ended
}

func journals(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A run that changes nothing leaves no journal, and makes no directory.
func TestJournalOfNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	r := newRecorder(dir, "import")
	noError(t, r.sync(), r.end(), r.abandon())
	if _, err := os.Stat(dir); err == nil || r.path != "" {
		t.Errorf("there is %s, path %q", dir, r.path)
	}
	// nor does one that has no place for it
	r = newRecorder("", "import")
	noError(t, r.record(Change{Store: "s", Key: "k"}), r.sync(), r.end(), r.abandon())
	if r.path != "" {
		t.Errorf("path %q", r.path)
	}
}

// What an interrupted run has left open is gone on with: one undo for both.
func TestJournalResumes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	first := newRecorder(dir, "import")
	noError(t, first.record(Change{Store: "s", Key: "a", After: []byte("1")}, Change{Store: "s", Key: "b"}), first.sync(), first.abandon())
	if keys, ended := journaled(t, first.path); ended || !reflect.DeepEqual(keys, []string{"a", "b"}) {
		t.Fatalf("the first run: %v, ended %t", keys, ended)
	}
	// a torn last line, as a kill leaves it, was never relied on
	f, err := os.OpenFile(first.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"type":"change","store":"s","key":"to`); err != nil {
		t.Fatal(err)
	}
	noError(t, f.Close())

	// other commands, targets and miners have their own
	for _, other := range []durable.Header{
		{Command: "export", Miner: "f01000", Target: "/home"},
		{Command: "import", Miner: "f02000", Target: "/home"},
		{Command: "import", Miner: "f01000", Target: "/other"},
	} {
		r := newRecorder(dir, "")
		r.header = other
		start := time.Now()
		r.now = func() time.Time { return start }
		noError(t, r.record(Change{Store: "s", Key: "x"}), r.end())
		if r.path == first.path {
			t.Errorf("%+v went on with %s", other, r.path)
		}
	}
	second := newRecorder(dir, "import")
	noError(t, second.record(Change{Store: "s", Key: "c"}), second.end())
	if second.path != first.path {
		t.Errorf("the second run made %s beside %s", second.path, first.path)
	}
	if keys, ended := journaled(t, second.path); !ended || !reflect.DeepEqual(keys, []string{"c", "a", "b"}) {
		t.Errorf("both runs: %v, ended %t", keys, ended)
	}
	// an ended one is not gone on with
	third := newRecorder(dir, "import")
	third.now = time.Now
	noError(t, third.record(Change{Store: "s", Key: "d"}), third.end())
	if third.path == first.path {
		t.Error("the third run went on with a journal that had ended")
	}
}

// A rerun that finds all done ends what the interrupted run left open.
func TestJournalEndsWhatIsDone(t *testing.T) {
	dir := t.TempDir()
	first := newRecorder(dir, "import")
	noError(t, first.record(Change{Store: "s", Key: "a"}), first.abandon())
	second := newRecorder(dir, "import")
	noError(t, second.end())
	if _, ended := journaled(t, first.path); !ended {
		t.Error("the journal is open still")
	}
	if got := journals(t, dir); len(got) != 1 {
		t.Errorf("journals: %v", got)
	}
}

// A file that is no journal is named, before anything is changed.
func TestJournalDamaged(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "import-1.journal")
	if err := os.WriteFile(bad, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRecorder(dir, "import")
	err := r.record(Change{Store: "s", Key: "a"})
	if err == nil || fault.HintOf(err) == "" || r.path != "" {
		t.Errorf("got %v, hint %q, path %q", err, fault.HintOf(err), r.path)
	}
}

// Every step of the writing can fail; the error comes out, and an entry that may
// not be on disk is never relied on.
func TestJournalStepsFail(t *testing.T) {
	run := func(r *recorder) error {
		if err := r.record(Change{Store: "s", Key: "a", Before: []byte("x")}); err != nil {
			return err
		}
		if err := r.sync(); err != nil {
			return err
		}
		return r.end()
	}
	for fail := 0; ; fail++ {
		n := 0
		r := newRecorder(filepath.Join(t.TempDir(), "journal"), "import")
		r.fs.Fault = func(op, _ string) error {
			if n++; n == fail+1 {
				return errWanted
			}
			return nil
		}
		err := run(r)
		if n <= fail {
			if err != nil {
				t.Error(err)
			}
			if fail < 10 {
				t.Errorf("only %d steps", fail)
			}
			return
		}
		if !errors.Is(err, errWanted) {
			t.Errorf("step %d: got %v", fail, err)
		}
		_ = r.abandon() // what is left of it
	}
}
