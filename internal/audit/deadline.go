package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// slot is a partition of a miner.
type slot struct {
	miner abi.ActorID
	Slot
}

// count adds a sector to its partition; a.mu is held.
func (a *auditor) count(c *onChain, v post.Verdict, differs int) {
	at := slot{c.id.Miner, c.slot}
	d := a.tally[at]
	if d == nil {
		period := a.periods[at.miner]
		d = &DeadlineReport{ID: sector.ID{Miner: at.miner}, Slot: at.Slot, Epoch: int64(period.CurrentEpoch)}
		d.Opens = int64(period.Opens(at.Deadline))
		d.Open = d.Opens <= d.Epoch
		a.tally[at] = d
	}
	d.Sectors++
	d.Differences += differs
	if c.faulty {
		d.Faulty++
	}
	if c.recovering {
		d.Recovering++
	}
	switch v {
	case post.Provable:
		d.Provable++
	case post.Undecided:
		d.Undecided++
	default:
		d.NotProvable++
	}
}

// deadlines tells of the partitions, the one that opens first before the others.
func (a *auditor) deadlines() {
	all := slices.Collect(maps.Values(a.tally))
	slices.SortFunc(all, func(x, y *DeadlineReport) int {
		return cmp.Or(cmp.Compare(x.ID.Miner, y.ID.Miner), cmp.Compare(x.Opens, y.Opens),
			cmp.Compare(x.Slot.Deadline, y.Slot.Deadline), cmp.Compare(x.Slot.Partition, y.Slot.Partition))
	})
	for _, d := range all {
		a.Observer.Deadline(*d)
	}
}

// rows is what is noted of the rows that the sector's trees lack, "" for nothing.
func (r *SectorReport) rows() string {
	for _, f := range r.Findings {
		if f.Name == post.RowsDiscarded {
			return f.Text
		}
	}
	return ""
}

// settings tells of sectors that each can be proven, but not by one prover: it reads
// all trees with one setting.
func (a *auditor) settings() {
	if len(a.rows) < 2 {
		return
	}
	most := slices.Max(slices.Collect(maps.Values(a.rows)))
	a.differ(Difference{Code: RowsDiffer,
		Text: fmt.Sprintf("the trees of %d provable sectors lack other rows than those of the other %d (see rows-discarded), and a prover reads all of them "+
			"with one FIL_PROOFS_ROWS_TO_DISCARD: whatever it is, some of them fail", a.summary.Provable-most, most),
		Hint: "rebuild the trees of the fewer from their replicas; --verbose names them, or all others"})
}

// missing tells of numbers that were asked for and that no side has.
func (a *auditor) missing(seen []abi.SectorNumber) {
	slices.Sort(seen)
	for _, n := range a.Numbers.Missing(slices.Compact(seen)) {
		a.differ(Difference{Code: NumberNotFound, Text: "number " + n + " is nowhere",
			Hint: "check --numbers; without it all sectors are taken"})
	}
}
