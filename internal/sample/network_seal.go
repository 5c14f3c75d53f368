package sample

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/filecoin-project/go-address"
	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// replicas are what was sealed for a sector. update is nil where it is not upgraded.
type replicas struct {
	order        Order
	data         bool
	sealed       *Sealed
	update       *Sealed
	ticket, seed [32]byte
}

// template names what is sealed once, where Network.Distinct allows it.
type template struct {
	data, snap bool
	turn       int
}

// maker seals the sectors of a network, those that may be the same only once.
type maker struct {
	network Network
	turns   [2][2]int
	known   map[template]*replicas
}

func (m *maker) replicas(ctx context.Context, w Wanted) (*replicas, error) {
	if w.Data && w.Snap {
		return nil, fault.BadUsage("want it either with Data or with Snap", "only a sector without data can be upgraded")
	}
	if m.network.Distinct <= 0 {
		return m.seal(ctx, w)
	}
	turn := &m.turns[bit(w.Data)][bit(w.Snap)]
	t := template{w.Data, w.Snap, *turn % m.network.Distinct}
	*turn++
	if m.known[t] == nil {
		r, err := m.seal(ctx, w)
		if err != nil {
			return nil, err
		}
		m.known[t] = r
	}
	return m.known[t], nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (m *maker) seal(ctx context.Context, w Wanted) (r *replicas, err error) {
	id := sector.ID{Miner: m.network.Miner, Number: w.Number}
	r = &replicas{data: w.Data, ticket: drawn("ticket", id, 0), seed: drawn("seed", id, 0)}
	r.order = Order{ID: id, Size: m.network.Size, Ticket: r.ticket}
	if w.Data {
		r.order.Data = content(id, m.network.Size)
	}
	if r.sealed, err = Seal(ctx, r.order); err != nil || !w.Snap {
		return r, err
	}
	r.update, err = r.sealed.Upgrade(content(id, m.network.Size))
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

// The epochs that all sectors of a network have.
const (
	ticketEpoch = 4000
	seedEpoch   = 4200
	dealStart   = 5000
	dealEnd     = dealStart + 360*2880
	dealClient  = 1001 // an actor
)

// record is the sector as a system knows it, under its own number.
func (r *replicas) record(id sector.ID) (*sector.Record, error) {
	rec := &sector.Record{
		ID: id, SealProof: abi.RegisteredSealProof(sealProofs[r.order.Size]), Status: sector.Finished, State: "Proving",
		Ticket: sector.Randomness{Value: r.ticket[:], Epoch: ticketEpoch},
		Seed:   sector.Randomness{Value: r.seed[:], Epoch: seedEpoch},
	}
	original, err := r.sealed.replica(id, r.data)
	if err != nil || r.update == nil {
		rec.Original = original
		return rec, err
	}
	update, err := r.update.replica(id, true)
	rec.Original, rec.Update, rec.Upgraded = original, &update, true
	return rec, err
}

// replica is the neutral form of what was sealed: one piece that fills the sector,
// whose commitment is therefore CommD.
func (s *Sealed) replica(id sector.ID, data bool) (sector.Replica, error) {
	d, err := commcid.DataCommitmentV1ToCID(s.CommD[:])
	if err != nil {
		return sector.Replica{}, err
	}
	piece := sector.Piece{Size: abi.PaddedPieceSize(s.Shape.Size), CID: d}
	if data {
		piece.Deal = &sector.Deal{Kind: sector.DDO, AllocationID: uint64(id.Number) + 1, StartEpoch: dealStart, EndEpoch: dealEnd}
		if piece.Deal.Client, err = address.NewIDAddress(dealClient); err != nil {
			return sector.Replica{}, err
		}
		if piece.Deal.Provider, err = address.NewIDAddress(uint64(id.Miner)); err != nil {
			return sector.Replica{}, err
		}
	}
	return sector.Replica{CommR: post.CommRToCID(s.CommR), CommD: d, Pieces: []sector.Piece{piece}}, nil
}
