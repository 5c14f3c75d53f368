package lotus

import (
	"reflect"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/sector"
)

// Record returns what the record says of the sector, in the neutral form. The
// two share memory: neither may be changed afterwards.
//
// lotus keeps one list of pieces for the newest replica and a second one for
// what an upgrade began with, so which list is whose hangs on the upgrade.
func (si *SectorInfo) Record(miner abi.ActorID) *sector.Record {
	state := StateOf(si.State)
	rec := &sector.Record{
		ID:        sector.ID{Miner: miner, Number: si.SectorNumber},
		SealProof: si.SectorType,
		Status:    state.Status,
		State:     si.State,
		Ticket:    sector.Randomness{Value: si.TicketValue, Epoch: si.TicketEpoch},
		Seed:      sector.Randomness{Value: si.SeedValue, Epoch: si.SeedEpoch},
		Upgraded:  si.upgraded(state.upgrade),
		Messages: sector.Messages{
			PreCommit: deref(si.PreCommitMessage),
			Commit:    deref(si.CommitMessage),
			Update:    deref(si.ReplicaUpdateMessage),
		},
		Termination: sector.Termination{Message: deref(si.TerminateMessage), Epoch: si.TerminatedAt},
	}
	rec.Original = sector.Replica{
		CommR:  deref(si.CommR),
		CommD:  deref(si.CommD),
		Proof:  si.Proof,
		Pieces: neutralPieces(si.originalPieces(), miner),
	}
	if si.hasUpdate() {
		rec.Update = &sector.Replica{
			CommR:  deref(si.UpdateSealed),
			CommD:  deref(si.UpdateUnsealed),
			Proof:  si.ReplicaUpdateProof,
			Pieces: neutralPieces(si.Pieces, miner),
		}
	}
	return rec
}

func (si *SectorInfo) upgraded(rule upgradeRule) bool {
	switch rule {
	case always:
		return true
	case byMetadata:
		return si.UpdateSealed != nil || si.ReplicaUpdateMessage != nil
	default:
		return false
	}
}

// hasUpdate says whether the record holds an upgrade, finished or not. The state
// counts because RPC does not tell CCUpdate, and the pieces of an upgrade that is
// under way must not pass for those of the first replica.
func (si *SectorInfo) hasUpdate() bool {
	return si.CCUpdate || si.UpdateSealed != nil || si.UpdateUnsealed != nil ||
		si.ReplicaUpdateMessage != nil || len(si.ReplicaUpdateProof) > 0 || StateOf(si.State).snap
}

func (si *SectorInfo) originalPieces() []SectorPiece {
	if si.hasUpdate() {
		return si.CCPieces
	}
	return si.Pieces
}

func (si *SectorInfo) updatePieces() []SectorPiece {
	if si.hasUpdate() {
		return si.Pieces
	}
	return nil
}

func neutralPieces(pieces []SectorPiece, miner abi.ActorID) []sector.Piece {
	if len(pieces) == 0 {
		return nil
	}
	out := make([]sector.Piece, len(pieces))
	for i, p := range pieces {
		out[i] = sector.Piece{Size: p.Piece.Size, CID: p.Piece.PieceCID, Deal: p.DealInfo.neutral(miner)}
	}
	return out
}

// neutral returns the deal, or nil for a filler. A DealID beside a manifest is
// the form of a built-in market deal of which too little is known for its own
// form (see manifestAlone); lotus itself never writes both.
func (d *PieceDealInfo) neutral(miner abi.ActorID) *sector.Deal {
	if d == nil {
		return nil
	}
	deal := &sector.Deal{
		Kind:         sector.DDO,
		Provider:     idAddress(miner),
		StartEpoch:   d.DealSchedule.StartEpoch,
		EndEpoch:     d.DealSchedule.EndEpoch,
		KeepUnsealed: d.KeepUnsealed,
	}
	if d.PublishCid != nil || d.DealID != 0 {
		d.fillBuiltin(deal)
	} else if d.PieceActivationManifest != nil {
		d.PieceActivationManifest.fillDDO(deal)
	}
	return deal
}

func (d *PieceDealInfo) fillBuiltin(deal *sector.Deal) {
	deal.Kind = sector.BuiltinMarket
	deal.ID = d.DealID
	deal.PublishCid = deref(d.PublishCid)
	deal.Proposal = d.DealProposal
	if d.DealProposal != nil {
		deal.Client = d.DealProposal.Client
		deal.Provider = d.DealProposal.Provider
	}
}

func (m *PieceActivationManifest) fillDDO(deal *sector.Deal) {
	if key := m.VerifiedAllocationKey; key != nil {
		deal.AllocationID = key.ID
		deal.Client = idAddress(key.Client)
	}
	for _, n := range m.Notify {
		deal.Notify = append(deal.Notify, sector.Notify{Address: n.Address, Payload: n.Payload})
	}
}

// samePiece says whether base says all that p knows.
func samePiece(p, base sector.Piece) bool {
	if p.Size != base.Size || p.CID != base.CID || (p.Deal == nil) != (base.Deal == nil) {
		return false
	}
	return p.Deal == nil || sameDeal(p.Deal, base.Deal)
}

func sameDeal(d, base *sector.Deal) bool {
	// A client's key address may stand for the ID address in an allocation's key.
	client := d.Client
	if d.Kind == sector.BuiltinMarket || client.Protocol() != address.ID {
		client = address.Undef
	}
	return d.Kind == base.Kind && d.ID == base.ID && d.AllocationID == base.AllocationID &&
		within(d.PublishCid, base.PublishCid) && within(client, base.Client) &&
		within(d.StartEpoch, base.StartEpoch) && within(d.EndEpoch, base.EndEpoch) &&
		within(d.KeepUnsealed, base.KeepUnsealed) && (d.Proposal == nil || base.Proposal != nil) &&
		(len(d.Notify) == 0 || reflect.DeepEqual(d.Notify, base.Notify))
}

// within says whether v is unknown, that is zero, or what base is.
func within[T comparable](v, base T) bool {
	var unknown T
	return v == unknown || v == base
}

// idAddress returns the actor's address, Undef for a number that no actor has.
func idAddress(id abi.ActorID) address.Address {
	addr, err := address.NewIDAddress(uint64(id))
	if err != nil {
		return address.Undef
	}
	return addr
}

func deref(c *cid.Cid) cid.Cid {
	if c == nil {
		return cid.Undef
	}
	return *c
}
