package migrate

import (
	"encoding/json"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// StoreAction is what a run does with a store, or did.
type StoreAction string

const (
	// StoreEntered is a store that was entered at the target, or whose entry was
	// completed; in a report of a dry run it says would-enter.
	StoreEntered StoreAction = "entered"
	// StoreWouldEnter is StoreEntered in a dry run.
	StoreWouldEnter StoreAction = "would-enter"
	// StoreUnchanged is a store that the target has.
	StoreUnchanged StoreAction = "unchanged"
	// StorePrinted is a store whose section was printed, to be entered by hand.
	StorePrinted StoreAction = "printed"
	// StoreSkipped is a store that the target has no use for.
	StoreSkipped StoreAction = "skipped"
	// StoreRefused is a store that cannot be entered as it is.
	StoreRefused StoreAction = "refused"
)

// StoreEvent is what a run says of a store: a line of --json output, and the
// source of the text.
type StoreEvent struct {
	Type string `json:"type"` // always "store"
	// Name is damocles's; empty for a path that only lotus-miner has.
	Name string `json:"name"`
	Path string `json:"path"`
	// ID is lotus-miner's.
	ID     string      `json:"id,omitempty"`
	Action StoreAction `json:"action"`
	Reason string      `json:"reason,omitempty"`
	// Sectors counts the sectors of the miner that the store has files of.
	Sectors int `json:"sectors"`
	// Section is what the configuration of damocles gets.
	Section  string         `json:"section,omitempty"`
	Notes    []sector.Note  `json:"notes,omitempty"`
	Problems []StoreProblem `json:"problems,omitempty"`
}

// StoreProblem is a reason why a store is refused, and the next step.
type StoreProblem struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func (e *StoreEvent) problem(err error) {
	e.Problems = append(e.Problems, StoreProblem{err.Error(), fault.HintOf(err)})
}

func (e *StoreEvent) note(code, text string) {
	e.Notes = append(e.Notes, sector.Note{Code: code, Text: text})
}

// StoreReport counts what a run did with stores.
type StoreReport struct {
	Entered   int  `json:"entered"`
	Unchanged int  `json:"unchanged"`
	Skipped   int  `json:"skipped"`
	Refused   int  `json:"refused"`
	DryRun    bool `json:"dryRun"`
	// NoStorage says that the repo had no storage.json.
	NoStorage bool `json:"-"`
	// Journal undoes the run; it holds every file as it was. Empty where nothing
	// was written.
	Journal string `json:"journal,omitempty"`
}

// MarshalJSON gives the summary line of --json output its type.
func (r *StoreReport) MarshalJSON() ([]byte, error) {
	type plain StoreReport
	return json.Marshal(struct {
		Type string `json:"type"`
		*plain
	}{"summary", (*plain)(r)})
}

func (r *StoreReport) add(action StoreAction) {
	switch action {
	case StoreEntered, StoreWouldEnter, StorePrinted:
		r.Entered++
	case StoreUnchanged:
		r.Unchanged++
	case StoreSkipped:
		r.Skipped++
	case StoreRefused:
		r.Refused++
	}
}
