package durable

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJournalStepsFailing(t *testing.T) {
	run := func(s FS, path string) error {
		j, err := s.CreateJournal(path, testHeader)
		if err != nil {
			return err
		}
		defer func() { _ = j.Close() }()
		if err := errors.Join(j.Append(entry("a", "", "")), j.Sync()); err != nil {
			return err
		}
		return j.End()
	}
	r := &recorder{fail: -1}
	if err := run(r.fs(), filepath.Join(t.TempDir(), "j")); err != nil {
		t.Fatal(err)
	}
	want := []string{"create", "write", "sync", "close", "rename", "syncdir", // header and first run
		"write", "sync", // changes
		"write", "sync", "close", // end
		"sync"} // the deferred Close, which finds it closed
	if !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	for fail := range len(want) - 1 {
		dir := t.TempDir()
		r := &recorder{fail: fail, as: errInjected}
		if err := run(r.fs(), filepath.Join(dir, "j")); !errors.Is(err, errInjected) {
			t.Errorf("step %d (%s): got %v", fail, want[fail], err)
		}
		if got := listNames(t, dir); fail < 6 && len(got) != 0 {
			t.Errorf("step %d (%s) left %v", fail, want[fail], got)
		}
	}
}

func TestLatest(t *testing.T) {
	dir := t.TempDir()
	all := func(Header, bool) bool { return true }
	if got, err := Latest(filepath.Join(dir, "missing"), all); got != "" || err != nil {
		t.Errorf("missing directory: got %q, %v", got, err)
	}
	at := func(command string, hour int) string {
		h := testHeader
		h.Command = command
		h.Started = time.Date(2026, 11, 22, hour, 0, 0, 5, time.UTC)
		j, err := FS{}.CreateJournal(filepath.Join(dir, JournalName(command, h.Started)), h)
		if err != nil {
			t.Fatal(err)
		}
		if hour%2 == 0 {
			mustAppend(t, j, entry("k", strings.Repeat("long", 1000), ""))
			err = j.End()
		} else {
			err = j.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return j.Path()
	}
	early, ended, late := at("import", 3), at("import", 4), at("export", 5)
	must(t, os.WriteFile(filepath.Join(dir, "backup.jsonl"), []byte("not ours"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, ".hidden.journal"), []byte("half"), 0o600))
	if got, want := filepath.Base(late), "export-20261122T050000.000000005Z.journal"; got != want {
		t.Errorf("name: got %s, want %s", got, want)
	}
	for _, test := range []struct {
		name string
		keep func(Header, bool) bool
		want string
	}{
		{"all", all, late},
		{"import", func(h Header, _ bool) bool { return h.Command == "import" }, ended},
		{"ended", func(_ Header, e bool) bool { return e }, ended},
		{"open imports", func(h Header, e bool) bool { return h.Command == "import" && !e }, early},
		{"none", func(Header, bool) bool { return false }, ""},
	} {
		if got, err := Latest(dir, test.keep); got != test.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", test.name, got, err, test.want)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "bad.journal"), []byte("garbage\n"), 0o600))
	if _, err := Latest(dir, all); err == nil || !strings.Contains(err.Error(), "bad.journal") {
		t.Errorf("a bad one: got %v", err)
	}
}

func FuzzParseChange(f *testing.F) {
	line, _ := appendChange(nil, entry("k\"", "before", "after"))
	f.Add(line[:len(line)-1])
	f.Add([]byte(`{"type":"change","store":"s","key":"k","before":null,"after":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseChange(line)
		if err != nil {
			return
		}
		again, err := appendChange(nil, e)
		if err != nil {
			return // not UTF-8
		}
		if got, err := parseChange(again[:len(again)-1]); err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("got %v, %v, want %v", got, err, e)
		}
	})
}
