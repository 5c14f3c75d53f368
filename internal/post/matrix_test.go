package post

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

func limbsOf(v *big.Int) fr.Element {
	mask := new(big.Int).SetUint64(1<<64 - 1)
	var e fr.Element
	for i := range e {
		e[i] = new(big.Int).And(new(big.Int).Rsh(v, uint(64*i)), mask).Uint64()
	}
	return e
}

// A sum that is not below the modulus after the reduction is next to never seen,
// so it is made here: the values around r, times 2^64.
func TestReduceAroundTheModulus(t *testing.T) {
	r := fr.Modulus()
	for d := int64(-2); d <= 2; d++ {
		v := limbsOf(new(big.Int).Add(r, big.NewInt(d)))
		want := limbsOf(new(big.Int).Mod(new(big.Int).Add(r, big.NewInt(d)), r))
		var got fr.Element
		reduce(&got, 0, 0, 0, v[0], 0, v[1], v[3], v[2])
		if got != want {
			t.Errorf("r%+d: got %x, want %x", d, got, want)
		}
	}
}

// dot against big numbers, at the ends of what the matrices and the state hold.
func TestDot(t *testing.T) {
	r := fr.Modulus()
	top := new(big.Int).Sub(r, big.NewInt(1))
	shift := new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), 64), r)
	for _, width := range []int{3, 5, 9, 12} {
		for _, k := range []uint64{0, 1, 1<<32 - 1, (1<<60 - 1) / uint64(width)} {
			for _, value := range []*big.Int{big.NewInt(0), big.NewInt(1), top, new(big.Int).Rsh(top, 1)} {
				var s state
				row, sum := make([]uint64, width), new(big.Int)
				for j := range row {
					row[j], s[j] = k, limbsOf(value)
					sum.Add(sum, new(big.Int).Mul(new(big.Int).SetUint64(k), value))
				}
				var got fr.Element
				dot(&got, row, &s)
				if want := limbsOf(sum.Mod(sum.Mul(sum, shift), r)); got != want {
					t.Errorf("%d times %d * %s: got %x, want %x", width, k, value, got, want)
				}
			}
		}
	}
}
