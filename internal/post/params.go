package post

import (
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Rounds with the S-box on the whole state: half of them first, half of them last.
const fullRounds = 8

// partialRounds by arity, at neptune's standard strength (parameters/round_numbers.txt).
var partialRounds = map[int]int{2: 55, 4: 56, 8: 57, 11: 57}

// params is what a hash of one arity needs, in the form that costs least.
//
// Two changes to the textbook permutation leave its result as it is:
//
//   - The Cauchy matrix M[i][j] = 1/(i+j+t) has small denominators. With L their
//     least common multiple, L*M is a matrix of integers below 2^44 (2^32 up to
//     arity 8), and a row times the state costs 4 word multiplications a term.
//     What that multiplies the state by (L, and the 2^-64 of the reduction) is
//     not divided out: it is a known factor of the whole state, called its
//     scale, which the S-box raises to the fifth power. Constants are stored
//     with the scale of their place, and only the result is divided by it.
//     Inputs need no Montgomery form for the same reason: it is a scale, too.
//   - In a partial round the constants of all elements but the first pass the
//     S-box untouched, so they are carried through M into the next round.
//
// This beats the usual sparse factors of M (neptune src/mds.rs): those turn 81
// products into 17, but into products of two whole field elements.
type params struct {
	width  int
	matrix [maxWidth][]uint64 // L*M
	// head and tail hold the constants of the full rounds.
	head, tail [fullRounds / 2]state
	partial    []partialRound
	unscale    fr.Element // brings the result back to scale 1
}

// partialRound is the constant of the first element, and the factor that brings
// its fifth power back to the scale of the others.
type partialRound struct{ constant, rescale fr.Element }

func newParams(arity int) *params {
	partial, ok := partialRounds[arity]
	if !ok {
		panic(fmt.Sprintf("no Poseidon of arity %d", arity)) // unreachable: the callers name 2, 4, 8 or 11
	}
	b := builder{width: arity + 1, partial: partial}
	b.scale.SetOne()
	constants := b.carried(roundConstants(b.width, fullRounds, partial))
	p := &params{width: b.width}
	p.matrix = b.integers()

	half := fullRounds / 2
	for i := range p.head {
		p.head[i] = b.fullRound(constants[i])
	}
	for _, k := range constants[half : half+partial] {
		p.partial = append(p.partial, b.partialRound(k[0]))
	}
	for i := range p.tail {
		p.tail[i] = b.fullRound(constants[half+partial+i])
	}
	unscale := montgomery()
	unscale.Div(&unscale, &b.scale)
	p.unscale = limbs(&unscale)
	return p
}
