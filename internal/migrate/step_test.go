package migrate

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

func TestStepEvent(t *testing.T) {
	s := &Step{
		ID: numberID(7), Action: Conflict, State: "Proving", Upgraded: true, Reason: "r", Hint: "h",
		Differences: []sector.Difference{{Field: "F", Have: "1", Want: "2"}}, Notes: []sector.Note{{Code: "c", Text: "t"}},
		Changes: []Change{{Store: "secret"}},
	}
	const want = `{"type":"sector","miner":"f01000","number":7,"action":"conflict","state":"Proving","upgraded":true,"reason":"r","hint":"h",` +
		`"differences":[{"field":"F","have":"1","want":"2"}],"notes":[{"code":"c","text":"t"}]}`
	got, err := json.Marshal(s.event())
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	got, err = json.Marshal((&Step{ID: sector.ID{Miner: 1}, Action: Unchanged}).event())
	if want := `{"type":"sector","miner":"f01","number":0,"action":"unchanged"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	for _, tt := range []struct {
		step *Step
		want string
	}{{s, "s-t01000-7"}, {&Step{Key: "/sectors/abc"}, "/sectors/abc"}} {
		if got := tt.step.event().ID(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestStepSetters(t *testing.T) {
	diff := []sector.Difference{{Field: "F"}}
	for _, tt := range []struct {
		set  func(*Step)
		want Step
	}{
		{func(s *Step) { s.fail("r", "h") }, Step{Action: Failed, Reason: "r", Hint: "h"}},
		{func(s *Step) { s.failErr(fault.New("h", "r %d", 1)) }, Step{Action: Failed, Reason: "r 1", Hint: "h"}},
		{func(s *Step) { s.skip("r") }, Step{Action: Skipped, Reason: "r"}},
		{func(s *Step) { s.skipAs("S", "r") }, Step{Action: Skipped, State: "S", Reason: "r"}},
		{func(s *Step) { s.unfinished("r", "h") }, Step{Action: Unfinished, Reason: "r", Hint: "h"}},
		{func(s *Step) { s.conflict("r", "h", diff) }, Step{Action: Conflict, Reason: "r", Hint: "h", Differences: diff}},
		{func(s *Step) { s.write(Change{Key: "k"}, nil) }, Step{Action: Write, Changes: []Change{{Key: "k"}}}},
		{func(s *Step) { s.note("c", "t") }, Step{Notes: []sector.Note{{Code: "c", Text: "t"}}}},
	} {
		var got Step
		tt.set(&got)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("got %+v, want %+v", got, tt.want)
		}
	}
}

func TestReportCounts(t *testing.T) {
	noted := []sector.Note{{Code: "a"}, {Code: "b"}, {Code: "a"}}
	for _, tt := range []struct {
		step  Step
		want  Report
		clean bool
	}{
		{Step{Action: Write}, Report{Written: 1}, true},
		{Step{Action: Write, Upgraded: true, Notes: noted}, Report{Written: 1, Upgraded: 1, Notes: map[string]int{"a": 2, "b": 1}}, true},
		{Step{Action: WouldWrite, Upgraded: true}, Report{Written: 1, Upgraded: 1}, true},
		{Step{Action: Unchanged, Upgraded: true}, Report{Unchanged: 1}, true},
		{Step{Action: Skipped, State: "Removed"}, Report{Skipped: map[string]int{"Removed": 1}}, true},
		{Step{Action: Conflict}, Report{Conflicts: 1}, false},
		{Step{Action: Unfinished}, Report{Unfinished: 1}, false},
		{Step{Action: Failed}, Report{Failed: 1}, false},
		{Step{Action: Missing}, Report{Missing: 1}, false},
	} {
		var got Report
		got.add(&tt.step)
		if !reflect.DeepEqual(got, tt.want) || got.Clean() != tt.clean {
			t.Errorf("%s: got %+v, clean %t", tt.step.Action, got, got.Clean())
		}
		if want := len(tt.want.Skipped); got.SkippedTotal() != want {
			t.Errorf("%s: %d skipped, want %d", tt.step.Action, got.SkippedTotal(), want)
		}
	}
}

// The names of the summary's fields are a contract with scripts.
func TestReportJSON(t *testing.T) {
	n, was := uint64(9), uint64(0)
	r := &Report{
		Written: 1, Unchanged: 2, Conflicts: 3, Unfinished: 4, Failed: 5, Missing: 6, Upgraded: 7, DryRun: true,
		Skipped: map[string]int{"Removed": 1}, Notes: map[string]int{"c": 2}, Backup: "b", Journal: "j",
		Numbers: NumberReport{Last: &n, Was: &was, Written: true, GapsClosed: 8, ConfigLines: "x"},
	}
	const want = `{"type":"summary","written":1,"unchanged":2,"conflicts":3,"unfinished":4,"failed":5,"missing":6,"skipped":{"Removed":1},` +
		`"notes":{"c":2},"upgraded":7,"dryRun":true,"numbers":{"last":9,"was":0,"written":true,"gapsClosed":8,"configLines":"x"},"backup":"b","journal":"j"}`
	if got, err := json.Marshal(r); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	const empty = `{"type":"summary","written":0,"unchanged":0,"conflicts":0,"unfinished":0,"failed":0,"missing":0,"upgraded":0,"dryRun":false,` +
		`"numbers":{"last":null,"was":null,"written":false,"gapsClosed":0}}`
	if got, err := json.Marshal(&Report{}); err != nil || string(got) != empty {
		t.Errorf("got  %s, %v\nwant %s", got, err, empty)
	}
}

func TestMissingStep(t *testing.T) {
	for text, number := range map[string]uint64{"5": 5, "40-41": 40, "0-9223372036854775807": 0} {
		s := missingStep(miner, text)
		if s.ID != numberID(number) || s.Action != Missing || s.Reason != fmt.Sprintf("number %s is not there", text) || s.Hint == "" {
			t.Errorf("%s: got %+v", text, s)
		}
	}
}
