package durable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/fault"
)

var testHeader = Header{
	Command: "import", Miner: "f01000", Target: "/home/x/.damocles-manager", Backup: "b.jsonl",
	Started: time.Date(2026, 11, 22, 13, 0, 0, 123, time.UTC),
}

func entry(key, before, after string) Entry {
	e := Entry{Store: "offline_meta", Key: key}
	if before != "" {
		e.Before = []byte(before)
	}
	if after != "" {
		sum := Sum([]byte(after))
		e.After = &sum
	}
	return e
}

func mustAppend(t *testing.T, j *Journal, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
}

// newJournal makes a journal of one run with two changes, not ended.
func newJournal(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.journal")
	j, err := FS{}.CreateJournal(path, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, entry("1", "", "new"), entry("2", "old", "new"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func keys(t *testing.T, r *JournalReader) []string {
	t.Helper()
	var got []string
	err := r.EachNewestRunFirst(t.Context(), func(e Entry) error {
		got = append(got, e.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestJournalFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.journal")
	j, err := FS{}.CreateJournal(path, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, entry("a", "old", ""), entry("b\"\\\n\x01é<", "", "new"))
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(path)
	want := []string{
		`{"type":"journal","version":1,"command":"import","miner":"f01000","target":"/home/x/.damocles-manager","backup":"b.jsonl","started":"2026-11-22T13:00:00.000000123Z"}`,
		`{"type":"run","started":"2026-11-22T13:00:00.000000123Z"}`,
		`{"type":"change","store":"offline_meta","key":"a","before":"b2xk","after":null}`,
		`{"type":"change","store":"offline_meta","key":"b\"\\\u000a\u0001é<","before":null,"after":"11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"}`,
	}
	lines := strings.SplitAfter(string(got), "\n")
	for i, w := range want {
		if lines[i] != w+"\n" {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, lines[i], w)
		}
		if !json.Valid([]byte(lines[i])) {
			t.Errorf("line %d is no JSON", i+1)
		}
	}
	if !strings.HasPrefix(lines[4], `{"type":"end","ended":"20`) || len(lines) != 6 {
		t.Errorf("end: got %q", lines[4:])
	}
}

func TestJournalRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.journal")
	j, err := FS{}.CreateJournal(path, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 300_000)
	want := []Entry{
		entry("a", "old", "new"), entry("b", "", ""), entry("quote\" \\ \n", long, "new"), entry("c", "null", ""),
	}
	want = append(want, Entry{Store: "s", Key: "", Before: []byte{}}) // an empty value is not an absent one
	mustAppend(t, j, want...)
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	r, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []Entry
	must(t, r.EachNewestRunFirst(t.Context(), func(e Entry) error {
		got = append(got, e)
		return nil
	}))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if r.Header != testHeader || !r.Ended {
		t.Errorf("header: got %+v, ended %t", r.Header, r.Ended)
	}
}

func TestJournalRunsNewestFirst(t *testing.T) {
	path := newJournal(t)
	for run := 3; run <= 5; run += 2 {
		j, err := FS{}.ResumeJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, j, entry(fmt.Sprint(run), "", ""), entry(fmt.Sprint(run+1), "", ""))
		must(t, j.Close())
	}
	r, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := keys(t, r), []string{"5", "6", "3", "4", "1", "2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	err = r.EachNewestRunFirst(t.Context(), func(Entry) error { return errInjected })
	if !errors.Is(err, errInjected) {
		t.Errorf("fn's error: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.EachNewestRunFirst(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// Wherever the power goes, what was synced before is kept, and the journal can
// be resumed.
func TestJournalTornAnywhere(t *testing.T) {
	path := newJournal(t)
	whole, _ := os.ReadFile(path)
	lines := strings.SplitAfter(string(whole), "\n")
	head := len(lines[0]) + len(lines[1])
	for cut := head; cut < len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := []string{}
		if cut >= head+len(lines[2]) {
			want = append(want, "1")
		}
		r, err := OpenJournal(path)
		if err != nil || r.Ended {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if got := keys(t, r); !slices.Equal(got, want) {
			t.Errorf("cut at %d: got %v, want %v", cut, got, want)
		}
		j, err := FS{}.ResumeJournal(path)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		mustAppend(t, j, entry("next", "", ""))
		must(t, j.Close())
		if r, err = OpenJournal(path); err != nil {
			t.Fatalf("cut at %d, resumed: %v", cut, err)
		}
		if got, want := keys(t, r), append([]string{"next"}, want...); !slices.Equal(got, want) {
			t.Errorf("cut at %d, resumed: got %v, want %v", cut, got, want)
		}
	}
	must(t, os.WriteFile(path, whole[:head-1], 0o600))
	if _, err := OpenJournal(path); fault.HintOf(err) == "" || !strings.Contains(err.Error(), "no complete header") {
		t.Errorf("torn header: got %v", err)
	}
}

func TestJournalBadLines(t *testing.T) {
	head := `{"type":"journal","version":1,"started":"2026-11-22T13:00:00Z"}` + "\n"
	run := `{"type":"run","started":"2026-11-22T13:00:00Z"}` + "\n"
	end := `{"type":"end","ended":"2026-11-22T13:00:00Z"}` + "\n"
	good := `{"type":"change","store":"s","key":"k","before":null,"after":null}` + "\n"
	for _, test := range []struct{ name, content, want string }{
		{"garbage", head + run + "garbage\n" + good, "line 3"},
		{"garbage last", head + run + "garbage\n", "line 3"},
		{"no run", head + good, "line 2"},
		{"no header", run + good, "line 1"},
		{"two headers", head + head + run, "line 2"},
		{"later version", strings.Replace(head, ":1,", ":2,", 1) + run, "version 2"},
		{"after the end", head + run + end + good, "line 4: a line after the end"},
		{"unknown", head + run + `{"type":"future"}` + "\n", `unknown type "future"`},
		{"before absent", head + run + `{"type":"change","store":"s","key":"k","after":null}` + "\n", "lacks"},
		{"after absent", head + run + `{"type":"change","store":"s","key":"k","before":null}` + "\n", "lacks"},
		{"key null", head + run + strings.Replace(good, `"k"`, "null", 1), "lacks"},
		{"short sum", head + run + strings.Replace(good, `"after":null`, `"after":"00ff"`, 1), "no SHA-256"},
		{"bad base64", head + run + strings.Replace(good, `"before":null`, `"before":"*"`, 1), "before"},
		{"stray", head + run + strings.Replace(good, "}", "}}", 1), "line 3"},
		{"empty line", head + run + "\n" + good, "line 3"},
	} {
		path := filepath.Join(t.TempDir(), "x.journal")
		must(t, os.WriteFile(path, []byte(test.content), 0o600))
		_, err := OpenJournal(path)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
		if _, err := (FS{}).ResumeJournal(path); err == nil {
			t.Errorf("%s: resumed", test.name)
		}
		if got, _ := os.ReadFile(path); string(got) != test.content {
			t.Errorf("%s: the file was changed", test.name)
		}
	}
	// The same in another spelling is read all the same, and not passed over.
	path := filepath.Join(t.TempDir(), "x.journal")
	must(t, os.WriteFile(path, []byte(head+run+strings.Replace(good, ":", ": ", 1)+good), 0o600))
	if r, err := OpenJournal(path); err != nil || len(keys(t, r)) != 2 {
		t.Errorf("another spelling: %v", err)
	}
}

func TestJournalRefusals(t *testing.T) {
	path := newJournal(t)
	if _, err := (FS{}).CreateJournal(path, testHeader); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create over: got %v", err)
	}
	j, err := FS{}.ResumeJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(Entry{Key: "\xff"}); err == nil {
		t.Error("a key that JSON cannot hold was taken")
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("close after end: got %v", err)
	}
	if _, err := (FS{}).ResumeJournal(path); fault.KindOf(err) != fault.Refused {
		t.Errorf("resume an ended one: got %v", err)
	}
	if _, err := (FS{}).ResumeJournal(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("resume a missing one: got %v", err)
	}
}
