package post

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Bits of the field's modulus, as the generator of the round constants counts them.
const fieldBits = 255

// grain is the Grain LFSR in self-shrinking mode, as the Poseidon paper
// (eprint 2019/458, appendix E) and neptune src/round_constants.rs use it.
type grain struct {
	state [80]byte // one bit each, a ring that starts at head
	head  int
}

// newGrain seeds the generator with the instance: prime field, S-box x^5, field
// size, width and rounds; most significant bit of each first, then ones.
func newGrain(width, full, partial int) *grain {
	g := &grain{}
	at := 0
	put := func(v, bits int) {
		for i := bits - 1; i >= 0; i-- {
			g.state[at] = byte(v>>i) & 1
			at++
		}
	}
	put(1, 2)
	put(1, 4)
	put(fieldBits, 12)
	put(width, 12)
	put(full, 10)
	put(partial, 10)
	for at < len(g.state) {
		put(1, 1)
	}
	for range 160 {
		g.clock()
	}
	return g
}

func (g *grain) clock() byte {
	at := func(i int) byte { return g.state[(g.head+i)%len(g.state)] }
	bit := at(62) ^ at(51) ^ at(38) ^ at(23) ^ at(13) ^ at(0)
	g.state[g.head] = bit
	g.head = (g.head + 1) % len(g.state)
	return bit
}

// bit draws in pairs: the second bit of a pair counts where the first is one.
func (g *grain) bit() byte {
	for g.clock() == 0 {
		g.clock()
	}
	return g.clock()
}

// element draws until a value lies below the modulus: a draw is never reduced.
func (g *grain) element() fr.Element {
	modulus := fr.Modulus()
	raw := make([]byte, fr.Bytes)
	for {
		clear(raw)
		for i := 8*fr.Bytes - fieldBits; i < 8*fr.Bytes; i++ {
			raw[i/8] |= g.bit() << (7 - i%8)
		}
		if v := new(big.Int).SetBytes(raw); v.Cmp(modulus) < 0 {
			var e fr.Element
			e.SetBigInt(v)
			return e
		}
	}
}

// roundConstants are the constants of every round, width of them each.
func roundConstants(width, full, partial int) [][]fr.Element {
	g := newGrain(width, full, partial)
	rounds := make([][]fr.Element, full+partial)
	for i := range rounds {
		rounds[i] = make([]fr.Element, width)
		for j := range rounds[i] {
			rounds[i][j] = g.element()
		}
	}
	return rounds
}
