package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/transfer"
)

var aSector = transfer.Sector{ID: sector.ID{Miner: 1000, Number: 160}}

func someEvents() []transfer.Event {
	return []transfer.Event{
		{Type: transfer.SectorStart, Sector: aSector},
		{Type: transfer.FileEvent, Sector: aSector, Action: transfer.ActionCopy, Kind: sector.Sealed, From: "/a/sealed/x", To: "/b/sealed/x", Bytes: 7},
		{Type: transfer.FileEvent, Sector: aSector, Action: transfer.ActionSkip, Kind: sector.Cache, From: "/a/cache/x/p_aux", To: "/b/cache/x/p_aux"},
		{Type: transfer.SectorDone, Sector: aSector, Bytes: 7, Left: []string{"/a/cache/x/y.json"}},
		{Type: transfer.SectorFailed, Sector: aSector, Err: fault.New("do that", "it broke")},
	}
}

func shown(o Options, verb string, events []transfer.Event) string {
	var out bytes.Buffer
	u := New(&out, &bytes.Buffer{}, o)
	t := u.NewTransfer(verb)
	for _, e := range events {
		t.Observe(e)
	}
	_ = u.Flush()
	return out.String()
}

func TestTransferText(t *testing.T) {
	got := shown(Options{}, Copying, someEvents())
	want := `move sector 160 file...
copy file from /a/sealed/x to /b/sealed/x
s-t01000-160: left behind: /a/cache/x/y.json
s-t01000-160: failed: it broke
	hint: do that
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := shown(Options{Quiet: true}, Copying, someEvents()[:3]); got != "" {
		t.Errorf("quiet, it says %q", got)
	}
	checked := []transfer.Event{
		{Type: transfer.SectorStart, Sector: aSector},
		{Type: transfer.FileEvent, Sector: aSector, Action: transfer.ActionBad, To: "/b/x", Err: errors.New("other bytes")},
		{Type: transfer.FileEvent, Sector: aSector, Action: transfer.ActionUnknown, To: "/b/y"},
		{Type: transfer.FileEvent, Sector: aSector, Action: transfer.ActionGood, To: "/b/z"},
	}
	if got := shown(Options{}, Checking, checked); got != "check sector 160 file...\nbad file /b/x: other bytes\nunknown file /b/y: the manifest does not have it\n" {
		t.Errorf("checking, it says %q", got)
	}
}

func TestTransferJSON(t *testing.T) {
	got := shown(Options{JSON: true}, Moving, someEvents())
	want := `{"type":"file","miner":"f01000","number":160,"kind":"sealed","action":"copy","from":"/a/sealed/x","to":"/b/sealed/x","bytes":7}
{"type":"file","miner":"f01000","number":160,"kind":"cache","action":"skip","from":"/a/cache/x/p_aux","to":"/b/cache/x/p_aux","bytes":0}
{"type":"sector","miner":"f01000","number":160,"action":"moved","bytes":7,"left":["/a/cache/x/y.json"]}
{"type":"sector","miner":"f01000","number":160,"action":"failed","bytes":0,"reason":"it broke","hint":"do that"}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// running shows a run that lasts some ticks.
func running(o Options) (out, stderr string) {
	var outBuf, errBuf bytes.Buffer
	u := New(&outBuf, &errBuf, o)
	t := u.NewTransfer(Moving)
	t.every = 5 * time.Millisecond
	_ = t.While(context.Background(), func(context.Context) error {
		time.Sleep(60 * time.Millisecond)
		return nil
	})
	_ = u.Flush()
	return outBuf.String(), errBuf.String()
}

func TestTransferProgress(t *testing.T) {
	if out, stderr := running(Options{}); out != "" || !strings.Contains(stderr, "moving 0 of 0 sectors") || strings.Contains(stderr, "\x1b") {
		t.Errorf("to a file it says %q and %q", out, stderr)
	}
	if out, stderr := running(Options{Quiet: true}); out+stderr != "" {
		t.Errorf("quiet, it says %q", out+stderr)
	}
	out, stderr := running(Options{JSON: true})
	var line map[string]any
	first, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(first), &line); err != nil || stderr != "" {
		t.Fatalf("with --json it says %q and %q: %v", out, stderr, err)
	}
	for _, name := range []string{"type", "sectors", "sectorsTotal", "bytes", "bytesTotal", "seconds"} {
		if _, ok := line[name]; !ok || line["type"] != "progress" {
			t.Errorf("the line lacks %s: %s", name, first)
		}
	}
}

