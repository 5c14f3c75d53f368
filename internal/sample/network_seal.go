package sample

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/filecoin-project/go-address"
	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// replicas are what was sealed for a sector. update is nil where it is not upgraded.
type replicas struct {
	order        Order
	sealed       *Sealed
	update       *Sealed
	ticket, seed [32]byte
	// halves are the commitments of both halves of the data where the first is a
	// deal, else nil.
	halves []post.Node
}

// template names what is sealed once, where Network.Distinct allows it.
type template struct {
	data, snap, deal bool
	turn             int
}

// maker seals the sectors of a network, those that may be the same only once.
type maker struct {
	network Network
	turns   map[template]int
	known   map[template]*replicas
}

func (m *maker) replicas(ctx context.Context, w Wanted) (*replicas, error) {
	switch {
	case w.Data && w.Snap:
		return nil, fault.BadUsage("want it either with Data or with Snap", "only a sector without data can be upgraded")
	case w.Deal && !w.Data && !w.Snap:
		return nil, fault.BadUsage("want it with Data or with Snap, too", "a deal is about data")
	case m.network.Distinct <= 0:
		return m.seal(ctx, w)
	}
	t := template{data: w.Data, snap: w.Snap, deal: w.Deal}
	turn := m.turns[t]
	m.turns[t]++
	t.turn = turn % m.network.Distinct
	if m.known[t] == nil {
		r, err := m.seal(ctx, w)
		if err != nil {
			return nil, err
		}
		m.known[t] = r
	}
	return m.known[t], nil
}

func (m *maker) seal(ctx context.Context, w Wanted) (r *replicas, err error) {
	id, size := sector.ID{Miner: m.network.Miner, Number: w.Number}, m.network.Size
	r = &replicas{ticket: drawn("ticket", id, 0), seed: drawn("seed", id, 0)}
	r.order = Order{ID: id, Size: size, Ticket: r.ticket}
	data := content(id, size)
	if w.Deal {
		clear(data[size/2:]) // the filler
		r.halves = []post.Node{dataCommitment(data[:size/2]), dataCommitment(data[size/2:])}
	}
	if w.Data {
		r.order.Data = data
	}
	if r.sealed, err = Seal(ctx, r.order); err != nil || !w.Snap {
		return r, err
	}
	r.update, err = r.sealed.Upgrade(data)
	return r, err
}

// drawn stands for what the chain would draw, and for data: the same for the same
// sector every time.
func drawn(what string, id sector.ID, index uint64) [32]byte {
	in := append([]byte(what), make([]byte, 0, 24)...)
	for _, n := range []uint64{uint64(id.Miner), uint64(id.Number), index} {
		in = binary.LittleEndian.AppendUint64(in, n)
	}
	return sha256.Sum256(in)
}

// content is data that fills a sector, as Fr32 padding would leave it.
func content(id sector.ID, size abi.SectorSize) []byte {
	out := make([]byte, 0, size)
	for i := range uint64(size) / post.NodeSize {
		n := masked(drawn("data", id, i))
		out = append(out, n[:]...)
	}
	return out
}

// The epochs that all sectors of a network have, and other things of their deals.
const (
	ticketEpoch = 4000
	seedEpoch   = 4200
	dealStart   = 5000
	dealEnd     = dealStart + 360*2880
	dealClient  = 1001 // an actor
	firstDeal   = 7000 // the deal of sector 0
)

// record is the sector as a system knows it, under its own number.
func (r *replicas) record(id sector.ID) (*sector.Record, error) {
	rec := &sector.Record{
		ID: id, SealProof: abi.RegisteredSealProof(sealProofs[r.order.Size]), Status: sector.Finished, State: "Proving",
		Ticket: sector.Randomness{Value: r.ticket[:], Epoch: ticketEpoch},
		Seed:   sector.Randomness{Value: r.seed[:], Epoch: seedEpoch},
	}
	var err error
	for what, c := range map[string]*cid.Cid{"pre-commit": &rec.Messages.PreCommit, "commit": &rec.Messages.Commit} {
		if *c, err = message(what, id); err != nil {
			return nil, err
		}
	}
	if rec.Original, err = r.sealed.replica(); err != nil {
		return nil, err
	}
	if r.update == nil {
		if r.order.Data != nil {
			rec.Original.Pieces, err = r.pieces(id, &rec.Original)
		}
		return rec, err
	}
	update, err := r.update.replica()
	if err != nil {
		return nil, err
	}
	rec.Update, rec.Upgraded = &update, true
	if rec.Messages.Update, err = message("update", id); err != nil {
		return nil, err
	}
	update.Pieces, err = r.pieces(id, &update)
	return rec, err
}

// message is the CID of a message that might have brought the sector there.
func message(what string, id sector.ID) (cid.Cid, error) {
	const blake2b256 = 0xb220
	name := drawn(what, id, 0)
	return cid.Prefix{Version: 1, Codec: cid.DagCBOR, MhType: blake2b256, MhLength: -1}.Sum(name[:])
}

// replica is the neutral form of what was sealed, with one filler.
func (s *Sealed) replica() (sector.Replica, error) {
	d, err := commcid.DataCommitmentV1ToCID(s.CommD[:])
	piece := sector.Piece{Size: abi.PaddedPieceSize(s.Shape.Size), CID: d}
	return sector.Replica{CommR: post.CommRToCID(s.CommR), CommD: d, Pieces: []sector.Piece{piece}}, err
}

// pieces are the data of a replica: one piece whose commitment is its CommD, or
// both halves.
func (r *replicas) pieces(id sector.ID, of *sector.Replica) ([]sector.Piece, error) {
	client, errC := address.NewIDAddress(dealClient)
	provider, errP := address.NewIDAddress(uint64(id.Miner))
	if err := errors.Join(errC, errP); err != nil {
		return nil, err
	}
	deal := &sector.Deal{Kind: sector.DDO, Client: client, Provider: provider, StartEpoch: dealStart, EndEpoch: dealEnd}
	if r.halves == nil {
		deal.AllocationID = uint64(id.Number) + 1
		return []sector.Piece{{Size: of.Pieces[0].Size, CID: of.CommD, Deal: deal}}, nil
	}
	out := make([]sector.Piece, len(r.halves))
	for i, n := range r.halves {
		c, err := commcid.DataCommitmentV1ToCID(n[:])
		if err != nil {
			return nil, err
		}
		out[i] = sector.Piece{Size: of.Pieces[0].Size / 2, CID: c}
	}
	out[0].Deal = deal
	return out, builtin(deal, out[0], id)
}

// builtin makes a deal one of the built-in market.
func builtin(deal *sector.Deal, p sector.Piece, id sector.ID) error {
	label, err := market.NewLabelFromString("data of " + id.String())
	if err != nil {
		return err
	}
	deal.Kind, deal.ID = sector.BuiltinMarket, firstDeal+abi.DealID(id.Number)
	deal.Proposal = &market.DealProposal{
		PieceCID: p.CID, PieceSize: p.Size, VerifiedDeal: true, Client: deal.Client, Provider: deal.Provider, Label: label,
		StartEpoch: deal.StartEpoch, EndEpoch: deal.EndEpoch,
		StoragePricePerEpoch: big.NewInt(7), ProviderCollateral: big.NewInt(8), ClientCollateral: big.NewInt(9),
	}
	deal.PublishCid, err = message("publish", id)
	return err
}
