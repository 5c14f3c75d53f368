package damocles

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/sector"
)

// ListJobs are the kinds of work that `list` shows, or the ones that a sector is in.
type ListJobs struct {
	Sealing, Snapup, Rebuild, Unseal bool
}

// Jobs says which kinds of work damocles counts a sector under. A rebuild and an
// unsealing go before what they are done to; a sector may be in both.
func (s *SectorState) Jobs() ListJobs {
	plain := !s.NeedRebuild && !s.Unsealing
	return ListJobs{
		Sealing: plain && !s.Upgraded,
		Snapup:  plain && s.Upgraded,
		Rebuild: s.NeedRebuild,
		Unseal:  s.Unsealing,
	}
}

// Shows says whether one of the sector's jobs is selected.
func (sel ListJobs) Shows(s *SectorState) bool {
	is := s.Jobs()
	return sel.Sealing && is.Sealing || sel.Snapup && is.Snapup || sel.Rebuild && is.Rebuild || sel.Unseal && is.Unseal
}

// WriteListEntry writes a sector as `list` shows it, with the empty line after it.
func WriteListEntry(w io.Writer, s *SectorState) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s:\n", s.name(), s.marks())
	if l := s.LatestState; l != nil {
		fmt.Fprintf(&b, "\tWorker: %s @ %s\n", l.Worker.Instance, l.Worker.Location)
		fmt.Fprintf(&b, "\tState: %s => %s @%s\n", l.StateChange.Prev, l.StateChange.Next, l.StateChange.Event)
	}
	fmt.Fprintf(&b, "\tFinalized: %t, Removed: %t\n\n", s.Finalized, s.Removed)
	_, err := w.Write(b.Bytes())
	return err
}

func (s *SectorState) name() string {
	return sector.ID{Miner: s.ID.Miner, Number: s.ID.Number}.String()
}

func (s *SectorState) marks() string {
	var marks []string
	if s.Upgraded {
		marks = append(marks, "upgrade")
	}
	if s.NeedRebuild {
		marks = append(marks, "rebuild")
	}
	if s.Unsealing {
		marks = append(marks, "unseal")
	}
	if marks == nil {
		return ""
	}
	return "(" + strings.Join(marks, ", ") + ")"
}

// WriteState writes a sector as `state` shows it.
func WriteState(w io.Writer, s *SectorState) error {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "Sector %s: \n\nCommon:\n", s.name())
	fmt.Fprintf(b, "\tFinalized: %t\n\tRemoved: %t\n", s.Finalized, s.Removed)
	fmt.Fprintf(b, "\tAborting: \n\t\t%s\n", orNull(s.AbortReason != "", func() string { return indent(s.AbortReason) }))
	s.showLatest(b)
	s.showDeals(b)
	s.showSealing(b)
	s.showUpgrade(b)
	fmt.Fprintf(b, "\nTermination:\n\tTerminate Message: %s\n", showCid(s.TerminateInfo.TerminateCid))
	fmt.Fprintf(b, "\nRebuild: %t\n\n", s.NeedRebuild)
	_, err := w.Write(b.Bytes())
	return err
}

const showNull = "NULL"

func orNull(known bool, text func() string) string {
	if !known {
		return showNull
	}
	return text()
}

func showCid(c cid.Cid) string { return orNull(c.Defined(), c.String) }

// indent keeps text of several lines in its place.
func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n\t\t") }

func showRandomness(epoch abi.ChainEpoch, value []byte) string {
	return fmt.Sprintf("(%d) %x", epoch, value)
}

func (s *SectorState) showLatest(b *bytes.Buffer) {
	change, worker, failure := showNull, showNull, showNull
	if l := s.LatestState; l != nil {
		change = fmt.Sprintf("%s => %s, by %s", l.StateChange.Prev, l.StateChange.Next, l.StateChange.Event)
		worker = fmt.Sprintf("%s(%s)", l.Worker.Instance, l.Worker.Location)
		if f := l.Failure; f != nil {
			failure = fmt.Sprintf("\n\t\t[%s] %s", f.Level, indent(f.Desc))
		}
	}
	fmt.Fprintf(b, "\nLatestState:\n\tState Change: %s\n\tWorker: %s\n\tFailure: %s\n", change, worker, failure)
}

