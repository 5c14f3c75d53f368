package lotus

import (
	"crypto/sha256"
	"fmt"

	"github.com/filecoin-project/go-address"
	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

const (
	hintChainOrSkip = "give a chain node with --chain, or skip it with --numbers"
	hintSkip        = "skip it with --numbers, and see what its source holds of it"
)

// FromRecord returns the record to write for a sector that lotus-miner shall
// prove, always in state Proving, with what its owner should know of it.
//
// base is the sector as lotus-miner once held it, or nil. What only lotus keeps,
// and what rec does not know, comes from base; a piece of which both say the
// same stays base's own entry. Nothing is made up: what neither knows is left
// out, and a sector that cannot be written without it is an error.
func FromRecord(rec *sector.Record, base *SectorInfo) (*SectorInfo, []sector.Note, error) {
	w := writer{rec: rec, base: base}
	si, err := w.sectorInfo()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot write sector %s for lotus-miner: %w", rec.ID, err)
	}
	return si, w.notes, nil
}

// writer makes one SectorInfo.
type writer struct {
	rec   *sector.Record
	base  *SectorInfo
	notes []sector.Note
}

func (w *writer) note(code, format string, args ...any) {
	w.notes = append(w.notes, sector.Note{Code: code, Text: fmt.Sprintf(format, args...)})
}

func (w *writer) sectorInfo() (*SectorInfo, error) {
	rec := w.rec
	if !rec.Original.CommR.Defined() || !rec.Original.CommD.Defined() {
		return nil, fault.New(hintChainOrSkip, "its CommR or CommD is unknown")
	}
	w.checkBase()
	si := *w.base
	// Whatever lotus was about to do with the sector is over.
	si.State, si.Return = "Proving", ""
	si.FaultReportMsg, si.TerminateMessage, si.TerminatedAt = nil, nil, 0

	si.SectorNumber, si.SectorType = rec.ID.Number, rec.SealProof
	si.CommR, si.CommD = knownCid(rec.Original.CommR, nil), knownCid(rec.Original.CommD, nil)
	si.Proof = knownBytes(rec.Original.Proof, si.Proof)
	if len(rec.Ticket.Value) > 0 || len(si.TicketValue) == 0 {
		si.TicketValue, si.TicketEpoch = rec.Ticket.Value, rec.Ticket.Epoch
	}
	if len(rec.Seed.Value) > 0 || len(si.SeedValue) == 0 {
		si.SeedValue, si.SeedEpoch = rec.Seed.Value, rec.Seed.Epoch
	}
	si.PreCommitMessage = knownCid(rec.Messages.PreCommit, si.PreCommitMessage)
	si.CommitMessage = knownCid(rec.Messages.Commit, si.CommitMessage)

	if rec.Status == sector.Lost {
		w.note("files-lost", "its files are lost: the metadata is what a rebuild needs")
	}
	fill := w.fillPlain
	if rec.Upgraded {
		fill = w.fillUpgraded
	}
	if err := fill(&si); err != nil {
		return nil, err
	}
	return &si, nil
}

// checkBase drops a base that is not of this replica: its number was sealed anew.
func (w *writer) checkBase() {
	if w.base == nil {
		w.base = &SectorInfo{}
		return
	}
	if w.base.SectorNumber != w.rec.ID.Number || !within(w.rec.Original.CommR, deref(w.base.CommR)) {
		w.note("origin-unused", "what lotus-miner once held under its number is another sector, and was not used")
		w.base = &SectorInfo{}
	}
}

func (w *writer) fillPlain(si *SectorInfo) error {
	si.CCUpdate, si.CCPieces = false, nil
	si.UpdateSealed, si.UpdateUnsealed = nil, nil
	si.ReplicaUpdateProof, si.ReplicaUpdateMessage = nil, nil

	pieces, known, err := w.originalPieces()
	si.Pieces = pieces
	if err == nil && !known && w.rec.Original.CommD != zeroCommD(w.rec.Size()) {
		w.notePiecesUnknown()
	}
	return err
}

func (w *writer) fillUpgraded(si *SectorInfo) (err error) {
	update, old := w.rec.Update, w.base
	if update == nil {
		update = &sector.Replica{}
	}
	if !within(update.CommR, deref(old.UpdateSealed)) || !within(update.CommD, deref(old.UpdateUnsealed)) {
		old = &SectorInfo{} // an update that came to nothing, and not this one
	}
	si.CCUpdate = true
	si.UpdateSealed = knownCid(update.CommR, old.UpdateSealed)
	si.UpdateUnsealed = knownCid(update.CommD, old.UpdateUnsealed)
	si.ReplicaUpdateProof = knownBytes(update.Proof, old.ReplicaUpdateProof)
	si.ReplicaUpdateMessage = knownCid(w.rec.Messages.Update, old.ReplicaUpdateMessage)
	if si.CCPieces, _, err = w.originalPieces(); err != nil {
		return err
	}
	if si.Pieces, err = w.pieces(update.Pieces, old.updatePieces()); err != nil {
		return err
	}
	if len(si.Pieces) == 0 {
		w.notePiecesUnknown()
	}
	if si.UpdateSealed == nil {
		w.note("update-sealed-unknown", "the CommR of its update is unknown: give a chain node with --chain to have it")
	}
	return nil
}

