package migrate

import (
	"encoding/json"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// Action is what a run does with a sector, or did.
type Action string

const (
	// Write carries the sector over; in a report of a dry run it says would-write.
	Write Action = "written"
	// WouldWrite is Write in a dry run.
	WouldWrite Action = "would-write"
	// Unchanged is a sector that the target already has, equal.
	Unchanged Action = "unchanged"
	// Conflict is a sector that the target has, different, and that was left alone.
	Conflict Action = "conflict"
	// Unfinished is a sector still being worked on, or whose fate only the chain knows.
	Unfinished Action = "unfinished"
	// Skipped is a sector that needs no carrying: removed, terminated, never on chain.
	Skipped Action = "skipped"
	// Failed is a sector that could not be carried; the others are not held up.
	Failed Action = "failed"
	// Noted is a sector that comes along, and about which there is something to say.
	Noted Action = "noted"
	// Missing is a number that was asked for and is not there.
	Missing Action = "missing"
)

// Change is one key of the target's database: what it is set to, and what it
// was before. A nil Before says that the key is not there, a nil After deletes it.
type Change struct {
	Store  string
	Key    string
	Before []byte
	After  []byte
}

// Step is what a plan says of one sector. Carrying out a step twice does no harm.
type Step struct {
	ID       sector.ID
	Key      string // of a record that names no sector; ID is zero then
	Action   Action
	State    string // the source's own word
	Upgraded bool
	// Proven is a sector that is finished: its files are needed from now on.
	Proven bool
	// Reason says why a sector is not written; Hint what to do about it.
	Reason      string
	Hint        string
	Differences []sector.Difference
	Notes       []sector.Note
	Changes     []Change
	// Origin is kept before the step is carried out.
	Origin *Origin
}

// Event is a step as it is reported: a line of --json output, and the source
// of the text.
type Event struct {
	Type        string              `json:"type"` // always "sector"
	Miner       string              `json:"miner"`
	Number      uint64              `json:"number"`
	Key         string              `json:"key,omitempty"` // of a record that names no sector: miner and number mean nothing
	Action      Action              `json:"action"`
	State       string              `json:"state,omitempty"`
	Upgraded    bool                `json:"upgraded,omitempty"`
	Proven      bool                `json:"-"`
	Reason      string              `json:"reason,omitempty"`
	Hint        string              `json:"hint,omitempty"`
	Differences []sector.Difference `json:"differences,omitempty"`
	Notes       []sector.Note       `json:"notes,omitempty"`
}

func (s *Step) event() Event {
	return Event{
		Type: "sector", Miner: sector.MinerString(s.ID.Miner), Number: uint64(s.ID.Number), Key: s.Key,
		Action: s.Action, State: s.State, Upgraded: s.Upgraded, Proven: s.Proven,
		Reason: s.Reason, Hint: s.Hint, Differences: s.Differences, Notes: s.Notes,
	}
}

// ID names the sector of the event, as s-t01000-16.
func (e Event) ID() string {
	if e.Key != "" {
		return e.Key
	}
	miner, err := sector.ParseMiner(e.Miner)
	if err != nil {
		return e.Miner
	}
	return sector.ID{Miner: miner, Number: sectorNumber(e.Number)}.String()
}

// Report counts what a run did.
type Report struct {
	Written    int `json:"written"`
	Unchanged  int `json:"unchanged"`
	Conflicts  int `json:"conflicts"`
	Unfinished int `json:"unfinished"`
	Failed     int `json:"failed"`
	Missing    int `json:"missing"`
	// Skipped counts by the source's own word for the state, as Removed.
	Skipped map[string]int `json:"skipped,omitempty"`
	// Notes counts by code.
	Notes map[string]int `json:"notes,omitempty"`
	// Upgraded counts the written ones that are upgraded.
	Upgraded int  `json:"upgraded"`
	DryRun   bool `json:"dryRun"`

	Numbers NumberReport `json:"numbers"`
	// Backup and Journal are the files that undo the run; empty where nothing was written.
	Backup  string `json:"backup,omitempty"`
	Journal string `json:"journal,omitempty"`
}

// Clean says that no sector was left behind that should have come along.
func (r *Report) Clean() bool {
	return r.Conflicts == 0 && r.Unfinished == 0 && r.Failed == 0 && r.Missing == 0
}

// AllThere says that the target had every sector that should come along.
func (r *Report) AllThere() bool {
	return r.Written == 0 && r.Unchanged > 0 && r.Conflicts == 0 && r.Failed == 0 && r.Missing == 0
}

// Empty says that there was no sector at all.
func (r *Report) Empty() bool {
	return r.Written+r.Unchanged+r.Unfinished+r.SkippedTotal() == 0 && r.Clean()
}

// SkippedTotal is how many were skipped for any reason.
func (r *Report) SkippedTotal() int {
	total := 0
	for _, n := range r.Skipped {
		total += n
	}
	return total
}

func (r *Report) add(s *Step) {
	for _, n := range s.Notes {
		if r.Notes == nil {
			r.Notes = map[string]int{}
		}
		r.Notes[n.Code]++
	}
	switch s.Action {
	case Write, WouldWrite:
		r.Written++
		if s.Upgraded {
			r.Upgraded++
		}
	case Unchanged:
		r.Unchanged++
	case Conflict:
		r.Conflicts++
	case Unfinished:
		r.Unfinished++
	case Skipped:
		if r.Skipped == nil {
			r.Skipped = map[string]int{}
		}
		r.Skipped[s.State]++
	case Failed:
		r.Failed++
	case Missing:
		r.Missing++
	}
}

// MarshalJSON gives the summary line of --json output its type.
func (r *Report) MarshalJSON() ([]byte, error) {
	type plain Report
	return json.Marshal(struct {
		Type string `json:"type"`
		*plain
	}{"summary", (*plain)(r)})
}

func (s *Step) fail(reason, hint string) *Step {
	s.Action, s.Reason, s.Hint = Failed, reason, hint
	return s
}

func (s *Step) failErr(err error) { s.fail(err.Error(), fault.HintOf(err)) }

func (s *Step) skip(reason string) { s.Action, s.Reason = Skipped, reason }

func (s *Step) unfinished(reason, hint string) {
	s.Action, s.Reason, s.Hint = Unfinished, reason, hint
}

func (s *Step) conflict(reason, hint string, diff []sector.Difference) {
	s.Action, s.Reason, s.Hint, s.Differences = Conflict, reason, hint, diff
}

func (s *Step) write(c Change, origin *Origin) {
	s.Action, s.Changes, s.Origin = Write, []Change{c}, origin
}