// showDeals leaves fillers out; what has no allocation is one to damocles.
func (s *SectorState) showDeals(b *bytes.Buffer) {
	fmt.Fprintf(b, "\nDeals:\n")
	before := b.Len()
	for _, p := range s.Pieces {
		switch d := p.DealInfo; {
		case d == nil || d.DealID == 0 && d.AllocationID == 0:
		case d.IsBuiltinMarket:
			showPiece(b, "DealID: builtinmarket", uint64(d.DealID), p.Piece.PieceCID, p.Piece.Size, d.Offset)
		default:
			showPiece(b, "AllocID: ddo", d.AllocationID, p.Piece.PieceCID, p.Piece.Size, d.Offset)
		}
	}
	if len(s.Pieces) == 0 {
		for _, d := range s.Deals {
			if d.ID != 0 {
				showPiece(b, "DealID: builtinmarket", uint64(d.ID), d.Piece.Cid, d.Piece.Size, d.Piece.Offset)
			}
		}
	}
	if b.Len() == before {
		fmt.Fprintf(b, "\t%s\n", showNull)
	}
}

func showPiece(b *bytes.Buffer, kind string, id uint64, c cid.Cid, size, offset abi.PaddedPieceSize) {
	fmt.Fprintf(b, "\t%s(%d)\n\tPiece: { cid: %s; size: %d; offset: %d }\n", kind, id, showCid(c), size, offset)
}

func (s *SectorState) showSealing(b *bytes.Buffer) {
	fmt.Fprintf(b, "\nSealing:\n")
	fmt.Fprintf(b, "\tTicket: %s\n", orNull(s.Ticket != nil, func() string {
		return showRandomness(s.Ticket.Epoch, s.Ticket.Ticket)
	}))
	fmt.Fprintf(b, "\tPreCommit Info:\n\t\t%s\n", orNull(s.Pre != nil, func() string {
		return fmt.Sprintf("CommD: %s\n\t\tCommR: %s", showCid(s.Pre.CommD), showCid(s.Pre.CommR))
	}))
	fmt.Fprintf(b, "\tPreCommit Message: %s\n", showCid(s.MessageInfo.PreCommitCid))
	fmt.Fprintf(b, "\tSeed: %s\n", orNull(s.Seed != nil, func() string {
		return showRandomness(s.Seed.Epoch, s.Seed.Seed)
	}))
	fmt.Fprintf(b, "\tProveCommit Info:\n\t\t%s\n", orNull(s.Proof != nil, func() string {
		return fmt.Sprintf("Proof: %x", s.Proof.Proof)
	}))
	fmt.Fprintf(b, "\tProveCommit Message: %s\n", showCid(s.MessageInfo.CommitCid))
	fmt.Fprintf(b, "\tMessage NeedSend: %t\n", s.MessageInfo.NeedSend)
}

func (s *SectorState) showUpgrade(b *bytes.Buffer) {
	fmt.Fprintf(b, "\nSnapUp:\n\tUpgraded: %t\n", s.Upgraded)
	if !s.Upgraded {
		return
	}
	if u := s.UpgradedInfo; u != nil {
		fmt.Fprintf(b, "\tUnsealedCID: %s\n\tSealedCID: %s\n\tProof: %x\n", showCid(u.UnsealedCID), showCid(u.SealedCID), u.Proof)
	}
	if s.UpgradeMessageID != nil {
		fmt.Fprintf(b, "\tUpgrade Message: %s\n", *s.UpgradeMessageID)
	}
	if s.UpgradeLandedEpoch != nil {
		fmt.Fprintf(b, "\tLanded Epoch: %d\n", *s.UpgradeLandedEpoch)
	}
}
