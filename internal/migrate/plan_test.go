package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"damocles-manager/internal/sector"
)

func newPlan(t *testing.T, out *bytes.Buffer) *PlanWriter {
	t.Helper()
	p, err := NewPlanWriter(out, PlanHeader{Command: "import", Miner: "f01000", Source: "<a> & \"b\"", Target: "/h"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The plan is one JSON document, however many steps it has.
func TestPlanIsJSON(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		var out bytes.Buffer
		p := newPlan(t, &out)
		for i := range n {
			s := &Step{ID: sector.ID{Miner: 1000, Number: sectorNumber(uint64(i))}, Action: Write, State: "Proving"}
			s.Changes = []Change{{Store: "offline_meta", Key: fmt.Sprint("k", i), After: []byte("x")}}
			if err := p.Step(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
			t.Fatalf("%d steps: %v\n%.300s", n, err, out.String())
		}
		steps, ok := doc["steps"].([]any)
		if !ok || len(steps) != n {
			t.Errorf("%d steps: the plan has %d", n, len(steps))
		}
		if doc["type"] != "plan" || doc["version"] != 1.0 || doc["command"] != "import" || doc["miner"] != "f01000" ||
			doc["source"] != `<a> & "b"` || doc["target"] != "/h" {
			t.Errorf("the header is %v", doc)
		}
		if lines := strings.Count(out.String(), "\n"); lines != n+2 {
			t.Errorf("%d steps on %d lines", n, lines)
		}
	}
}

func TestPlanSteps(t *testing.T) {
	id := sector.ID{Miner: 1000, Number: 5}
	const sumOfX = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	tests := []struct {
		add  func(*PlanWriter) error
		want string
	}{
		{func(p *PlanWriter) error {
			return p.Step(&Step{ID: id, Action: Write, State: "Proving", Changes: []Change{{Store: "s", Key: "k", Before: []byte("x"), After: []byte("x")}}})
		}, `{"sector":"s-t01000-5","action":"written","state":"Proving","changes":[{"store":"s","key":"k","before":"` + sumOfX + `","after":"` + sumOfX + `"}]}`},
		{func(p *PlanWriter) error {
			return p.Step(&Step{ID: id, Action: Write, Changes: []Change{{Store: "s", Key: "k", After: []byte{}}, {Store: "s", Key: "l", Before: []byte("x")}}})
		}, `{"sector":"s-t01000-5","action":"written","changes":[` +
			`{"store":"s","key":"k","before":null,"after":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},` +
			`{"store":"s","key":"l","before":"` + sumOfX + `","after":null}]}`},
		{func(p *PlanWriter) error {
			return p.Step(&Step{ID: id, Action: Conflict, Reason: "a & b", Differences: []sector.Difference{{Field: "F", Have: "1", Want: "2"}}})
		}, `{"sector":"s-t01000-5","action":"conflict","reason":"a & b","differences":[{"field":"F","have":"1","want":"2"}]}`},
		{func(p *PlanWriter) error {
			return p.Step(&Step{ID: id, Action: Unchanged, Notes: []sector.Note{{Code: "c", Text: "t"}}})
		}, `{"sector":"s-t01000-5","action":"unchanged","notes":[{"code":"c","text":"t"}]}`},
		{func(p *PlanWriter) error { return p.Step(&Step{Key: "/sectors/abc", Action: Failed, Reason: "r"}) },
			`{"sector":"/sectors/abc","action":"failed","reason":"r"}`},
		{func(p *PlanWriter) error { return p.Changes("sector numbers", []Change{{Store: "m", Key: "n"}}) },
			`{"action":"written","reason":"sector numbers","changes":[{"store":"m","key":"n","before":null,"after":null}]}`},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		p := newPlan(t, &out)
		if err := errors.Join(tt.add(p), p.End()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(out.String(), "\n")[1]; got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	var out bytes.Buffer
	p := newPlan(t, &out)
	if err := errors.Join(p.Changes("sector numbers", nil), p.End()); err != nil || strings.Contains(out.String(), "action") {
		t.Errorf("no changes are a step: %v\n%s", err, out.String())
	}
}

func TestNoPlan(t *testing.T) {
	var p *PlanWriter
	if err := errors.Join(p.Step(&Step{}), p.Changes("x", []Change{{}}), p.End()); err != nil {
		t.Error(err)
	}
}

type fullDisk struct{ left int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.left -= len(p); d.left < 0 {
		return 0, errWanted
	}
	return len(p), nil
}

// A plan that cannot be written is an error, at the latest at its end.
func TestPlanOnAFullDisk(t *testing.T) {
	for left := range 10 {
		p, err := NewPlanWriter(&fullDisk{left: left * 2000}, PlanHeader{})
		for i := 0; i < 200 && err == nil; i++ {
			err = p.Step(&Step{ID: sector.ID{Number: sectorNumber(uint64(i))}, Reason: strings.Repeat("x", 100)})
		}
		if err == nil {
			err = p.End()
		}
		if !errors.Is(err, errWanted) {
			t.Errorf("%d bytes: got %v", left*2000, err)
		}
	}
}
