package lotus

import (
	"encoding/json"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

// APISector is a sector as lotus-miner tells it over RPC. That is less than its
// datastore holds: nothing of the replica before or after an upgrade but the
// original CommD and CommR, and a deal that lotus finds incomplete looks like
// none. Undefined CIDs are nil. It marshals to the JSON that lotus sends.
type APISector struct {
	SectorID abi.SectorNumber
	State    string
	CommD    *cid.Cid
	CommR    *cid.Cid
	Proof    []byte
	// Deals has one entry for every piece, 0 where it is no built-in deal.
	Deals  []abi.DealID
	Pieces []APIPiece
	Ticket APISealRandomness
	Seed   APISealRandomness

	PreCommitMsg *cid.Cid
	CommitMsg    *cid.Cid
	Retries      uint64
	ToUpgrade    bool
	// ReplicaUpdateMessage is the only sign of an upgrade.
	ReplicaUpdateMessage *cid.Cid
	LastErr              string
	Log                  []APILog

	SealProof abi.RegisteredSealProof
	// What follows is from the chain, and zero where it was not asked for or
	// where the chain has no such sector.
	Activation         abi.ChainEpoch
	Expiration         abi.ChainEpoch
	DealWeight         APIInt
	VerifiedDealWeight APIInt
	InitialPledge      APIInt
	OnTime             abi.ChainEpoch
	Early              abi.ChainEpoch
}

// APIPiece is a piece; DealInfo is nil for a filler.
type APIPiece struct {
	Piece    APIPieceInfo
	DealInfo *APIDealInfo
}

// APIPieceInfo is a piece's padded size and CommP.
type APIPieceInfo struct {
	Size     abi.PaddedPieceSize
	PieceCID cid.Cid
}

// APIDealInfo is what belongs to a piece. A built-in deal has PublishCid, DealID
// and DealProposal; direct data onboarding has the PieceActivationManifest. A
// label of bytes comes as "": lotus loses it in JSON.
type APIDealInfo struct {
	PublishCid              *cid.Cid
	DealID                  abi.DealID
	DealProposal            *market.DealProposal
	DealSchedule            APISchedule
	PieceActivationManifest *APIManifest
	KeepUnsealed            bool
}

// APISchedule is when a deal begins and ends.
type APISchedule struct {
	StartEpoch, EndEpoch abi.ChainEpoch
}

// APIManifest is a piece of direct data onboarding.
type APIManifest struct {
	CID                   cid.Cid
	Size                  abi.PaddedPieceSize
	VerifiedAllocationKey *APIAllocation
	Notify                []APINotify
}

// APIAllocation names a verified allocation.
type APIAllocation struct {
	Client abi.ActorID
	ID     uint64
}

// APINotify is an actor that is told of the activation.
type APINotify struct {
	Address address.Address
	Payload []byte
}

// APISealRandomness is a ticket or a seed; Value is nil where there is none yet.
type APISealRandomness struct {
	Value []byte
	Epoch abi.ChainEpoch
}

// APILog is a line of a sector's history.
type APILog struct {
	Kind      string
	Timestamp uint64
	Trace     string
	Message   string
}

// APIInt is a big integer. Lotus sends one that was never set as "<nil>", which
// its own type cannot read back; here that is zero.
type APIInt struct{ big.Int }

// UnmarshalJSON reads a decimal string; null, "<nil>" and "" are zero.
func (i *APIInt) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `null`, `""`, `"<nil>"`, `"\u003cnil\u003e"`:
		i.Int = big.Zero()
		return nil
	}
	return i.Int.UnmarshalJSON(b)
}

// MarshalJSON writes a decimal string.
func (i APIInt) MarshalJSON() ([]byte, error) { return i.Int.MarshalJSON() }

// DecodeAPISector reads the JSON of SectorsStatus. Keys that it does not know
// are left out.
func DecodeAPISector(raw []byte) (*APISector, error) {
	var s APISector
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("decode the sector's status: %w", err)
	}
	return &s, nil
}
