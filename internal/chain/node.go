// Package chain asks a chain node (lotus or venus) what the chain says of a
// miner: its sectors, the numbers it has used, its deals. It only reads.
package chain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
)

// ErrNoDeal: the chain does not have the deal, or no longer: it forgets a deal
// that ended, was slashed, or was never sealed in time.
var ErrNoDeal = errors.New("the deal is not on chain")

// Node is a chain node. Its answers are those of the newest tipset, or of one
// fixed tipset, see At. Its errors are those of package rpc. It may be used by
// many goroutines.
type Node struct {
	rpc *rpc.Client
	at  []cid.Cid
}

// ParseEndpoint reads the address of a chain node, as in FULLNODE_API_INFO.
func ParseEndpoint(s string) (rpc.Endpoint, error) { return rpc.Parse(s, "/rpc/v1") }

// Dial makes a client that asks at the newest tipset; the first call connects.
func Dial(at rpc.Endpoint, opts rpc.Options) *Node {
	if opts.Name == "" {
		opts.Name = "chain node"
	}
	if opts.TokenHint == "" {
		opts.TokenHint = "take a token of the chain node: lotus auth api-info --perm read, or one of sophon-auth"
	}
	// Gateways that serve several programs at one address choose by this header.
	header := opts.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("X-VENUS-API-NAMESPACE", "v1.FullNode")
	opts.Header = header
	return &Node{rpc: rpc.New(at, opts), at: []cid.Cid{}}
}

// Head is a tipset: its key and its height.
type Head struct {
	Key    []cid.Cid `json:"Cids"`
	Height abi.ChainEpoch
}

// Head returns the newest tipset.
func (n *Node) Head(ctx context.Context) (Head, error) {
	var h Head
	if err := n.rpc.Call(ctx, &h, "Filecoin.ChainHead"); err != nil {
		return Head{}, err
	}
	if len(h.Key) == 0 {
		return Head{}, fault.New("check that the chain node is in sync", "%s has no chain head", n.rpc)
	}
	return h, nil
}

// At returns the same node, answering as of one tipset, so that all answers of a
// run fit together while the chain goes on.
func (n *Node) At(h Head) *Node { return &Node{rpc: n.rpc, at: append([]cid.Cid{}, h.Key...)} }

// Sector is a sector as the chain has it.
type Sector struct {
	Number    abi.SectorNumber `json:"SectorNumber"`
	SealProof abi.RegisteredSealProof
	// SealedCID is the CommR that is proven now.
	SealedCID cid.Cid
	// SectorKeyCID is the CommR before an upgrade; nil if there was none.
	SectorKeyCID *cid.Cid
	Activation   abi.ChainEpoch
	Expiration   abi.ChainEpoch
}

// SectorInfo returns a sector; nil if the chain does not have it: never
// activated, or terminated, or expired and cleaned up.
func (n *Node) SectorInfo(ctx context.Context, miner address.Address, number abi.SectorNumber) (*Sector, error) {
	var s *Sector
	if err := n.rpc.Call(ctx, &s, "Filecoin.StateSectorGetInfo", miner, number, n.at); err != nil || s == nil {
		return nil, err
	}
	if s.Number != number || !s.SealedCID.Defined() {
		return nil, fault.New("check that the address is that of a chain node",
			"%s answered about sector %d, without a sealed CID or of another number, instead of sector %d", n.rpc, s.Number, number)
	}
	return s, nil
}

// Allocated returns every sector number that the miner ever used on chain.
func (n *Node) Allocated(ctx context.Context, miner address.Address) (bitfield.BitField, error) {
	var used *bitfield.BitField
	if err := n.rpc.Call(ctx, &used, "Filecoin.StateMinerAllocated", miner, n.at); err != nil {
		return bitfield.BitField{}, err
	}
	if used == nil {
		// To take this for "none used" could lead to a number being used twice.
		return bitfield.BitField{}, fault.New("check that the chain node is in sync",
			"%s did not say which sector numbers %s has used", n.rpc, miner)
	}
	return *used, nil
}

// Deal returns the proposal of a built-in market deal; ErrNoDeal where there is
// none. A label of bytes comes as "": nodes lose it in JSON.
func (n *Node) Deal(ctx context.Context, id abi.DealID) (*market.DealProposal, error) {
	var deal struct{ Proposal *market.DealProposal }
	err := n.rpc.Call(ctx, &deal, "Filecoin.StateMarketStorageDeal", id, n.at)
	if e, ok := errors.AsType[*rpc.RPCError](err); ok && strings.Contains(e.Message, fmt.Sprintf("deal %d not found", id)) {
		return nil, fault.New("an ended deal has to be taken from elsewhere, or left out", "deal %d: %w", id, ErrNoDeal)
	}
	if err == nil && deal.Proposal == nil {
		err = fault.New("check that the address is that of a chain node", "%s answered about deal %d without its proposal", n.rpc, id)
	}
	return deal.Proposal, err
}

// LookupID returns the actor ID of any kind of address.
func (n *Node) LookupID(ctx context.Context, addr address.Address) (abi.ActorID, error) {
	if addr.Protocol() != address.ID {
		var found address.Address
		if err := n.rpc.Call(ctx, &found, "Filecoin.StateLookupID", addr, n.at); err != nil {
			return 0, err
		}
		addr = found
	}
	id, err := address.IDFromAddress(addr)
	if err != nil {
		return 0, fmt.Errorf("%s: the ID of %s: %w", n.rpc, addr, err)
	}
	return abi.ActorID(id), nil
}

// MinerInfo is what the chain says of a miner actor.
type MinerInfo struct {
	Owner               address.Address
	Worker              address.Address
	ControlAddresses    []address.Address
	WindowPoStProofType abi.RegisteredPoStProof
	SectorSize          abi.SectorSize
}

// MinerInfo returns the miner's addresses and its sector size.
func (n *Node) MinerInfo(ctx context.Context, miner address.Address) (MinerInfo, error) {
	var info *MinerInfo
	if err := n.rpc.Call(ctx, &info, "Filecoin.StateMinerInfo", miner, n.at); err != nil {
		return MinerInfo{}, err
	}
	if info == nil || info.SectorSize == 0 {
		return MinerInfo{}, fault.New("check the miner's address and the chain node", "%s knows no miner %s", n.rpc, miner)
	}
	return *info, nil
}

// NetworkName returns the chain's own name; that of mainnet is "testnetnet".
func (n *Node) NetworkName(ctx context.Context) (string, error) {
	var name string
	err := n.rpc.Call(ctx, &name, "Filecoin.StateNetworkName")
	return name, err
}
