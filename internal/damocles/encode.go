package damocles

import (
	"errors"

	"github.com/filecoin-project/go-state-types/builtin/v9/market"
)

// EncodeState writes a state byte for byte as damocles v0.13 does.
func EncodeState(s *SectorState) ([]byte, error) {
	if s == nil {
		return nil, errors.New("encode sector state: there is none")
	}
	f := form{buf: make([]byte, 0, 3072)}
	f.state(s)
	return f.buf, nil
}

func (f *form) state(s *SectorState) {
	number(f, `{"ID":{"Miner":`, &s.ID.Miner)
	number(f, `,"Number":`, &s.ID.Number)
	number(f, `},"SectorType":`, &s.SectorType)
	if omittable(f, `,"Ticket":`, &s.Ticket) {
		f.ticket(s.Ticket)
	}
	if omittable(f, `,"Seed":`, &s.Seed) {
		f.bytes(`{"Seed":`, &s.Seed.Seed)
		number(f, `,"Epoch":`, &s.Seed.Epoch)
		f.literal(`}`)
	}
	array(f, `,"Deals":`, &s.Deals, (*form).legacyDeal)
	array(f, `,"Pieces":`, &s.Pieces, (*form).piece)
	if omittable(f, `,"Pre":`, &s.Pre) {
		f.cid(`{"CommR":`, &s.Pre.CommR)
		f.cid(`,"CommD":`, &s.Pre.CommD)
		f.literal(`,"Ticket":`)
		f.ticket(&s.Pre.Ticket)
		f.literal(`}`)
	}
	if omittable(f, `,"Proof":`, &s.Proof) {
		f.bytes(`{"Proof":`, &s.Proof.Proof)
		f.literal(`}`)
	}
	f.messages(s)
	if omittable(f, `,"LatestState":`, &s.LatestState) {
		f.latestState(s.LatestState)
	}
	f.bool(`,"Finalized":`, &s.Finalized)
	f.bool(`,"Removed":`, &s.Removed)
	f.string(`,"AbortReason":`, &s.AbortReason)
	f.upgrade(s)
	f.bool(`,"Imported":`, &s.Imported)
	f.bool(`,"NeedRebuild":`, &s.NeedRebuild)
	f.bool(`,"Unsealing":`, &s.Unsealing)
	f.literal(`}`)
}

func (f *form) ticket(t *Ticket) {
	f.bytes(`{"Ticket":`, &t.Ticket)
	number(f, `,"Epoch":`, &t.Epoch)
	f.literal(`}`)
}

func (f *form) legacyDeal(d *LegacyDeal) {
	number(f, `{"ID":`, &d.ID)
	number(f, `,"PayloadSize":`, &d.PayloadSize)
	number(f, `,"Piece":{"Size":`, &d.Piece.Size)
	number(f, `,"Offset":`, &d.Piece.Offset)
	f.cid(`,"Cid":`, &d.Piece.Cid)
	if nullable(f, `},"Proposal":`, &d.Proposal) {
		f.proposal(d.Proposal)
	}
	f.bool(`,"IsCompatible":`, &d.IsCompatible)
	f.literal(`}`)
}

func (f *form) proposal(p *market.DealProposal) {
	f.cid(`{"PieceCID":`, &p.PieceCID)
	number(f, `,"PieceSize":`, &p.PieceSize)
	f.bool(`,"VerifiedDeal":`, &p.VerifiedDeal)
	f.address(`,"Client":`, &p.Client)
	f.address(`,"Provider":`, &p.Provider)
	f.label(`,"Label":`, &p.Label)
	number(f, `,"StartEpoch":`, &p.StartEpoch)
	number(f, `,"EndEpoch":`, &p.EndEpoch)
	f.amount(`,"StoragePricePerEpoch":`, &p.StoragePricePerEpoch)
	f.amount(`,"ProviderCollateral":`, &p.ProviderCollateral)
	f.amount(`,"ClientCollateral":`, &p.ClientCollateral)
	f.literal(`}`)
}

