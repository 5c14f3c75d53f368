package lotus

import (
	"fmt"
	"reflect"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"

	"damocles-manager/internal/sector"
)

// LackingOverRPC names the fields of SectorInfo that lotus-miner does not tell
// over RPC. CCUpdate is among them, although SectorInfo concludes it.
func LackingOverRPC() []string {
	return []string{
		"CreationTime", "PreCommit1Out", "PreCommit1Fails", "PreCommitDeposit", "PreCommitTipSet", "PreCommit2Fails",
		"CCUpdate", "CCPieces", "UpdateSealed", "UpdateUnsealed", "ReplicaUpdateProof",
		"FaultReportMsg", "Return", "TerminateMessage", "TerminatedAt",
		"RemoteDataUnsealed", "RemoteDataSealed", "RemoteDataCache",
		"RemoteCommit1Endpoint", "RemoteCommit2Endpoint", "RemoteSealingDoneEndpoint", "RemoteDataFinalized",
	}
}

// Completed returns the sector with the fields that lotus-miner does not tell over
// RPC from held, where it does not have them itself. held is the same sector in a
// repo and must not contradict it. The two share memory.
func (si *SectorInfo) Completed(held *SectorInfo) *SectorInfo {
	out := *si
	own, more := reflect.ValueOf(&out).Elem(), reflect.ValueOf(held).Elem()
	for _, name := range LackingOverRPC() {
		if field := own.FieldByName(name); isUnknown(field) {
			field.Set(more.FieldByName(name))
		}
	}
	return &out
}

// isUnknown says whether a field holds what decoding makes of nothing.
func isUnknown(field reflect.Value) bool {
	if amount, ok := field.Interface().(big.Int); ok {
		return amount.Int == nil || amount.Sign() == 0
	}
	if field.Kind() == reflect.Slice {
		return field.Len() == 0
	}
	return field.IsZero()
}

// SectorInfo returns the sector in the form of the datastore, so that one path
// leads on to a Record. What RPC does not tell is zero.
func (s *APISector) SectorInfo() (*SectorInfo, []sector.Note) {
	si := &SectorInfo{
		State:                s.State,
		SectorNumber:         s.SectorID,
		SectorType:           s.SealProof,
		TicketValue:          s.Ticket.Value,
		TicketEpoch:          s.Ticket.Epoch,
		CommD:                s.CommD,
		CommR:                s.CommR,
		Proof:                s.Proof,
		PreCommitMessage:     s.PreCommitMsg,
		SeedValue:            s.Seed.Value,
		SeedEpoch:            s.Seed.Epoch,
		CommitMessage:        s.CommitMsg,
		InvalidProofs:        s.Retries,
		ReplicaUpdateMessage: s.ReplicaUpdateMessage,
		LastErr:              s.LastErr,
		CCUpdate:             s.ReplicaUpdateMessage != nil,
	}
	for _, l := range s.Log {
		si.Log = append(si.Log, Log{Timestamp: l.Timestamp, Trace: l.Trace, Message: l.Message, Kind: l.Kind})
	}
	var notes []sector.Note
	for i, p := range s.Pieces {
		piece := SectorPiece{Piece: abi.PieceInfo(p.Piece), DealInfo: p.DealInfo.stored()}
		if id := s.dealID(i); p.DealInfo == nil && id != 0 {
			piece.DealInfo = hiddenDeal(id, p)
			notes = append(notes, sector.Note{
				Code: "deal-hidden",
				Text: fmt.Sprintf("lotus-miner holds deal %d but finds it invalid and does not show it", id),
			})
		}
		si.Pieces = append(si.Pieces, piece)
	}
	return si, notes
}

// dealID returns the deal of the piece at i, 0 for none.
func (s *APISector) dealID(i int) abi.DealID {
	if i < len(s.Deals) {
		return s.Deals[i]
	}
	return 0
}

func hiddenDeal(id abi.DealID, p APIPiece) *PieceDealInfo {
	return &PieceDealInfo{
		DealID:                  id,
		PieceActivationManifest: &PieceActivationManifest{CID: p.Piece.PieceCID, Size: p.Piece.Size},
	}
}

func (d *APIDealInfo) stored() *PieceDealInfo {
	if d == nil {
		return nil
	}
	return &PieceDealInfo{
		PublishCid:              d.PublishCid,
		DealID:                  d.DealID,
		DealProposal:            d.DealProposal,
		DealSchedule:            DealSchedule(d.DealSchedule),
		PieceActivationManifest: d.PieceActivationManifest.stored(),
		KeepUnsealed:            d.KeepUnsealed,
	}
}

func (m *APIManifest) stored() *PieceActivationManifest {
	if m == nil {
		return nil
	}
	out := &PieceActivationManifest{
		CID:                   m.CID,
		Size:                  m.Size,
		VerifiedAllocationKey: (*VerifiedAllocationKey)(m.VerifiedAllocationKey),
	}
	for _, n := range m.Notify {
		out.Notify = append(out.Notify, DataActivationNotification(n))
	}
	return out
}
