package damocles

import (
	"errors"

	"github.com/filecoin-project/go-fil-commcid"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

const (
	hintAskChain = "give a chain node with --chain, or leave the sector out with --numbers"
	hintLeaveOut = "correct the sector where it comes from, or leave it out with --numbers"
)

// FromRecord makes the state of a finished sector for the offline workspace, such
// that damocles does nothing about it but prove it: no message to send, no
// termination to poll, no upgrade to clean up after, no rebuild that was not asked
// for. The notes say what damocles will not know. It refuses a record that is
// neither finished, lost nor terminated, and one without its commitments.
func FromRecord(rec *sector.Record) (*SectorState, []sector.Note, error) {
	s := &SectorState{
		ID:         abi.SectorID{Miner: rec.ID.Miner, Number: rec.ID.Number},
		SectorType: rec.SealProof,
		MessageInfo: MessageInfo{
			PreCommitCid: rec.Messages.PreCommit,
			CommitCid:    rec.Messages.Commit,
		},
		Finalized: true,
		// Imported keeps damocles from taking the sector for one that it sealed and
		// has messages to send for.
		Imported: true,
	}
	w := stateWriter{rec: rec, state: s}
	for _, step := range []func() error{w.status, w.sealing, w.upgrade, w.pieces} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	return s, w.notes, nil
}

// stateWriter fills a state from a record.
type stateWriter struct {
	rec   *sector.Record
	state *SectorState
	notes []sector.Note
}

func (w *stateWriter) note(code, text string) {
	w.notes = append(w.notes, sector.Note{Code: code, Text: text})
}

func (w *stateWriter) fail(hint, format string, args ...any) error {
	return fault.New(hint, "cannot write sector %s for damocles: "+format, append([]any{w.rec.ID}, args...)...)
}

func (w *stateWriter) status() error {
	if w.rec.Size() == 0 {
		return w.fail(hintLeaveOut, "its seal proof %d is unknown", w.rec.SealProof)
	}
	switch w.rec.Status {
	case sector.Finished:
	case sector.Lost:
		w.state.NeedRebuild = true
	case sector.Terminated:
		return w.terminated()
	default:
		return w.fail(hintAskChain, "it is %s, and only finished sectors can be carried", w.rec.Status)
	}
	return nil
}

// terminated sets both epochs: with AddedHeight alone damocles would terminate the
// sector again, and with neither it would prove it.
func (w *stateWriter) terminated() error {
	t := w.rec.Termination
	if t.Epoch <= 0 {
		return w.fail("leave terminated sectors out, without --include-terminated",
			"it is terminated, and nothing says when")
	}
	w.state.TerminateInfo = TerminateInfo{TerminateCid: t.Message, TerminatedAt: t.Epoch, AddedHeight: t.Epoch}
	return nil
}

func (w *stateWriter) sealing() error {
	original := &w.rec.Original
	if !original.CommR.Defined() {
		return w.fail(hintAskChain, "its CommR is unknown")
	}
	if !original.CommD.Defined() {
		return w.fail("import from the repo with --repo, or leave the sector out with --numbers", "its CommD is unknown")
	}
	if err := w.check("", original); err != nil {
		return err
	}
	pre := &PreCommitInfo{CommR: original.CommR, CommD: original.CommD}
	if ticket := w.rec.Ticket; len(ticket.Value) > 0 {
		pre.Ticket = Ticket{Ticket: ticket.Value, Epoch: ticket.Epoch}
		w.state.Ticket = &Ticket{Ticket: ticket.Value, Epoch: ticket.Epoch}
	} else {
		w.note("ticket-unknown", "its ticket is unknown: damocles can prove it, but not unseal or rebuild it")
	}
	w.state.Pre = pre
	if seed := w.rec.Seed; len(seed.Value) > 0 {
		w.state.Seed = &Seed{Seed: seed.Value, Epoch: seed.Epoch}
	}
	if len(original.Proof) > 0 {
		w.state.Proof = &ProofInfo{Proof: original.Proof}
	}
	return nil
}

// check makes sure that a replica's commitments, where they are known, are such.
func (w *stateWriter) check(which string, r *sector.Replica) error {
	if r.CommR.Defined() {
		if _, err := commcid.CIDToReplicaCommitmentV1(r.CommR); err != nil {
			return w.fail(hintLeaveOut, "%s is no %sCommR: %w", r.CommR, which, err)
		}
	}
	if r.CommD.Defined() {
		if _, err := commcid.CIDToDataCommitmentV1(r.CommD); err != nil {
			return w.fail(hintLeaveOut, "%s is no %sCommD: %w", r.CommD, which, err)
		}
	}
	return nil
}

// live is the replica that the sector is proven with.
func (w *stateWriter) live() *sector.Replica {
	if w.rec.Upgraded && w.rec.Update == nil {
		return &sector.Replica{} // nothing is known of it; it is not the original
	}
	return w.rec.Live()
}

// upgrade leaves out the proof of the update: where it is there, damocles takes the
// upgrade for its own and starts a rebuild.
func (w *stateWriter) upgrade() error {
	if !w.rec.Upgraded {
		return nil
	}
	update := w.live()
	if err := w.check("updated ", update); err != nil {
		return err
	}
	if !update.CommR.Defined() {
		w.note("update-sealed-unknown", "the CommR of its update is unknown: give a chain node with --chain")
	}
	public := &UpgradePublic{SealedCID: w.rec.Original.CommR}
	key, err := commcid.CIDToReplicaCommitmentV1(public.SealedCID)
	if err != nil {
		return err
	}
	copy(public.CommR[:], key)
	if chain := w.rec.Chain; chain != nil {
		public.Activation = chain.Activation
		public.Expiration = chain.Expiration
	}
	w.state.Upgraded = true
	w.state.UpgradePublic = public
	w.state.UpgradedInfo = &UpgradedInfo{SealedCID: update.CommR, UnsealedCID: update.CommD}
	if message := w.rec.Messages.Update; message.Defined() {
		id := message.String()
		w.state.UpgradeMessageID = &id
	}
	w.state.UpgradeLandedEpoch = new(abi.ChainEpoch)
	return nil
}

// pieces fill the sector one after the other, so that each begins where the one
// before it ends.
func (w *stateWriter) pieces() error {
	var offset abi.PaddedPieceSize
	unknownPayload, unverified := false, false
	for i, p := range w.live().Pieces {
		if err := checkPiece(p); err != nil {
			return w.fail(hintLeaveOut, "piece %d: %w", i, err)
		}
		w.state.Pieces = append(w.state.Pieces, SectorPiece{
			Piece:    Piece{Size: p.Size, PieceCID: p.CID},
			DealInfo: dealInfo(p, offset),
		})
		offset += p.Size
		if d := p.Deal; d != nil {
			unknownPayload = unknownPayload || d.PayloadSize == 0
			unverified = unverified || d.Kind == sector.DDO && d.AllocationID == 0
		}
	}
	if offset > w.rec.Size() {
		return w.fail(hintLeaveOut, "its pieces take %d bytes, more than the %d that it holds", offset, w.rec.Size())
	}
	if unknownPayload {
		w.note("payload-size-unknown", "the payload size of its data is unknown, and written as 0")
	}
	if unverified {
		w.note("ddo-unverified", "it has data without an allocation, which damocles counts as a filler")
	}
	return nil
}

func checkPiece(p sector.Piece) error {
	if !p.CID.Defined() {
		return errors.New("its CID is unknown")
	}
	if err := p.Size.Validate(); err != nil {
		return err
	}
	_, err := commcid.CIDToDataCommitmentV1(p.CID)
	return err
}

// dealInfo is nil for a filler.
func dealInfo(p sector.Piece, offset abi.PaddedPieceSize) *DealInfo {
	deal := p.Deal
	if deal == nil {
		return nil
	}
	info := &DealInfo{
		PieceCID:    p.CID,
		PieceSize:   p.Size,
		Client:      deal.Client,
		Provider:    deal.Provider,
		Offset:      offset,
		Length:      p.Size,
		PayloadSize: deal.PayloadSize,
		StartEpoch:  deal.StartEpoch,
		EndEpoch:    deal.EndEpoch,
	}
	if deal.Kind == sector.BuiltinMarket {
		info.IsBuiltinMarket = true
		info.DealID = deal.ID
		info.PublishCid = deal.PublishCid
	} else {
		info.AllocationID = deal.AllocationID
	}
	return info
}