func (w *writer) notePiecesUnknown() {
	w.note("pieces-unknown", "its pieces are unknown, so lotus-miner sees it as committed capacity: never snap it again")
}

// originalPieces returns the pieces of the first replica; where they are not
// known, the one filler that lotus gives to a committed capacity sector.
func (w *writer) originalPieces() (pieces []SectorPiece, known bool, err error) {
	pieces, err = w.pieces(w.rec.Original.Pieces, w.base.originalPieces())
	if err != nil || len(pieces) > 0 {
		return pieces, true, err
	}
	size := w.rec.Size()
	if size == 0 {
		return nil, false, fault.New(hintSkip, "its seal proof %d is unknown", w.rec.SealProof)
	}
	filler := abi.PieceInfo{Size: size, PieceCID: w.rec.Original.CommD}
	return []SectorPiece{{Piece: filler}}, false, nil
}

func (w *writer) pieces(own []sector.Piece, base []SectorPiece) ([]SectorPiece, error) {
	if len(own) == 0 {
		return base, nil
	}
	out := make([]SectorPiece, len(own))
	known := neutralPieces(base, w.rec.ID.Miner)
	for i, p := range own {
		if i < len(base) && samePiece(p, known[i]) {
			out[i] = base[i]
			continue
		}
		var err error
		if out[i], err = w.piece(p); err != nil {
			return nil, fmt.Errorf("piece %d: %w", i, err)
		}
	}
	return out, nil
}

func (w *writer) piece(p sector.Piece) (SectorPiece, error) {
	out := SectorPiece{Piece: abi.PieceInfo{Size: p.Size, PieceCID: p.CID}}
	if !p.CID.Defined() {
		return out, fault.New(hintSkip, "its CID is unknown")
	}
	if p.Deal == nil {
		return out, nil
	}
	out.DealInfo = w.dealInfo(p)
	if err := out.DealInfo.Valid(); err != nil {
		return out, fault.New(hintChainOrSkip, "%s: %w", dealName(p.Deal), err)
	}
	return out, nil
}

func dealName(d *sector.Deal) string {
	switch {
	case d.Kind == sector.BuiltinMarket:
		return fmt.Sprintf("deal %d", d.ID)
	case d.AllocationID != 0:
		return fmt.Sprintf("allocation %d", d.AllocationID)
	default:
		return "direct data onboarding"
	}
}

func (w *writer) dealInfo(p sector.Piece) *PieceDealInfo {
	deal := p.Deal
	info := &PieceDealInfo{
		DealID:       deal.ID,
		DealSchedule: DealSchedule{StartEpoch: deal.StartEpoch, EndEpoch: deal.EndEpoch},
		KeepUnsealed: deal.KeepUnsealed,
	}
	switch {
	case deal.Kind != sector.BuiltinMarket:
		info.DealID = 0
		info.PieceActivationManifest = w.manifest(p)
	case deal.ID != 0 && deal.PublishCid.Defined() && deal.Proposal != nil:
		info.PublishCid, info.DealProposal = knownCid(deal.PublishCid, nil), deal.Proposal
	default:
		info.PieceActivationManifest = manifestAlone(p)
		w.note("deal-incomplete", "deal %d lacks its publish message or its proposal, so lotus-miner shows it as direct data onboarding", deal.ID)
	}
	return info
}

// manifestAlone is the form of a built-in market deal of which too little is
// known: valid to lotus and no filler. A PublishCid without a proposal is not
// kept, because lotus crashes on one.
func manifestAlone(p sector.Piece) *PieceActivationManifest {
	return &PieceActivationManifest{CID: p.CID, Size: p.Size}
}

func (w *writer) manifest(p sector.Piece) *PieceActivationManifest {
	m := manifestAlone(p)
	for _, n := range p.Deal.Notify {
		m.Notify = append(m.Notify, DataActivationNotification{Address: n.Address, Payload: n.Payload})
	}
	if p.Deal.AllocationID == 0 {
		return m
	}
	client, err := address.IDFromAddress(p.Deal.Client)
	if err != nil {
		w.note("allocation-client-unknown", "the client of allocation %d is unknown, so the allocation is left out", p.Deal.AllocationID)
		return m
	}
	m.VerifiedAllocationKey = &VerifiedAllocationKey{Client: abi.ActorID(client), ID: p.Deal.AllocationID}
	return m
}

// knownCid returns c, or old where c is unknown.
func knownCid(c cid.Cid, old *cid.Cid) *cid.Cid {
	if c.Defined() {
		return &c
	}
	return old
}

func knownBytes(b, old []byte) []byte {
	if len(b) > 0 {
		return b
	}
	return old
}

// zeroCommD is the CommD of a sector that holds nothing but zeros.
func zeroCommD(size abi.PaddedPieceSize) cid.Cid {
	var node [sha256.Size]byte
	for n := abi.PaddedPieceSize(len(node)); n < size; n *= 2 {
		node = sha256.Sum256(append(node[:], node[:]...))
		node[31] &= 0x3f // the last two bits have no room in the field
	}
	c, err := commcid.DataCommitmentV1ToCID(node[:])
	if err != nil {
		return cid.Undef // not reached: the length is right
	}
	return c
}
