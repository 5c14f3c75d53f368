package sample

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// Order is a sector to be sealed.
type Order struct {
	ID   sector.ID
	Size abi.SectorSize // 2 KiB or 8 MiB
	// Ticket is the chain's randomness for the seal.
	Ticket [32]byte
	// Data is Size bytes, each 32 of them an element of the field, as Fr32 padding
	// leaves them; nil is a sector without data, all zero (CC).
	Data []byte
}

// Sealed is a sector after both phases, or after a snap upgrade: everything that
// its replica file and its cache directory hold once it is finalized.
type Sealed struct {
	ID    sector.ID
	Shape post.Shape
	CommD post.Node
	CommR post.Node
	PAux  post.PAux
	// Replica is the sealed file, or the update file.
	Replica []byte
	// Tree is the one tree-r-last file that sectors of these sizes have.
	Tree []byte
}

// registered seal proofs, V1_1, of the sizes that are sealed here.
var sealProofs = map[abi.SectorSize]uint64{2 << 10: 5, 8 << 20: 6}

// Seal runs phases 1 and 2. It takes milliseconds for 2 KiB and some seconds for
// 8 MiB. ctx ends it early with its error.
func Seal(ctx context.Context, o Order) (*Sealed, error) {
	shape, porepID, err := o.check()
	if err != nil {
		return nil, err
	}
	data := o.Data
	if data == nil {
		data = make([]byte, o.Size)
	}
	s := &Sealed{ID: o.ID, Shape: shape, CommD: dataCommitment(data)}
	label, err := labels(ctx, newGraph(shape.Leaves(), porepID), o.replicaID(s.CommD, porepID))
	if err != nil {
		return nil, err
	}
	if s.PAux.CommC, err = columnRoot(shape, label); err != nil {
		return nil, err
	}
	s.Replica = make([]byte, len(data))
	for i := range shape.Leaves() {
		if err := addTo(at(s.Replica, i), at(label[layers-1], i), at(data, i)); err != nil {
			return nil, err
		}
	}
	return s, s.commit()
}

func (o Order) check() (post.Shape, [32]byte, error) {
	var porepID [32]byte
	proof, ok := sealProofs[o.Size]
	if !ok {
		return post.Shape{}, porepID, fault.BadUsage("seal 2KiB or 8MiB", "sectors of %d bytes are not sealed here", uint64(o.Size))
	}
	if o.Data != nil && uint64(len(o.Data)) != uint64(o.Size) {
		return post.Shape{}, porepID, fault.BadUsage("pad the data to the sector size", "%d bytes of data for a sector of %d", len(o.Data), uint64(o.Size))
	}
	binary.LittleEndian.PutUint64(porepID[:], proof)
	shape, err := post.ShapeOf(o.Size)
	return shape, porepID, err
}

// replicaID is what makes every replica another one (porep/src/stacked/vanilla/params.rs).
func (o Order) replicaID(commD post.Node, porepID [32]byte) post.Node {
	var prover [32]byte
	binary.PutUvarint(prover[:], uint64(o.ID.Miner))
	in := binary.BigEndian.AppendUint64(prover[:], uint64(o.ID.Number))
	in = append(append(append(in, o.Ticket[:]...), commD[:]...), porepID[:]...)
	return masked(sha256.Sum256(in))
}

// columnRoot is comm_c: the root of an octree over the columns, each a hash of one
// node's labels in all layers.
func columnRoot(shape post.Shape, label [layers][]byte) (post.Node, error) {
	h := post.Hash2()
	columns := make([]byte, len(label[0]))
	var column [layers * post.NodeSize]byte
	for i := range shape.Leaves() {
		copy(column[:], at(label[0], i))
		copy(column[post.NodeSize:], at(label[1], i))
		if err := h.Sum(at(columns, i), column[:]); err != nil {
			return post.Node{}, err
		}
	}
	tree, err := shape.BuildTree(columns, shape.Height-1)
	if err != nil {
		return post.Node{}, err
	}
	return post.Node(tree), nil
}

// commit builds the tree over the replica, and CommR.
func (s *Sealed) commit() error {
	var err error
	if s.Tree, err = s.Shape.BuildTree(s.Replica, s.Shape.Discards()); err != nil {
		return err
	}
	s.PAux.CommRLast = post.Node(s.Tree[len(s.Tree)-post.NodeSize:])
	s.CommR, err = s.PAux.CommR()
	return err
}

var errNotPadded = errors.New("32 bytes of the data are no element of the field")

// addTo sets dst to a + b in the field.
func addTo(dst, a, b []byte) error {
	x, errX := fr.LittleEndian.Element((*[32]byte)(a))
	y, errY := fr.LittleEndian.Element((*[32]byte)(b))
	if errX != nil || errY != nil {
		return fault.BadUsage("pad the data as Fr32 does", "seal: %w", errNotPadded)
	}
	x.Add(&x, &y)
	fr.LittleEndian.PutElement((*[32]byte)(dst), x)
	return nil
}
