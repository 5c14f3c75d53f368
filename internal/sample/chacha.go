package sample

import (
	"encoding/binary"
	"math/bits"
)

// chacha8 is the stream of ChaCha with 8 rounds, a 64-bit counter from 0 and a zero
// nonce, read as little-endian 64-bit numbers, as rand_chacha's ChaCha8Rng gives
// them. math/rand/v2 has another generator of that name.
type chacha8 struct {
	key   [8]uint32
	block uint64
	out   [16]uint32
	at    int
}

func newChacha8(seed [32]byte) *chacha8 {
	c := &chacha8{at: 16}
	for i := range c.key {
		c.key[i] = binary.LittleEndian.Uint32(seed[4*i:])
	}
	return c
}

func (c *chacha8) uint64() uint64 {
	if c.at == len(c.out) {
		c.fill()
	}
	v := uint64(c.out[c.at]) | uint64(c.out[c.at+1])<<32
	c.at += 2
	return v
}

func (c *chacha8) fill() {
	in := [16]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}
	copy(in[4:], c.key[:])
	in[12], in[13] = uint32(c.block), uint32(c.block>>32)
	x := in
	for range 4 { // two rounds each
		quarter(&x, 0, 4, 8, 12)
		quarter(&x, 1, 5, 9, 13)
		quarter(&x, 2, 6, 10, 14)
		quarter(&x, 3, 7, 11, 15)
		quarter(&x, 0, 5, 10, 15)
		quarter(&x, 1, 6, 11, 12)
		quarter(&x, 2, 7, 8, 13)
		quarter(&x, 3, 4, 9, 14)
	}
	for i := range x {
		c.out[i] = x[i] + in[i]
	}
	c.block++
	c.at = 0
}

func quarter(x *[16]uint32, a, b, c, d int) {
	x[a] += x[b]
	x[d] = bits.RotateLeft32(x[d]^x[a], 16)
	x[c] += x[d]
	x[b] = bits.RotateLeft32(x[b]^x[c], 12)
	x[a] += x[b]
	x[d] = bits.RotateLeft32(x[d]^x[a], 8)
	x[c] += x[d]
	x[b] = bits.RotateLeft32(x[b]^x[c], 7)
}
