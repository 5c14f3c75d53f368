package post

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// maxWidth is the widest state: eleven inputs and the domain tag.
const maxWidth = 12

// state is a Poseidon state; a hash of width t uses the first t elements. They
// hold residues below the modulus, each times a factor that both sides know
// (see params), so they are neither plain nor Montgomery values.
type state [maxWidth]fr.Element

// The functions below touch nothing but their arguments, which are one hash's own.
// The race detector would make them twenty times as slow.

// The field's modulus r, least significant limb first, and -1/r mod 2^64.
const (
	q0      = 0xffffffff00000001
	q1      = 0x53bda402fffe5bfe
	q2      = 0x3339d80809a1d805
	q3      = 0x73eda753299d7d48
	qInvNeg = 0xfffffffeffffffff
)

// dot returns (sum of k[j]*s[j]) / 2^64 modulo r.
//
// The sum of all k must stay below 2^60: then the four columns of products never
// leave 128 bits, no carry runs between them inside the loop, and one step of
// Montgomery's reduction brings the 5-limb sum below r + r/16. s must be below 2r.
// That is 4 multiplications a term where a product of two field elements takes 36.
//
//go:norace
func dot(z *fr.Element, k []uint64, s *state) {
	if len(k) == 9 {
		dot9(z, (*[9]uint64)(k), s)
		return
	}
	h0, l0 := column(k, s, 0)
	h1, l1 := column(k, s, 1)
	h2, l2 := column(k, s, 2)
	h3, l3 := column(k, s, 3)
	reduce(z, h0, l0, h1, l1, h2, l2, h3, l3)
}

// column sums the products of one limb of every element, in 128 bits.
//
//go:norace
func column(k []uint64, s *state, limb int) (h, l uint64) {
	for j := 0; j < len(k) && j < maxWidth; j++ {
		a, b := bits.Mul64(k[j], s[j][limb&3])
		var c uint64
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
	}
	return h, l
}

// dot9 is dot for the width of arity 8, where nearly all hashes are made.
//
//go:norace
func dot9(z *fr.Element, k *[9]uint64, s *state) {
	var hs, ls [4]uint64
	for limb := range 4 {
		var a, b, c uint64
		h, l := bits.Mul64(k[0], s[0][limb])
		a, b = bits.Mul64(k[1], s[1][limb])
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
		a, b = bits.Mul64(k[2], s[2][limb])
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
		a, b = bits.Mul64(k[3], s[3][limb])
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
		a, b = bits.Mul64(k[4], s[4][limb])
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
		a, b = bits.Mul64(k[5], s[5][limb])
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
		a, b = bits.Mul64(k[6], s[6][limb])
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
		a, b = bits.Mul64(k[7], s[7][limb])
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
		a, b = bits.Mul64(k[8], s[8][limb])
		l, c = bits.Add64(l, b, 0)
		h, _ = bits.Add64(h, a, c)
		hs[limb], ls[limb] = h, l
	}
	reduce(z, hs[0], ls[0], hs[1], ls[1], hs[2], ls[2], hs[3], ls[3])
}

// reduce sets z to the sum of the columns / 2^64 modulo r, below r; the sum must
// be below 2^60 * r.
//
//go:norace
func reduce(z *fr.Element, h0, l0, h1, l1, h2, l2, h3, l3 uint64) {
	t0 := l0
	t1, c := bits.Add64(h0, l1, 0)
	t2, c := bits.Add64(h1, l2, c)
	t3, c := bits.Add64(h2, l3, c)
	t4 := h3 + c

	m := t0 * qInvNeg
	// q0 is 2^64 - 2^32 + 1: the high half of m*q0 needs no multiplication
	_, c = bits.Sub64(m, m<<32, 0)
	h0 = m - m>>32 - c
	h1, l1 = bits.Mul64(m, q1)
	h2, l2 = bits.Mul64(m, q2)
	h3, l3 = bits.Mul64(m, q3)
	// t0 and the low half of m*q0 add up to 2^64, or to 0 where t0 is 0
	_, c = bits.Sub64(0, t0, 0)
	t1, c = bits.Add64(t1, l1, c)
	t2, c = bits.Add64(t2, l2, c)
	t3, c = bits.Add64(t3, l3, c)
	t4 += h3 + c
	t1, c = bits.Add64(t1, h0, 0)
	t2, c = bits.Add64(t2, h1, c)
	t3, c = bits.Add64(t3, h2, c)
	t4 += c
	z[0], z[1], z[2], z[3] = t1, t2, t3, t4
	if t4 >= q3 { // hardly ever: one sum in 2^63
		subtractOnce(z)
	}
}

// subtractOnce brings a value below 2r under r.
func subtractOnce(z *fr.Element) {
	t0, b := bits.Sub64(z[0], q0, 0)
	t1, b := bits.Sub64(z[1], q1, b)
	t2, b := bits.Sub64(z[2], q2, b)
	t3, b := bits.Sub64(z[3], q3, b)
	if b == 0 {
		z[0], z[1], z[2], z[3] = t0, t1, t2, t3
	}
}
