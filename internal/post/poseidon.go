package post

import (
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Hasher is Poseidon of one arity over the BLS12-381 scalar field, as neptune
// computes it: S-box x^5, standard strength, 8 full rounds, constants from the
// Grain LFSR, a Cauchy MDS matrix, the tag in front, the second element as
// result. A Hasher may be used by many goroutines at once and allocates nothing.
type Hasher struct {
	arity int
	tag   uint64
	*params
}

// Each is built once, on first use: some milliseconds.
var (
	hash2  = sync.OnceValue(func() *Hasher { return newHasher(2) })
	hash4  = sync.OnceValue(func() *Hasher { return newHasher(4) })
	hash8  = sync.OnceValue(func() *Hasher { return newHasher(8) })
	hash11 = sync.OnceValue(func() *Hasher { return newHasher(11) })
)

// Hash2 joins two sub-trees and makes CommR.
func Hash2() *Hasher { return hash2() }

// Hash4 is in no tree of the published sector sizes.
func Hash4() *Hasher { return hash4() }

// Hash8 makes the nodes of every base tree.
func Hash8() *Hasher { return hash8() }

// Hash11 makes the leaves of tree C of 32 and 64 GiB sectors: columns of 11 labels.
func Hash11() *Hasher { return hash11() }

// newHasher has neptune's domain tag for Merkle trees, 2^arity - 1.
func newHasher(arity int) *Hasher {
	return &Hasher{arity: arity, tag: 1<<arity - 1, params: newParams(arity)}
}

// Tagged is the same permutation with another domain tag: 2^40 is what the snap
// upgrade takes with arity 2 (neptune src/hash_type.rs, rust-fil-proofs
// storage-proofs-update/src/constants.rs).
func (h *Hasher) Tagged(tag uint64) *Hasher {
	return &Hasher{arity: h.arity, tag: tag, params: h.params}
}

// Arity is the number of nodes that one hash takes.
func (h *Hasher) Arity() int { return h.arity }

// Sum hashes arity nodes, src, into the first 32 bytes of dst, which may lie in
// src. src must have 32*arity bytes. A *NonCanonicalError leaves dst as it was.
func (h *Hasher) Sum(dst, src []byte) error {
	var s state
	s[0] = fr.Element{h.tag}
	for i := range h.arity {
		e, ok := load(src[i*NodeSize:])
		if !ok {
			return &NonCanonicalError{Index: i}
		}
		s[i+1] = e
	}
	var e fr.Element
	h.permute(&e, &s)
	store(dst, &e)
	return nil
}

// Nodes is Sum for nodes one by one; there must be as many as the arity.
func (h *Hasher) Nodes(in ...Node) (Node, error) {
	var src [(maxWidth - 1) * NodeSize]byte
	for i, n := range in[:h.arity] {
		copy(src[i*NodeSize:], n[:])
	}
	var out Node
	err := h.Sum(out[:], src[:])
	return out, err
}

// permute runs all rounds and returns the second element, in limbs without
// Montgomery form. It uses s up.
func (p *params) permute(z *fr.Element, s *state) {
	var other state
	next := &other
	for i := range p.head {
		p.full(s, &p.head[i])
		p.mix(next, s)
		s, next = next, s
	}
	for i := range p.partial {
		p.partial[i].apply(&s[0])
		p.mix(next, s)
		s, next = next, s
	}
	last := len(p.tail) - 1
	for i := range last {
		p.full(s, &p.tail[i])
		p.mix(next, s)
		s, next = next, s
	}
	p.full(s, &p.tail[last])
	dot(z, p.matrix[1], s)
	z.Mul(z, &p.unscale)
}

func (p *params) full(s, constants *state) {
	for j := range p.width {
		s[j].Add(&s[j], &constants[j])
		fifth(&s[j])
	}
}

func (p *params) mix(next, s *state) {
	for j := range p.width {
		dot(&next[j], p.matrix[j], s)
	}
}

func fifth(x *fr.Element) {
	var sq fr.Element
	sq.Square(x)
	sq.Square(&sq)
	x.Mul(x, &sq)
}

// apply is the S-box of a partial round. The factor goes in beside the squarings,
// which do not wait for it.
func (r *partialRound) apply(x *fr.Element) {
	var sq fr.Element
	x.Add(x, &r.constant)
	sq.Square(x)
	x.Mul(x, &r.rescale)
	sq.Square(&sq)
	x.Mul(x, &sq)
}
