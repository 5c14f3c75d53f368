package chain

import (
	"context"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

// ProvingPeriod is where a miner is in its proving period. Deadlines follow each
// other without a gap, Window epochs each.
type ProvingPeriod struct {
	CurrentEpoch abi.ChainEpoch
	PeriodStart  abi.ChainEpoch
	Period       abi.ChainEpoch `json:"WPoStProvingPeriod"`
	Window       abi.ChainEpoch `json:"WPoStChallengeWindow"`
	Deadlines    uint64         `json:"WPoStPeriodDeadlines"`
}

// Opens is the epoch at which a deadline opens next; one that is open now has
// opened at or before CurrentEpoch.
func (p ProvingPeriod) Opens(deadline uint64) abi.ChainEpoch {
	opens := p.PeriodStart + abi.ChainEpoch(deadline)*p.Window
	if since := p.CurrentEpoch - (opens + p.Window); since >= 0 { // that one has closed
		opens += (since/p.Period + 1) * p.Period
	}
	return opens
}

// sane says whether the numbers are those of a chain: no epoch of one is anywhere
// near the bound, and below it nothing that is made of them overflows.
func (p *ProvingPeriod) sane() bool {
	const bound = 1 << 40
	return p.Deadlines > 0 && p.Deadlines <= 1000 && p.Period > 0 && p.Period < bound && p.Window > 0 && p.Window < bound &&
		p.CurrentEpoch >= 0 && p.CurrentEpoch < bound && p.PeriodStart > -bound && p.PeriodStart < bound
}

// ProvingPeriod returns where the miner is in its proving period.
func (n *Node) ProvingPeriod(ctx context.Context, miner address.Address) (ProvingPeriod, error) {
	var p *ProvingPeriod
	if err := n.rpc.Call(ctx, &p, "Filecoin.StateMinerProvingDeadline", miner, n.at); err != nil {
		return ProvingPeriod{}, err
	}
	if p == nil || !p.sane() {
		return ProvingPeriod{}, fault.New("check that the address is that of a chain node, and that it is in sync",
			"%s did not say in which deadline %s is", n.rpc, miner)
	}
	return *p, nil
}

// Partition is a group of a deadline's sectors that are proven together.
type Partition struct {
	// Live are all but the terminated ones.
	Live, Faulty, Recovering bitfield.BitField
}

// partitionReply is a partition as a node tells it.
type partitionReply struct {
	LiveSectors, FaultySectors, RecoveringSectors *bitfield.BitField
}

// partitions are those of a reply; false where one of them lacks a set, which is not
// to be taken for an empty one: its sectors would be left out, or be called healthy.
func partitions(reply []partitionReply) ([]Partition, bool) {
	var out []Partition
	for _, p := range reply {
		if p.LiveSectors == nil || p.FaultySectors == nil || p.RecoveringSectors == nil {
			return nil, false
		}
		out = append(out, Partition{*p.LiveSectors, *p.FaultySectors, *p.RecoveringSectors})
	}
	return out, true
}

// Partitions returns the partitions of a deadline, in order.
func (n *Node) Partitions(ctx context.Context, miner address.Address, deadline uint64) ([]Partition, error) {
	var reply []partitionReply
	if err := n.rpc.Call(ctx, &reply, "Filecoin.StateMinerPartitions", miner, deadline, n.at); err != nil {
		return nil, err
	}
	out, ok := partitions(reply)
	if !ok {
		return nil, fault.New("check that the address is that of a chain node",
			"%s did not say which sectors are in each partition of deadline %d of %s", n.rpc, deadline, miner)
	}
	return out, nil
}

// Sectors returns the sectors of a set, which the miner must have. A few thousand
// are a good portion: each takes half a KiB on the wire.
func (n *Node) Sectors(ctx context.Context, miner address.Address, set bitfield.BitField) ([]Sector, error) {
	want, err := set.Count()
	if err != nil || want == 0 {
		return nil, err
	}
	var out []Sector
	if err := n.rpc.Call(ctx, &out, "Filecoin.StateMinerSectors", miner, set, n.at); err != nil {
		return nil, err
	}
	if uint64(len(out)) != want {
		return nil, fault.New("check that the address is that of a chain node, and that it is in sync",
			"%s was asked for %d sectors of %s, and answered with %d", n.rpc, want, miner, len(out))
	}
	if s, ok := unasked(set, out); ok {
		return nil, fault.New("check that the address is that of a chain node",
			"%s answered about sector %d of %s, which was not asked for, or comes twice, or has no sealed CID", n.rpc, s.Number, miner)
	}
	return out, nil
}

// unasked is the first sector that is not one of the set, with a sealed CID, and for
// the first time. Where there is none, and they are as many as the set, they are it.
func unasked(set bitfield.BitField, sectors []Sector) (Sector, bool) {
	seen := make(map[abi.SectorNumber]bool, len(sectors))
	for _, s := range sectors {
		if in, err := set.IsSet(uint64(s.Number)); err != nil || !in || seen[s.Number] || !s.SealedCID.Defined() {
			return s, true
		}
		seen[s.Number] = true
	}
	return Sector{}, false
}
