package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/quarantine"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// purgeSum is the summary of a purge.
type purgeSum struct {
	Type    string `json:"type"`
	DryRun  bool   `json:"dryRun"`
	Purged  int    `json:"purged"`
	Bytes   int64  `json:"bytes"`
	Kept    int    `json:"kept"`
	Younger int    `json:"younger"`
	Failed  int    `json:"failed"`
	Missing int    `json:"missing"`
}

// purger is a purge on its way.
type purger struct {
	*app
	options purgeOptions
	miner   *abi.ActorID // nil: of every miner
	numbers sector.Numbers
	chain   migrate.Chain // nil where the user said by name to go without
	side    *damoclesSide // nil likewise
	q       *quarantine.Quarantine
	before  time.Time
	asked   map[abi.ActorID]bool // miners that the chain knows
	seen    []abi.SectorNumber
	sum     purgeSum
}

func runPurge(ctx context.Context, a *app, o purgeOptions) (err error) {
	p := &purger{app: a, options: o, asked: map[abi.ActorID]bool{}, sum: purgeSum{Type: "summary", DryRun: o.dryRun}}
	if p.miner, p.numbers, err = o.selection(); err != nil {
		return err
	}
	p.before = time.Now().Add(-o.olderThan)
	o.without = o.withoutChain
	node, err := a.dialChain(ctx, o.chainFlags, 1)
	if err != nil {
		return err
	}
	if node != nil {
		if err := inSync(ctx, node); err != nil {
			return err
		}
		p.chain = migrate.NewChainNode(node)
	} else if !o.withoutChain {
		return fault.Refuse("give a chain node with --chain, or say with --without-chain that you know it",
			"whether the sectors are still on chain is not known")
	}
	side := &damoclesSide{}
	if !o.withoutDamocles || len(o.stores) == 0 {
		if side, err = a.damoclesSide(ctx, access{}); err != nil {
			return err
		}
	}
	defer closing(&err, side)
	if !o.withoutDamocles {
		p.side = side
	}
	stores, err := o.find(ctx, a, side)
	if err != nil {
		return err
	}
	return p.run(ctx, stores)
}

func (p *purger) run(ctx context.Context, stores []store.Store) error {
	p.q = quarantine.New(p.fs, stores, nil, p.log)
	err := quarantine.List(ctx, stores, func(e quarantine.Entry) error { return p.entry(ctx, e) })
	if err == nil {
		err = p.missing()
	}
	if err == nil {
		return p.end()
	}
	if p.sum.Purged > 0 && !p.sum.DryRun {
		p.ui.Notice(fmt.Sprintf("stopped after %d entries", p.sum.Purged))
		if fault.KindOf(err) == fault.Refused { // a refusal promises that nothing was changed
			err = fault.New(fault.HintOf(err), "%s", err.Error())
		}
	}
	return p.interrupted(nil, err)
}

func (p *purger) selects(id sector.ID) bool {
	if p.miner == nil {
		return true
	}
	if id.Miner != *p.miner || !p.numbers.Has(id.Number) {
		return false
	}
	p.seen = append(p.seen, id.Number)
	return true
}

// entry decides over one entry, and deletes it where that is right.
func (p *purger) entry(ctx context.Context, e quarantine.Entry) error {
	line := lineOf(&e)
	if e.Sector == (sector.ID{}) { // what it is, or what the store holds, is not known
		if e.Name != "" && p.miner != nil {
			return nil
		}
		return p.failed(line, e.Err)
	}
	if !p.selects(e.Sector) {
		return nil
	}
	if p.options.olderThan > 0 && e.Time.After(p.before) && e.Err == nil {
		p.sum.Younger++
		return nil
	}
	if e.Err != nil {
		return p.failed(line, e.Err)
	}
	if err := e.CanPurge(); err != nil {
		return p.kept(line, err)
	}
	if !e.Empty {
		why, err := p.needed(ctx, e.Sector)
		if err != nil {
			return err
		}
		if why != nil {
			return p.kept(line, why)
		}
	}
	return p.purge(ctx, e, line)
}