func (f *form) piece(p *SectorPiece) {
	number(f, `{"Piece":{"Size":`, &p.Piece.Size)
	f.cid(`,"PieceCID":`, &p.Piece.PieceCID)
	if nullable(f, `},"DealInfo":`, &p.DealInfo) {
		f.dealInfo(p.DealInfo)
	}
	f.literal(`}`)
}

func (f *form) dealInfo(d *DealInfo) {
	number(f, `{"DealID":`, &d.DealID)
	f.cid(`,"PublishCid":`, &d.PublishCid)
	number(f, `,"AllocationID":`, &d.AllocationID)
	f.cid(`,"PieceCID":`, &d.PieceCID)
	number(f, `,"PieceSize":`, &d.PieceSize)
	f.address(`,"Client":`, &d.Client)
	f.address(`,"Provider":`, &d.Provider)
	number(f, `,"Offset":`, &d.Offset)
	number(f, `,"Length":`, &d.Length)
	number(f, `,"PayloadSize":`, &d.PayloadSize)
	number(f, `,"StartEpoch":`, &d.StartEpoch)
	number(f, `,"EndEpoch":`, &d.EndEpoch)
	f.bool(`,"IsBuiltinMarket":`, &d.IsBuiltinMarket)
	f.bool(`,"IsCompatible":`, &d.IsCompatible)
	f.literal(`}`)
}

func (f *form) messages(s *SectorState) {
	f.cid(`,"MessageInfo":{"PreCommitCid":`, &s.MessageInfo.PreCommitCid)
	f.cid(`,"CommitCid":`, &s.MessageInfo.CommitCid)
	f.bool(`,"NeedSend":`, &s.MessageInfo.NeedSend)
	f.cid(`},"TerminateInfo":{"TerminateCid":`, &s.TerminateInfo.TerminateCid)
	number(f, `,"TerminatedAt":`, &s.TerminateInfo.TerminatedAt)
	number(f, `,"AddedHeight":`, &s.TerminateInfo.AddedHeight)
	f.literal(`}`)
}

func (f *form) latestState(l *LatestState) {
	f.string(`{"Worker":{"Instance":`, &l.Worker.Instance)
	f.string(`,"Location":`, &l.Worker.Location)
	f.string(`},"StateChange":{"Prev":`, &l.StateChange.Prev)
	f.string(`,"Next":`, &l.StateChange.Next)
	f.string(`,"Event":`, &l.StateChange.Event)
	if nullable(f, `},"Failure":`, &l.Failure) {
		f.string(`{"Level":`, &l.Failure.Level)
		f.string(`,"Desc":`, &l.Failure.Desc)
		f.literal(`}`)
	}
	f.literal(`}`)
}

func (f *form) upgrade(s *SectorState) {
	f.bool(`,"Upgraded":`, &s.Upgraded)
	if nullable(f, `,"UpgradePublic":`, &s.UpgradePublic) {
		f.commitment(`{"CommR":`, &s.UpgradePublic.CommR)
		f.cid(`,"SealedCID":`, &s.UpgradePublic.SealedCID)
		number(f, `,"Activation":`, &s.UpgradePublic.Activation)
		number(f, `,"Expiration":`, &s.UpgradePublic.Expiration)
		f.literal(`}`)
	}
	if nullable(f, `,"UpgradedInfo":`, &s.UpgradedInfo) {
		f.string(`{"AccessInstance":`, &s.UpgradedInfo.AccessInstance)
		f.cid(`,"SealedCID":`, &s.UpgradedInfo.SealedCID)
		f.cid(`,"UnsealedCID":`, &s.UpgradedInfo.UnsealedCID)
		f.bytes(`,"Proof":`, &s.UpgradedInfo.Proof)
		f.literal(`}`)
	}
	if nullable(f, `,"UpgradeMessageID":`, &s.UpgradeMessageID) {
		f.string(``, s.UpgradeMessageID)
	}
	if nullable(f, `,"UpgradeLandedEpoch":`, &s.UpgradeLandedEpoch) {
		number(f, ``, s.UpgradeLandedEpoch)
	}
}
