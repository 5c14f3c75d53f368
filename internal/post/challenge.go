package post

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/filecoin-project/go-state-types/abi"
)

// How many challenges a sector gets (rust-fil-proofs filecoin-proofs/src/constants.rs).
const (
	WindowChallenges  = 10
	WinningChallenges = 66
)

// Randomness is what the chain draws, 32 bytes. The two highest bits are cleared
// here, as every caller of the provers does, so that it is an element of the field.
type Randomness [32]byte

// WindowVersion is how Window PoSt counts its challenges.
type WindowVersion int

const (
	// WindowV1_1 counts from 0 for every sector: StackedDrgWindow…PoStV1_1, from
	// network version 19 on.
	WindowV1_1 WindowVersion = iota
	// WindowV1 counts on from the sector before it in the deadline:
	// StackedDrgWindow…PoStV1.
	WindowV1
)

// Window returns the leaves that Window PoSt challenges, 10 of them, each below
// s.Leaves(). position is the sector's place in the list that is proven together
// (partition * sectors per partition + place in the partition); V1_1 ignores it.
// Source: rust-fil-proofs storage-proofs-post/src/fallback/{vanilla,utils}.rs.
func (s Shape) Window(v WindowVersion, r Randomness, number abi.SectorNumber, position uint64) []uint64 {
	if v == WindowV1_1 {
		position = 0
	}
	return s.challenges(r, number, position*WindowChallenges, WindowChallenges)
}

// Winning returns the leaves that Winning PoSt challenges, 66 of them.
func (s Shape) Winning(r Randomness, number abi.SectorNumber) []uint64 {
	return s.challenges(r, number, 0, WinningChallenges)
}

// Draw returns n leaves spread over the sector, in rising order: one from each nth
// part of it, so that no base tree is left out from n = Trees() on. The same
// sector always gets the same leaves. n above Leaves() gives every leaf.
func (s Shape) Draw(number abi.SectorNumber, n int) []uint64 {
	if n <= 0 {
		return nil
	}
	parts := min(uint64(n), s.Leaves())
	out := make([]uint64, parts)
	for i := range out {
		// parts is below 2^31, as is the number of leaves: no overflow
		first := uint64(i) * s.Leaves() / parts
		next := uint64(i+1) * s.Leaves() / parts
		out[i] = first + challenge(Randomness{}, number, uint64(i))%(next-first)
	}
	return out
}

func (s Shape) challenges(r Randomness, number abi.SectorNumber, first, n uint64) []uint64 {
	r[31] &= 0x3f
	out := make([]uint64, n)
	for i := range out {
		out[i] = challenge(r, number, first+uint64(i)) % s.Leaves()
	}
	return out
}

// challenge is the first 8 bytes of SHA-256 over the randomness, the sector's
// number and the challenge's index.
func challenge(r Randomness, number abi.SectorNumber, index uint64) uint64 {
	raw := binary.LittleEndian.AppendUint64(r[:], uint64(number))
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(raw, index))
	return binary.LittleEndian.Uint64(sum[:8])
}