func (p *purger) purge(ctx context.Context, e quarantine.Entry, line entryLine) error {
	line.Action = entryWouldPurge
	if !p.options.dryRun {
		freed, left, err := p.q.Purge(ctx, e)
		line.Bytes, line.Left, line.Action = freed, left, entryPurged
		p.sum.Bytes += freed
		switch {
		case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return err
		case err != nil:
			return p.failed(line, fault.New(cmp.Or(fault.HintOf(err), "look at the reason and run this again: it goes on where it stopped"), "%w", err))
		case len(left) > 0:
			return p.failed(line, fault.New("look at it and remove it by hand", "something is in it that was not put there, or has changed"))
		}
	} else {
		p.sum.Bytes += line.Bytes
	}
	p.sum.Purged++
	return p.showEntry(line)
}

func (p *purger) failed(line entryLine, err error) error {
	p.sum.Failed++
	return p.showEntry(line.because(entryFailed, err))
}

func (p *purger) kept(line entryLine, why error) error {
	p.sum.Kept++
	return p.showEntry(line.because(entryKept, why))
}

// needed says why a sector may still be needed, nil where it is not. What cannot
// be asked at all ends the run.
func (p *purger) needed(ctx context.Context, id sector.ID) (why, err error) {
	if p.side != nil {
		if why, err := p.side.notRemoved(ctx, id); why != nil || err != nil {
			return why, err
		}
	}
	if p.chain == nil {
		return nil, nil
	}
	if !p.asked[id.Miner] { // a node of another network has none of our sectors
		if _, _, err := p.chain.HighestAllocated(ctx, id.Miner); err != nil {
			return nil, fault.New(cmp.Or(fault.HintOf(err), "check that the chain node is of the miner's network, and in sync"),
				"ask the chain for the sector numbers of %s: %w", sector.MinerString(id.Miner), err)
		}
		p.asked[id.Miner] = true
	}
	on, err := p.chain.Sector(ctx, id)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the chain for %s: %w", id, err)
	case !on.Absent:
		return fault.New("it has to be proven: move it back with `util storage quarantine restore`", "the sector is on chain"), nil
	}
	return nil, nil
}

// notRemoved says why damocles does not count a sector as removed, nil where it
// does.
func (s *damoclesSide) notRemoved(ctx context.Context, id sector.ID) (why, err error) {
	known := false
	for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
		raw, found, err := s.stateIn(ctx, ws, id)
		if err != nil {
			return nil, fmt.Errorf("look at damocles's record of %s: %w", id, err)
		}
		if !found {
			continue
		}
		known = true
		state, err := damocles.DecodeState(raw)
		if err != nil {
			return fault.New("restore the record from a backup", "damocles's record of it cannot be decoded: %w", err), nil
		}
		if !state.Removed {
			return fault.New("move it back with `util storage quarantine restore`, or let damocles remove it",
				"damocles has it %s, and not as removed", ws), nil
		}
	}
	if !known {
		return fault.New("if you know that it is removed, say so with --without-damocles", "damocles has no record of it"), nil
	}
	return nil, nil
}

// missing tells of the numbers that were asked for and are nowhere.
func (p *purger) missing() error {
	if p.miner == nil {
		return nil
	}
	slices.Sort(p.seen)
	for _, numbers := range p.numbers.Missing(slices.Compact(p.seen)) {
		first, _, _ := strings.Cut(numbers, "-")
		n, err := sector.ParseNumber(first)
		if err != nil {
			return err
		}
		p.sum.Missing++
		if err := p.showEntry(missingLine(sector.ID{Miner: *p.miner, Number: n}, "number "+numbers)); err != nil {
			return err
		}
	}
	return nil
}

func (p *purger) end() error {
	s, verb, freed := p.sum, "purged", "freed"
	if s.DryRun {
		verb, freed = "would be purged", "would be freed"
	}
	p.ui.Printf("purge: %d %s, %s %s, %d kept, %d failed", s.Purged, verb, bytesSize(uint64(s.Bytes)), freed, s.Kept, s.Failed)
	if s.Younger > 0 {
		p.ui.Printf(", %d younger than %s", s.Younger, p.options.olderThan)
	}
	if s.Missing > 0 {
		p.ui.Printf(", %d missing", s.Missing)
	}
	p.ui.Printf("\n")
	if err := p.ui.Object(s); err != nil {
		return err
	}
	if s.Kept+s.Failed+s.Missing > 0 {
		return errIncomplete
	}
	return nil
}
