package audit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// onChain is what the chain says of a live sector.
type onChain struct {
	id                 sector.ID
	proof              abi.RegisteredSealProof
	slot               Slot
	faulty, recovering bool
	// commR is what is proven now; key is that before an upgrade, zero if none.
	commR, key post.Node
}

func (c *onChain) upgraded() bool { return !c.key.IsZero() }

// portion is how many sectors the chain is asked for at once: those of one
// partition of 32 GiB sectors.
const portion = 2349

// ask takes in what the chain has of every miner that is concerned.
func (a *auditor) ask(ctx context.Context) error {
	if a.Chain == nil {
		return nil
	}
	if a.Behind > chain.MaxBehind {
		a.differ(Difference{Code: ChainBehind,
			Text: fmt.Sprintf("the newest tipset of the chain node is %s old: what it says of sectors, faults and deadlines may not be so any more", a.Behind.Truncate(time.Minute)),
			Hint: chain.BehindHint})
	}
	miners, err := a.miners(ctx)
	if err != nil {
		return err
	}
	for _, miner := range miners {
		if err := a.askMiner(ctx, miner); err != nil {
			return fault.New(cmp.Or(fault.HintOf(err), "check that the chain node is of the miner's network, and in sync"),
				"ask the chain for the sectors of %s: %w", sector.MinerString(miner), err)
		}
	}
	slices.SortFunc(a.onChain, func(x, y onChain) int { return compareIDs(x.id, y.id) })
	return nil
}

// miners are those that the metadata has, or, without it, the stores.
func (a *auditor) miners(ctx context.Context) ([]abi.ActorID, error) {
	if a.Miner != nil {
		return []abi.ActorID{*a.Miner}, nil
	}
	var out []abi.ActorID
	var seen []abi.SectorNumber
	add := func(id sector.ID) {
		if !slices.Contains(out, id.Miner) {
			out = append(out, id.Miner)
		}
	}
	for _, k := range a.known {
		add(k.id)
		seen = append(seen, k.id.Number)
	}
	if a.Metadata == nil {
		for _, o := range a.disk {
			add(o.id)
			seen = append(seen, o.id.Number)
		}
	}
	slices.Sort(seen)
	if len(a.Numbers.Missing(slices.Compact(seen))) == 0 {
		return out, nil
	}
	// The chain may have what was asked for, and the metadata or the stores not; whose it
	// would be, the other sectors tell.
	if a.Metadata == nil {
		return slices.Sorted(maps.Keys(a.named)), nil
	}
	err := a.Metadata.Each(ctx, sector.Numbers{}, func(id sector.ID, key string, _ *sector.Record, _ error) error {
		if key == "" {
			add(id)
		}
		return nil
	})
	return out, err
}

func (a *auditor) askMiner(ctx context.Context, miner abi.ActorID) error {
	addr, err := address.NewIDAddress(uint64(miner))
	if err != nil {
		return err
	}
	period, err := a.Chain.ProvingPeriod(ctx, addr)
	if err != nil {
		return err
	}
	a.periods[miner] = period
	for d := range period.Deadlines {
		partitions, err := a.Chain.Partitions(ctx, addr, d)
		if err != nil {
			return err
		}
		if err := a.askDeadline(ctx, addr, miner, d, partitions); err != nil {
			return err
		}
	}
	return nil
}

// askDeadline asks for the sectors of a deadline's partitions, several small
// partitions at once.
func (a *auditor) askDeadline(ctx context.Context, addr address.Address, miner abi.ActorID, deadline uint64, ps []chain.Partition) error {
	for first := 0; first < len(ps); {
		var sets []bitfield.BitField
		var n uint64
		next := first
		for ; next < len(ps); next++ {
			count, err := ps[next].Live.Count()
			if err != nil {
				return err
			}
			if n > 0 && n+count > portion {
				break
			}
			n += count
			sets = append(sets, ps[next].Live)
		}
		all, err := bitfield.MultiMerge(sets...)
		if err != nil {
			return err
		}
		sectors, err := a.Chain.Sectors(ctx, addr, all)
		if err != nil {
			return err
		}
		for _, s := range sectors {
			if err := a.take(miner, deadline, first, ps[first:next], s); err != nil {
				return err
			}
		}
		first = next
	}
	return nil
}

// take notes a sector, which is in one of the partitions.
func (a *auditor) take(miner abi.ActorID, deadline uint64, first int, ps []chain.Partition, s chain.Sector) error {
	c := onChain{id: sector.ID{Miner: miner, Number: s.Number}, proof: s.SealProof}
	if !a.selected(c.id) {
		return nil
	}
	var err error
	if c.commR, err = post.CommRFromCID(s.SealedCID); err != nil {
		return fmt.Errorf("sector %d: %w", s.Number, err)
	}
	if s.SectorKeyCID != nil {
		if c.key, err = post.CommRFromCID(*s.SectorKeyCID); err != nil {
			return fmt.Errorf("sector %d, its key: %w", s.Number, err)
		}
	}
	for i, p := range ps {
		in, err := p.Live.IsSet(uint64(s.Number))
		if err != nil {
			return err
		}
		if !in {
			continue
		}
		c.slot = Slot{deadline, uint64(first + i)}
		if c.faulty, err = p.Faulty.IsSet(uint64(s.Number)); err != nil {
			return err
		}
		if c.recovering, err = p.Recovering.IsSet(uint64(s.Number)); err != nil {
			return err
		}
	}
	a.onChain = append(a.onChain, c)
	return nil
}