func TestTransferLines(t *testing.T) {
	var stderr bytes.Buffer
	u := New(&bytes.Buffer{}, &stderr, Options{Terminal: true})
	tr := u.NewTransfer(Copying)
	tr.start = time.Now().Add(-10 * time.Second)
	s := transfer.Snapshot{Sectors: 3, SectorsTotal: 12, Bytes: 96 << 30, BytesTotal: 384 << 30, Running: []transfer.Running{
		{ID: aSector.ID, Bytes: 8 << 30, Total: 32 << 30}, {ID: aSector.ID},
	}}
	for range 13 {
		s.Running = append(s.Running, transfer.Running{ID: aSector.ID, Total: 1})
	}
	tr.draw(s)
	tr.ui.setStatus("")
	got := stderr.String()
	for _, want := range []string{
		"copying 3 of 12 sectors, 96.0 GiB of 384.0 GiB, 9.6 GiB/s, 30s left\n",
		"s-t01000-160            25%  8.0 GiB of 32.0 GiB\n", "and 3 more",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("does not say %q:\n%q", want, got)
		}
	}
	for line := range strings.Lines(strings.TrimRight(got[:strings.Index(got, "\r")], "\n")) {
		if len(line) > 80 {
			t.Errorf("a line of %d: %q", len(line), line)
		}
	}
	// What was drawn is taken away line by line.
	if n := strings.Count(got, "\x1b[1A"); n != 13 {
		t.Errorf("%d lines up, want 13: %q", n, got)
	}
	if got := tr.line(transfer.Snapshot{Sectors: 2, SectorsTotal: 4}, 8*time.Second); got != "copying 2 of 4 sectors, 8s left" {
		t.Errorf("renames: %q", got)
	}
}

func TestFilesSummary(t *testing.T) {
	s := NewFilesSummary(&migrate.Report{Failed: 1, Unfinished: 2, Skipped: map[string]int{"Removed": 3}, Missing: 4},
		&transfer.Report{Done: 5, There: 6, Failed: 7, Renamed: 5, Files: 8, Bytes: 2048})
	s.Moved = 5
	var out bytes.Buffer
	u := New(&out, &bytes.Buffer{}, Options{})
	u.FilesSummary(s)
	_ = u.Flush()
	want := "files: 5 sectors moved, 5 of them by renaming, 6 there already, 8 failed, 2 unfinished, 3 skipped (Removed 3), 4 missing; 8 files, 2.0 KiB copied\n" +
		"export failure number: 8, total: 19\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// A rename copies nothing, which is not to look as if the files were empty.
func TestFilesSummaryVolume(t *testing.T) {
	for want, s := range map[string]FilesSummary{
		"; 12 files, nothing copied":  {Moved: 2, Renamed: 2, Files: 12},
		"; 12 files, nothing to copy": {Moved: 2, Renamed: 2, Files: 12, DryRun: true},
		"; 12 files, 2.0 KiB to copy": {Moved: 3, Renamed: 2, Files: 12, Bytes: 2048, DryRun: true},
		"; 12 files, 2.0 KiB":         {Copied: 3, Files: 12, Bytes: 2048},
		"; 0 files, 0 B":              {Unchanged: 3},
	} {
		if got := s.counts(); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 30: "1.0 GiB", 1<<40 - 1: "1.0 TiB", 3 << 50: "3.0 PiB", 1<<63 - 1: "8.0 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
