package migrate

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	"damocles-manager/internal/store"
)

// PlanVersion is the version of the plan document.
const PlanVersion = 1

// PlanHeader says what a plan is for.
type PlanHeader struct {
	Command string `json:"command"`
	Miner   string `json:"miner"`
	Source  string `json:"source"`
	Target  string `json:"target"`
}

// PlanWriter writes a plan as one JSON document, a step a line, as the steps
// come: a plan for a million sectors is never held whole. A nil PlanWriter
// writes nothing.
type PlanWriter struct {
	w     *bufio.Writer
	enc   *json.Encoder
	steps int
}

// planStep is a step as the plan document has it. Values stand as their SHA-256:
// what is written comes from the source, not from the plan.
type planStep struct {
	Sector      string       `json:"sector,omitempty"`
	Action      Action       `json:"action"`
	State       string       `json:"state,omitempty"`
	Reason      string       `json:"reason,omitempty"`
	Differences any          `json:"differences,omitempty"`
	Notes       any          `json:"notes,omitempty"`
	Changes     []planChange `json:"changes,omitempty"`
	Files       []planFile   `json:"files,omitempty"`
}

// planFile is a replica or a cache directory, and where it goes.
type planFile struct {
	Kind string `json:"kind"`
	From string `json:"from"`
	To   string `json:"to"`
}

type planChange struct {
	Store  string  `json:"store"`
	Key    string  `json:"key"`
	Before *string `json:"before"` // null: the key is not there
	After  *string `json:"after"`  // null: the key is deleted
}

// NewPlanWriter starts the document on w.
func NewPlanWriter(w io.Writer, h PlanHeader) (*PlanWriter, error) {
	p := &PlanWriter{w: bufio.NewWriter(w)}
	p.enc = json.NewEncoder(p.w)
	p.enc.SetEscapeHTML(false)
	head, err := json.Marshal(struct {
		Type    string `json:"type"`
		Version int    `json:"version"`
		PlanHeader
	}{"plan", PlanVersion, h})
	if err != nil {
		return nil, err
	}
	_, err = p.w.Write(append(head[:len(head)-1], ",\"steps\":[\n"...))
	return p, err
}

// Step adds what is planned for one sector.
func (p *PlanWriter) Step(s *Step) error {
	if p == nil {
		return nil
	}
	out := planStep{Sector: cmp.Or(s.Key, s.ID.String()), Action: s.Action, State: s.State, Reason: s.Reason, Changes: planChanges(s.Changes)}
	if len(s.Differences) > 0 {
		out.Differences = s.Differences
	}
	if len(s.Notes) > 0 {
		out.Notes = s.Notes
	}
	return p.add(out)
}

// Files adds where the files of one sector go.
func (p *PlanWriter) Files(s SectorFiles, target store.Store) error {
	if p == nil {
		return nil
	}
	step := planStep{Sector: s.ID.String(), Action: WouldWrite}
	for _, o := range s.Objects {
		step.Files = append(step.Files, planFile{o.Kind.String(), o.Store.Path(o.Kind, s.ID), target.Path(o.Kind, s.ID)})
	}
	return p.add(step)
}

// Changes adds the changes that concern no single sector, and says what they are.
func (p *PlanWriter) Changes(what string, cs []Change) error {
	if p == nil || len(cs) == 0 {
		return nil
	}
	return p.add(planStep{Action: Write, Reason: what, Changes: planChanges(cs)})
}

func (p *PlanWriter) add(s planStep) error {
	if p.steps > 0 {
		if err := p.w.WriteByte(','); err != nil {
			return err
		}
	}
	p.steps++
	return p.enc.Encode(s)
}

// End closes the document.
func (p *PlanWriter) End() error {
	if p == nil {
		return nil
	}
	if _, err := p.w.WriteString("]}\n"); err != nil {
		return err
	}
	return p.w.Flush()
}

func planChanges(cs []Change) []planChange {
	var out []planChange
	for _, c := range cs {
		out = append(out, planChange{Store: c.Store, Key: c.Key, Before: hexSum(c.Before), After: hexSum(c.After)})
	}
	return out
}

func hexSum(b []byte) *string {
	if b == nil {
		return nil
	}
	sum := sha256.Sum256(b)
	s := hex.EncodeToString(sum[:])
	return &s
}
