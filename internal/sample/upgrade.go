package sample

import (
	"encoding/binary"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
)

// snapTag is the domain tag of the hashes that a snap upgrade draws its factors from.
const snapTag = 1 << 40

// Upgrade puts data into a sealed sector without data, the key, as a snap upgrade
// does: new leaf = key leaf + data leaf * rho, with one rho for each stretch of the
// sector (rust-fil-proofs storage-proofs-update/src/vanilla.rs). The key stays as
// it is. data is as in Order.
func (s *Sealed) Upgrade(data []byte) (*Sealed, error) {
	if len(data) != len(s.Replica) {
		return nil, fault.BadUsage("pad the data to the sector size", "%d bytes of data for a sector of %d", len(data), len(s.Replica))
	}
	up := &Sealed{ID: s.ID, Shape: s.Shape, CommD: dataCommitment(data), Replica: make([]byte, len(data))}
	up.PAux.CommC = s.PAux.CommC
	rhos, err := s.rhos(up.CommD)
	if err != nil {
		return nil, err
	}
	each := s.Shape.Leaves() / uint64(len(rhos))
	for i := range s.Shape.Leaves() {
		leaf, err := fr.LittleEndian.Element((*[32]byte)(at(data, i)))
		if err != nil {
			return nil, fault.BadUsage("pad the data as Fr32 does", "upgrade: %w", errNotPadded)
		}
		var scaled post.Node
		leaf.Mul(&leaf, &rhos[i/each])
		fr.LittleEndian.PutElement((*[32]byte)(&scaled), leaf)
		if err := addTo(at(up.Replica, i), at(s.Replica, i), scaled[:]); err != nil {
			return nil, err
		}
	}
	return up, up.commit()
}

// rhos are the factors, one for each value of the highest bits of a leaf's index:
// 1 bit up to 32 KiB, 10 above (storage-proofs-update/src/constants.rs).
func (s *Sealed) rhos(commD post.Node) ([]fr.Element, error) {
	h := post.Hash2().Tagged(snapTag)
	phi, err := h.Nodes(commD, s.CommR)
	if err != nil {
		return nil, err
	}
	high := 10
	if bits.Len64(s.Shape.Leaves()) <= 11 { // 32 KiB are 2^10 leaves
		high = 1
	}
	out := make([]fr.Element, 1<<high)
	for i := range out {
		var n post.Node
		binary.LittleEndian.PutUint64(n[:], uint64(i))
		rho, err := h.Nodes(phi, n)
		if err != nil {
			return nil, err
		}
		if out[i], err = fr.LittleEndian.Element((*[32]byte)(&rho)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
