package damocles

import (
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/sector"
)

// IsChainCid says whether c can be the CID of a message on chain. The UIDs that
// damocles gives its messages look like CIDs, too, but they are raw and blake2b-512,
// and exist nowhere.
func IsChainCid(c cid.Cid) bool {
	const blake2b256 = 0xb220
	if !c.Defined() {
		return false
	}
	p := c.Prefix()
	return p.Codec == cid.DagCBOR && p.MhType == blake2b256 && p.MhLength == 32
}

// Record says in the neutral form what a state says. The two share memory: neither
// may be changed afterwards.
func (s *SectorState) Record(ws Workspace) *sector.Record {
	rec := &sector.Record{
		ID:        sector.ID{Miner: s.ID.Miner, Number: s.ID.Number},
		SealProof: s.SectorType,
		Status:    s.status(ws),
		State:     string(ws),
		Upgraded:  s.Upgraded && s.landed(ws),
		Messages:  s.messages(),
		Chain:     s.chain(),
	}
	if s.Seed != nil {
		rec.Seed = sector.Randomness{Value: s.Seed.Seed, Epoch: s.Seed.Epoch}
	}
	s.fillOriginal(rec)
	if s.Upgraded {
		rec.Update = s.update()
	} else {
		rec.Original.Pieces = s.pieces()
	}
	rec.Termination.Epoch = s.TerminateInfo.TerminatedAt
	rec.Termination.Message = chainCid(s.TerminateInfo.TerminateCid)
	return rec
}

// status does not ask whether a termination was submitted: until it has landed,
// the sector must be proven.
func (s *SectorState) status(ws Workspace) sector.Status {
	switch {
	case s.Removed:
		return sector.Removed
	case s.TerminateInfo.TerminatedAt > 0:
		return sector.Terminated
	case ws == Online:
		return sector.Sealing
	case s.AbortReason != "" || s.Pre == nil:
		return sector.Failed
	case !s.Finalized:
		return sector.Sealing
	case s.NeedRebuild:
		return sector.Lost
	default:
		return sector.Finished
	}
}

// landed says that the chain has the update of an upgraded sector. Online, the
// update may still be under way, and the sector is proven without it.
func (s *SectorState) landed(ws Workspace) bool {
	return ws == Offline || s.UpgradeLandedEpoch != nil
}

func (s *SectorState) fillOriginal(rec *sector.Record) {
	if s.Pre != nil {
		rec.Original.CommR = s.Pre.CommR
		rec.Original.CommD = s.Pre.CommD
		rec.Ticket = sector.Randomness{Value: s.Pre.Ticket.Ticket, Epoch: s.Pre.Ticket.Epoch}
	}
	if s.Ticket != nil {
		rec.Ticket = sector.Randomness{Value: s.Ticket.Ticket, Epoch: s.Ticket.Epoch}
	}
	if s.Proof != nil {
		rec.Original.Proof = s.Proof.Proof
	}
}

// update is the replica that damocles proves in an upgraded sector. In an imported
// one it knows nothing of it but the pieces.
func (s *SectorState) update() *sector.Replica {
	r := &sector.Replica{Pieces: s.pieces()}
	if s.UpgradedInfo != nil {
		r.CommR = s.UpgradedInfo.SealedCID
		r.CommD = s.UpgradedInfo.UnsealedCID
		r.Proof = s.UpgradedInfo.Proof
	}
	return r
}

func (s *SectorState) messages() sector.Messages {
	m := sector.Messages{
		PreCommit: chainCid(s.MessageInfo.PreCommitCid),
		Commit:    chainCid(s.MessageInfo.CommitCid),
	}
	if s.UpgradeMessageID == nil {
		return m
	}
	// A message that damocles sent itself is <cid>-<i>, and no CID as a whole.
	if c, err := cid.Decode(*s.UpgradeMessageID); err == nil {
		m.Update = chainCid(c)
	}
	return m
}

// chainCid drops what is no chain CID.
func chainCid(c cid.Cid) cid.Cid {
	if IsChainCid(c) {
		return c
	}
	return cid.Undef
}

// chain is what damocles saw on chain just before it upgraded the sector.
func (s *SectorState) chain() *sector.OnChain {
	up := s.UpgradePublic
	if up == nil || up.Activation == 0 && up.Expiration == 0 {
		return nil
	}
	return &sector.OnChain{Activation: up.Activation, Expiration: up.Expiration}
}

// pieces reads Deals only where Pieces is empty, as damocles does.
func (s *SectorState) pieces() []sector.Piece {
	var out []sector.Piece
	for i := range s.Pieces {
		p := &s.Pieces[i]
		out = append(out, sector.Piece{Size: p.Piece.Size, CID: p.Piece.PieceCID, Deal: p.DealInfo.deal()})
	}
	if len(out) > 0 {
		return out
	}
	for i := range s.Deals {
		d := &s.Deals[i]
		out = append(out, sector.Piece{Size: d.Piece.Size, CID: d.Piece.Cid, Deal: d.deal()})
	}
	return out
}

// deal is nil for a filler. Direct onboarding without an allocation, which damocles
// itself takes for a filler, is known by its schedule.
func (d *DealInfo) deal() *sector.Deal {
	if d == nil || d.DealID == 0 && d.AllocationID == 0 && !validSchedule(d.StartEpoch, d.EndEpoch) {
		return nil
	}
	deal := &sector.Deal{
		Kind:         sector.DDO,
		ID:           d.DealID,
		PublishCid:   d.PublishCid,
		AllocationID: d.AllocationID,
		Client:       d.Client,
		Provider:     d.Provider,
		StartEpoch:   d.StartEpoch,
		EndEpoch:     d.EndEpoch,
		PayloadSize:  d.PayloadSize,
	}
	if d.DealID != 0 {
		deal.Kind = sector.BuiltinMarket
	}
	return deal
}

func validSchedule(start, end abi.ChainEpoch) bool { return start > 0 && end > start }

func (d *LegacyDeal) deal() *sector.Deal {
	if d.ID == 0 {
		return nil
	}
	deal := &sector.Deal{
		Kind:        sector.BuiltinMarket,
		ID:          d.ID,
		Proposal:    d.Proposal,
		PayloadSize: d.PayloadSize,
	}
	if p := d.Proposal; p != nil {
		deal.Client = p.Client
		deal.Provider = p.Provider
		deal.StartEpoch = p.StartEpoch
		deal.EndEpoch = p.EndEpoch
	}
	return deal
}
