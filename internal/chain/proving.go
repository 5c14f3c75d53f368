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
	for opens+p.Window <= p.CurrentEpoch {
		opens += p.Period
	}
	return opens
}

// ProvingPeriod returns where the miner is in its proving period.
func (n *Node) ProvingPeriod(ctx context.Context, miner address.Address) (ProvingPeriod, error) {
	var p *ProvingPeriod
	if err := n.rpc.Call(ctx, &p, "Filecoin.StateMinerProvingDeadline", miner, n.at); err != nil {
		return ProvingPeriod{}, err
	}
	if p == nil || p.Deadlines == 0 || p.Deadlines > 1000 || p.Period <= 0 || p.Window <= 0 {
		return ProvingPeriod{}, fault.New("check that the address is that of a chain node, and that it is in sync",
			"%s did not say in which deadline %s is", n.rpc, miner)
	}
	return *p, nil
}

// Partition is a group of a deadline's sectors that are proven together.
type Partition struct {
	// Live are all but the terminated ones.
	Live       bitfield.BitField `json:"LiveSectors"`
	Faulty     bitfield.BitField `json:"FaultySectors"`
	Recovering bitfield.BitField `json:"RecoveringSectors"`
}

// Partitions returns the partitions of a deadline, in order.
func (n *Node) Partitions(ctx context.Context, miner address.Address, deadline uint64) ([]Partition, error) {
	var out []Partition
	err := n.rpc.Call(ctx, &out, "Filecoin.StateMinerPartitions", miner, deadline, n.at)
	return out, err
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
	for _, s := range out {
		if in, err := set.IsSet(uint64(s.Number)); err != nil || !in || !s.SealedCID.Defined() {
			return nil, fault.New("check that the address is that of a chain node",
				"%s answered about sector %d of %s, which was not asked for or has no sealed CID", n.rpc, s.Number, miner)
		}
	}
	return out, nil
}
