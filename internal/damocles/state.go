package damocles

import (
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

// SectorState is what damocles keeps of a sector, as JSON in both workspaces
// and over RPC. Fields stand in the order in which damocles v0.13 writes them,
// and with the names that it uses; DecodeState and EncodeState read and write
// them.
type SectorState struct {
	ID         abi.SectorID
	SectorType abi.RegisteredSealProof

	Ticket *Ticket `json:",omitempty"`
	Seed   *Seed   `json:",omitempty"`
	// Deals is the only list of pieces in damocles up to v0.9. Later versions
	// read it where Pieces is empty, and write Pieces.
	Deals  []LegacyDeal
	Pieces []SectorPiece
	// Pre and Proof are of the original sealing, even in an upgraded sector.
	Pre   *PreCommitInfo `json:",omitempty"`
	Proof *ProofInfo     `json:",omitempty"`

	MessageInfo   MessageInfo
	TerminateInfo TerminateInfo
	// LatestState is what the sealing worker said last; imported sectors have none.
	LatestState *LatestState `json:",omitempty"`

	Finalized   bool
	Removed     bool
	AbortReason string

	Upgraded      bool
	UpgradePublic *UpgradePublic
	UpgradedInfo  *UpgradedInfo
	// UpgradeMessageID is <unsigned message cid>-<i> where damocles sent the
	// upgrade itself, and a chain CID in an imported sector.
	UpgradeMessageID   *string
	UpgradeLandedEpoch *abi.ChainEpoch

	Imported    bool
	NeedRebuild bool
	Unsealing   bool
}

// Ticket is the randomness of the replica.
type Ticket struct {
	Ticket []byte
	Epoch  abi.ChainEpoch
}

// Seed is the randomness of the PoRep proof.
type Seed struct {
	Seed  []byte
	Epoch abi.ChainEpoch
}

// LegacyDeal is a piece with its built-in market deal, or a filler where ID is 0.
type LegacyDeal struct {
	ID           abi.DealID
	PayloadSize  uint64
	Piece        LegacyPiece
	Proposal     *market.DealProposal
	IsCompatible bool
}

// LegacyPiece is a piece in a LegacyDeal.
type LegacyPiece struct {
	Size   abi.PaddedPieceSize
	Offset abi.PaddedPieceSize
	Cid    cid.Cid
}

// SectorPiece is a piece with its deal, or a filler where DealInfo is nil.
type SectorPiece struct {
	Piece    Piece
	DealInfo *DealInfo
}

// Piece is the commitment to a piece.
type Piece struct {
	Size     abi.PaddedPieceSize
	PieceCID cid.Cid
}

// DealInfo is a deal of the built-in market or of direct data onboarding.
//
// In damocles the first twelve fields are one embedded pointer. Where they are
// all absent, it reads a nil pointer and panics as soon as it looks at the deal.
// Here they are plain fields, so that an incomplete deal cannot be written.
type DealInfo struct {
	DealID       abi.DealID
	PublishCid   cid.Cid
	AllocationID uint64
	PieceCID     cid.Cid
	PieceSize    abi.PaddedPieceSize
	Client       address.Address
	Provider     address.Address
	Offset       abi.PaddedPieceSize
	Length       abi.PaddedPieceSize
	PayloadSize  uint64
	StartEpoch   abi.ChainEpoch
	EndEpoch     abi.ChainEpoch

	IsBuiltinMarket bool
	IsCompatible    bool
}

// empty says that nothing of the deal is known.
func (d *DealInfo) empty() bool {
	return *d == DealInfo{IsBuiltinMarket: d.IsBuiltinMarket, IsCompatible: d.IsCompatible}
}

// PreCommitInfo is what the PreCommit message says of the sector.
type PreCommitInfo struct {
	CommR  cid.Cid
	CommD  cid.Cid
	Ticket Ticket
}

// ProofInfo is the PoRep proof.
type ProofInfo struct {
	Proof []byte
}

// MessageInfo names the messages of the sealing. In a sector that damocles
// sealed, its two "CIDs" are message UIDs, which no chain knows: see IsChainCid.
type MessageInfo struct {
	PreCommitCid cid.Cid
	CommitCid    cid.Cid
	// NeedSend makes damocles send the next message of an online sector.
	NeedSend bool
}

// TerminateInfo is the sector's termination. damocles sends or polls it after
// every start where AddedHeight is set and TerminatedAt is not.
type TerminateInfo struct {
	TerminateCid cid.Cid
	TerminatedAt abi.ChainEpoch
	AddedHeight  abi.ChainEpoch
}

// LatestState is the last report of the worker that sealed the sector.
type LatestState struct {
	Worker      Worker
	StateChange StateChange
	Failure     *Failure
}

// Worker says which worker it was, and where it kept the sector.
type Worker struct {
	Instance string
	Location string
}

// StateChange is a step of the worker.
type StateChange struct {
	Prev  string
	Next  string
	Event string
}

// Failure is why a step of the worker failed.
type Failure struct {
	Level string
	Desc  string
}

// UpgradePublic is the sector on chain just before its upgrade.
type UpgradePublic struct {
	CommR      [32]byte
	SealedCID  cid.Cid
	Activation abi.ChainEpoch
	Expiration abi.ChainEpoch
}

// UpgradedInfo is the updated replica. An imported sector has an empty one.
type UpgradedInfo struct {
	AccessInstance string
	SealedCID      cid.Cid
	UnsealedCID    cid.Cid
	Proof          []byte
}
