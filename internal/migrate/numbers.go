package migrate

import (
	"context"
	"fmt"
	"strconv"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
)

// NumberReport says what became of the sector numbers.
type NumberReport struct {
	// Last is the highest number in use that any side knows; the next sector gets
	// a higher one. Nil where there is none at all.
	Last *uint64 `json:"last"`
	// Was is what the target would have counted on from before; nil for nothing.
	Was *uint64 `json:"was"`
	// Written says that the target was set to Last; where it was there already, or
	// cannot be set from here, it is false.
	Written bool `json:"written"`
	// GapsClosed is how many free numbers below Last a lotus-miner will now leave out.
	GapsClosed uint64 `json:"gapsClosed"`
	// ConfigLines are to be added to damocles's configuration by hand, because a
	// running damocles-manager's counter cannot be set.
	ConfigLines string `json:"configLines,omitempty"`
}

// highest gathers the highest number over several that know some.
type highest struct {
	n     uint64
	known bool
}

func (h *highest) add(n uint64) {
	h.n, h.known = max(h.n, n), true
}

func (h *highest) ptr() *uint64 {
	if !h.known {
		return nil
	}
	n := h.n
	return &n
}

// highestOf asks everybody who knows numbers of the miner.
func highestOf(ctx context.Context, miner abi.ActorID, who ...Numbered) (highest, error) {
	var h highest
	for _, w := range who {
		if w == nil {
			continue
		}
		n, known, err := w.HighestNumber(ctx, miner)
		if err != nil {
			return h, fmt.Errorf("find the highest sector number: %w", err)
		}
		if n > abi.MaxSectorNumber { // to count on above it would begin at 0 again
			return h, fault.Refuse("see which of the two sides, or the chain node, tells it", "the sector number %d is in use as it seems, and above any sector's", n)
		}
		if known {
			h.add(n)
		}
	}
	return h, nil
}

// chainNumbers makes a chain node one of those that know numbers.
type chainNumbers struct{ Chain }

func (c chainNumbers) HighestNumber(ctx context.Context, miner abi.ActorID) (uint64, bool, error) {
	return c.HighestAllocated(ctx, miner)
}

func missingStep(miner abi.ActorID, numbers string) *Step {
	first, err := sector.ParseNumber(cutAt(numbers, '-'))
	if err != nil {
		first = 0 // Missing writes only numbers
	}
	return &Step{
		ID: sector.ID{Miner: miner, Number: first}, Action: Missing,
		Reason: "number " + numbers + " is not there",
		Hint:   "check --numbers; without it all sectors are taken",
	}
}

func cutAt(s string, sep byte) string {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i]
		}
	}
	return s
}

func sectorNumber(n uint64) abi.SectorNumber { return abi.SectorNumber(n) }

// minNumberLines is what to add to sector-manager.cfg where the counter itself
// is out of reach.
func minNumberLines(miner abi.ActorID, last uint64) string {
	return "[[Miners]]\nActor = " + strconv.FormatUint(uint64(miner), 10) +
		"\n[Miners.Sector]\nMinNumber = " + strconv.FormatUint(last, 10) + "\n"
}

// numberPlan makes the changes that let lotus-miner count on above every number
// in use: what the repo knows, what the others know, and what the user asked for.
type numberPlan struct {
	repo lotus.Numbers
	// floor is the highest that the other side and the chain know, others are the
	// other side's sectors.
	floor  highest
	others bitfield.BitField
	// next is what the user asked for, nil for nothing. Only with lower may the
	// result be below the repo's own counter, and never below a sector or floor.
	next  *uint64
	lower bool
}

func (p *numberPlan) changes(ctx context.Context, target ExportTarget, report *NumberReport) ([]Change, error) {
	if p.repo.HighestSector != nil {
		p.floor.add(*p.repo.HighestSector)
	}
	last := p.floor
	if p.next != nil {
		last.add(*p.next)
	}
	if was, known := p.repo.Highest(); known {
		report.Was = &was
		if !p.lower {
			last.add(was)
		}
	}
	if !last.known {
		return nil, nil
	}
	report.Last = last.ptr()
	var puts []lotus.KV
	var err error
	if p.lower {
		puts, report.GapsClosed, err = lotus.PlanLower(p.repo, last.n, p.floor.n, p.others)
	} else {
		puts, report.GapsClosed, err = lotus.PlanRaise(p.repo, last.n, p.others)
	}
	if err != nil {
		return nil, fmt.Errorf("plan the sector numbers: %w", err)
	}
	report.Written = len(puts) > 0
	var out []Change
	for _, kv := range puts {
		before, err := target.Value(ctx, metadataStore, kv.Key)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
		out = append(out, Change{Store: metadataStore, Key: kv.Key, Before: before, After: kv.Value})
	}
	return out, nil
}

// SetNumberOptions say how SetNumber goes about it.
type SetNumberOptions struct {
	Next   uint64
	Lower  bool
	DryRun bool
	Plan   *PlanWriter
}

// SetNumber makes a lotus-miner repo count on above a number, and above all
// that it and the chain know to be in use. It touches nothing else.
func SetNumber(ctx context.Context, target ExportTarget, miner abi.ActorID, chain Chain, o SetNumberOptions) (*Report, error) {
	report := &Report{DryRun: o.DryRun}
	var who []Numbered
	if chain != nil {
		who = append(who, chainNumbers{chain})
	}
	floor, err := highestOf(ctx, miner, who...)
	if err != nil {
		return report, err
	}
	repo, err := target.Numbers(ctx)
	if err != nil {
		return report, fmt.Errorf("read the repo's sector numbers: %w", err)
	}
	p := numberPlan{repo: repo, floor: floor, others: bitfield.New(), next: &o.Next, lower: o.Lower}
	changes, err := p.changes(ctx, target, &report.Numbers)
	if err != nil {
		return report, err
	}
	if err := o.Plan.Changes("sector numbers", changes); err != nil || o.DryRun || len(changes) == 0 {
		return report, err
	}
	undo, err := target.Finish(ctx, changes)
	report.Backup, report.Journal = undo.Backup, undo.Journal
	if err != nil {
		return report, joinAbandon(err, target)
	}
	return report, nil
}
