package daemon_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/daemon"
)

func (w *world) census() string {
	w.t.Helper()
	for range 1000 {
		if counts, ok := w.d.Census(w.t.Context()); ok {
			return words(counts)
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatal("the sectors are not counted")
	return ""
}

func words(counts []daemon.Count) string {
	var out []string
	for _, c := range counts {
		if c.Sectors != 0 {
			out = append(out, fmt.Sprintf("%s %s %d", c.Workspace, c.State, c.Sectors))
		}
	}
	return strings.Join(out, ", ")
}

// The census is what a new count would say, whatever was written since the first.
func TestCensus(t *testing.T) {
	o := worldOptions{chain: goneChain(t, 103)}
	w := newWorld(t, o)
	if got, want := w.census(), "online sealing 2, offline failed 1, offline finished 18, offline lost 1, offline removed 1, offline terminated 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.is("void", "FinalizeSector", sid(117))
	w.is("void", "RemoveSector", sid(103))
	w.is("null", "RestoreSector", sid(114), false)
	w.is("true", "ImportSector", "offline", json.RawMessage(byTheOriginal), false)
	w.is("true", "ImportSector", "offline", json.RawMessage(byTheOriginal), true)
	w.change(100, `"NeedRebuild":false`, `"NeedRebuild":true`)
	got := w.census()
	if want := "online sealing 2, offline finished 18, offline lost 2, offline removed 2, offline terminated 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.close()
	w.open(o)
	if again := w.census(); again != got {
		t.Errorf("kept    %s\ncounted %s", got, again)
	}
}

// Writes during the first count are neither missed nor counted twice.
func TestCensusDuringWrites(t *testing.T) {
	for range 5 {
		w := newWorld(t, worldOptions{})
		for n := range 40 {
			raw := strings.Replace(byTheOriginal, `"Number":5`, fmt.Sprintf(`"Number":%d`, 2000+n), 1)
			w.is("true", "ImportSector", "offline", json.RawMessage(raw), false)
		}
		if got := w.census(); !strings.Contains(got, "offline finished 58,") {
			t.Errorf("got %s", got)
		}
		w.close()
	}
}
