package lotus

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

//go:generate go run ./gen

// SectorInfo is a sector as lotus-miner's datastore holds it: a CBOR map of 39
// fields, and the same names in JSON. The names are the format; the order of
// declaration is lotus's own and means nothing.
type SectorInfo struct {
	State        string
	SectorNumber abi.SectorNumber
	SectorType   abi.RegisteredSealProof

	CreationTime int64 // unix seconds
	Pieces       []SectorPiece

	TicketValue     []byte
	TicketEpoch     abi.ChainEpoch
	PreCommit1Out   []byte
	PreCommit1Fails uint64

	CommD *cid.Cid
	CommR *cid.Cid
	Proof []byte

	PreCommitDeposit big.Int
	PreCommitMessage *cid.Cid
	PreCommitTipSet  TipSetKey
	PreCommit2Fails  uint64

	SeedValue []byte
	SeedEpoch abi.ChainEpoch

	CommitMessage *cid.Cid
	InvalidProofs uint64

	// CCUpdate stays true from the start of a snap upgrade on. From then on
	// Pieces are those of the update and CCPieces those it began with.
	CCUpdate             bool
	CCPieces             []SectorPiece
	UpdateSealed         *cid.Cid
	UpdateUnsealed       *cid.Cid
	ReplicaUpdateProof   []byte
	ReplicaUpdateMessage *cid.Cid

	FaultReportMsg *cid.Cid

	// Return is the state that lotus goes back to once it has recovered deal IDs.
	Return string

	TerminateMessage *cid.Cid
	TerminatedAt     abi.ChainEpoch

	RemoteDataUnsealed        *SectorLocation
	RemoteDataSealed          *SectorLocation
	RemoteDataCache           *SectorLocation
	RemoteCommit1Endpoint     string
	RemoteCommit2Endpoint     string
	RemoteSealingDoneEndpoint string
	RemoteDataFinalized       bool

	LastErr string
	Log     []Log
}

// Log is one step of a sector's history.
type Log struct {
	Timestamp uint64
	Trace     string
	Message   string
	Kind      string
}

// SectorPiece is a piece with the reason why it is there; a nil DealInfo marks
// a filler.
type SectorPiece struct {
	Piece    abi.PieceInfo
	DealInfo *PieceDealInfo
}

// PieceDealInfo has two forms, of which lotus demands exactly one: PublishCid,
// DealID and DealProposal of the built-in market, or the manifest of direct
// data onboarding (DDO). See Valid.
type PieceDealInfo struct {
	PublishCid              *cid.Cid
	DealID                  abi.DealID
	DealProposal            *market.DealProposal
	DealSchedule            DealSchedule
	PieceActivationManifest *PieceActivationManifest
	KeepUnsealed            bool
}

// DealSchedule is when the piece must be sealed, and until when it is stored.
type DealSchedule struct {
	StartEpoch abi.ChainEpoch
	EndEpoch   abi.ChainEpoch
}

// PieceActivationManifest is a DDO piece, in CBOR an array.
type PieceActivationManifest struct {
	CID                   cid.Cid
	Size                  abi.PaddedPieceSize
	VerifiedAllocationKey *VerifiedAllocationKey
	Notify                []DataActivationNotification
}

// VerifiedAllocationKey names a verified client's allocation, in CBOR an array.
type VerifiedAllocationKey struct {
	Client abi.ActorID
	ID     uint64
}

// DataActivationNotification is an actor to call on activation, in CBOR an array.
type DataActivationNotification struct {
	Address address.Address
	Payload []byte
}

// SectorLocation is where a sector's data lies on another host.
type SectorLocation struct {
	Local   bool
	URL     string
	Headers []SectorLocationHeader
}

// SectorLocationHeader is an HTTP header to send to that host.
type SectorLocationHeader struct {
	Key   string
	Value string
}

// TipSetKey is the CIDs of a tipset's blocks, one after the other. Nothing here
// looks into it, so it is carried as it is.
type TipSetKey []byte

// MarshalJSON writes the CIDs as lotus does, as an array.
func (k TipSetKey) MarshalJSON() ([]byte, error) {
	cids := []cid.Cid{}
	for rest := []byte(k); len(rest) > 0; {
		n, c, err := cid.CidFromBytes(rest)
		if err != nil {
			return nil, err
		}
		cids = append(cids, c)
		rest = rest[n:]
	}
	return json.Marshal(cids)
}

// UnmarshalJSON reads lotus's array of CIDs.
func (k *TipSetKey) UnmarshalJSON(b []byte) error {
	var cids []cid.Cid
	if err := json.Unmarshal(b, &cids); err != nil {
		return err
	}
	*k = nil
	for _, c := range cids {
		*k = append(*k, c.Bytes()...)
	}
	return nil
}

// Valid states lotus's own rule (the test of the network version aside). lotus
// hides a deal that breaks it, and then takes the piece for a filler.
func (d *PieceDealInfo) Valid() error {
	legacy := d.PublishCid != nil && d.DealID != 0 && d.DealProposal != nil
	manifest := d.PieceActivationManifest != nil
	switch {
	case legacy && manifest:
		return errors.New("it is a built-in market deal and a DDO piece at once")
	case !legacy && !manifest:
		return errors.New("it is neither a whole built-in market deal nor a DDO piece")
	case d.DealSchedule.StartEpoch <= 0, d.DealSchedule.EndEpoch <= d.DealSchedule.StartEpoch:
		return fmt.Errorf("its schedule is not valid: start %d, end %d",
			d.DealSchedule.StartEpoch, d.DealSchedule.EndEpoch)
	}
	if legacy {
		if _, err := d.DealProposal.Cid(); err != nil {
			return fmt.Errorf("its proposal is not whole: %w", err)
		}
	}
	return nil
}
