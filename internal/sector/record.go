package sector

import (
	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

// Record is all that any of the systems knows of a sector, in no system's own
// form. What is not known is zero: nothing in it is ever made up.
type Record struct {
	ID        ID
	SealProof abi.RegisteredSealProof

	// Status says what may be done with the sector, State is the word that the
	// system itself uses for it ("Proving", "offline").
	Status Status
	State  string

	Ticket Randomness
	Seed   Randomness

	// Original is the replica that the sector was sealed with. In an upgraded
	// sector it is the key, and its CommR is the chain's SectorKeyCID.
	Original Replica
	// Update is the replica of a snap upgrade, whether or not it is on chain; nil
	// where there is none. An empty one says that there is an upgrade of which
	// nothing is known.
	Update *Replica
	// Upgraded says that the chain has the update: Update is what is proven daily.
	Upgraded bool

	Messages    Messages
	Termination Termination
	// Chain is what the chain said of the sector, nil where it was not asked.
	Chain *OnChain
}

// Live returns the replica that the sector is proven with.
func (r *Record) Live() *Replica {
	if r.Upgraded && r.Update != nil {
		return r.Update
	}
	return &r.Original
}

// Size returns the sector's size in bytes, 0 where the seal proof is unknown.
func (r *Record) Size() abi.PaddedPieceSize {
	size, err := r.SealProof.SectorSize()
	if err != nil {
		return 0
	}
	return abi.PaddedPieceSize(size)
}

// Randomness is drawn from the chain at an epoch; zero where unknown.
type Randomness struct {
	Value []byte
	Epoch abi.ChainEpoch
}

// Replica is a sealed form of the sector's data.
type Replica struct {
	CommR cid.Cid
	CommD cid.Cid
	// Proof is the PoRep proof, or the proof of the replica update.
	Proof []byte
	// Pieces fill the sector in order; nil where they are unknown.
	Pieces []Piece
}

// Piece is a part of the sector's data.
type Piece struct {
	Size abi.PaddedPieceSize
	CID  cid.Cid
	// Deal is nil for a filler.
	Deal *Deal
}

// DealKind tells the ways apart in which data comes into a sector.
type DealKind uint8

const (
	// BuiltinMarket is a deal of the built-in storage market actor.
	BuiltinMarket DealKind = iota + 1
	// DDO is direct data onboarding, with or without a verified allocation.
	DDO
)

// Deal is why a piece is in a sector.
type Deal struct {
	Kind DealKind

	// ID, PublishCid and Proposal belong to a built-in market deal. Proposal is
	// nil where only the chain has it.
	ID         abi.DealID
	PublishCid cid.Cid
	Proposal   *market.DealProposal

	// AllocationID belongs to verified direct data onboarding; 0 is none.
	AllocationID uint64

	// Client owns the data; Undef where unknown. Provider is the miner.
	Client   address.Address
	Provider address.Address

	// StartEpoch and EndEpoch are the deal's schedule.
	StartEpoch abi.ChainEpoch
	EndEpoch   abi.ChainEpoch

	// PayloadSize is the size in bytes before padding; 0 where unknown.
	PayloadSize uint64

	// Notify are the actors that want to hear of the activation, and
	// KeepUnsealed is a wish of the client; only lotus-miner keeps these two.
	Notify       []Notify
	KeepUnsealed bool
}

// Notify is an actor and what to send it when a piece is activated.
type Notify struct {
	Address address.Address
	Payload []byte
}

// Messages are the chain's CIDs of the messages that brought the sector there;
// Undef where unknown. damocles's own message UIDs are no chain CIDs and never
// stand here.
type Messages struct {
	PreCommit cid.Cid
	Commit    cid.Cid
	Update    cid.Cid
}

// Termination is the end of a sector before its expiration. A zero epoch means
// that it is not terminated.
type Termination struct {
	Message cid.Cid
	Epoch   abi.ChainEpoch
}

// OnChain is a sector as the chain has it.
type OnChain struct {
	// Absent: the chain has no such sector (any more).
	Absent     bool
	SealedCID  cid.Cid
	SectorKey  cid.Cid
	Activation abi.ChainEpoch
	Expiration abi.ChainEpoch
}
