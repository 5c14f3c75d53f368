package migrate

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/sector"
)

// ChainNode is a chain node as this room asks it.
type ChainNode struct{ node *chain.Node }

var _ Chain = ChainNode{}

// NewChainNode wraps a node, which should answer as of one tipset, so that all
// answers of a run fit together.
func NewChainNode(node *chain.Node) ChainNode { return ChainNode{node} }

// Sector asks for a sector.
func (c ChainNode) Sector(ctx context.Context, id sector.ID) (sector.OnChain, error) {
	miner, err := address.NewIDAddress(uint64(id.Miner))
	if err != nil {
		return sector.OnChain{}, err
	}
	s, err := c.node.SectorInfo(ctx, miner, id.Number)
	if err != nil {
		return sector.OnChain{}, err
	}
	return OnChain(s), nil
}

// OnChain is a chain node's answer in the neutral form; nil says that the chain
// has no such sector.
func OnChain(s *chain.Sector) sector.OnChain {
	if s == nil {
		return sector.OnChain{Absent: true}
	}
	on := sector.OnChain{SealedCID: s.SealedCID, Activation: s.Activation, Expiration: s.Expiration}
	if s.SectorKeyCID != nil {
		on.SectorKey = *s.SectorKeyCID
	}
	return on
}

// Deal asks for a deal's proposal.
func (c ChainNode) Deal(ctx context.Context, id abi.DealID) (*market.DealProposal, error) {
	p, err := c.node.Deal(ctx, id)
	if errors.Is(err, chain.ErrNoDeal) {
		return nil, nil
	}
	return p, err
}

// LookupID asks for the ID address of an actor.
func (c ChainNode) LookupID(ctx context.Context, addr address.Address) (address.Address, error) {
	id, err := c.node.LookupID(ctx, addr)
	if err != nil {
		return address.Undef, err
	}
	return address.NewIDAddress(uint64(id))
}

// HighestAllocated asks for the numbers that the miner has used.
func (c ChainNode) HighestAllocated(ctx context.Context, miner abi.ActorID) (uint64, bool, error) {
	addr, err := address.NewIDAddress(uint64(miner))
	if err != nil {
		return 0, false, err
	}
	used, err := c.node.Allocated(ctx, addr)
	if err != nil {
		return 0, false, err
	}
	last, err := used.Last()
	if errors.Is(err, bitfield.ErrNoBitsSet) {
		return 0, false, nil
	}
	return last, err == nil, err
}
