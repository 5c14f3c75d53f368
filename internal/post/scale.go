package post

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// builder walks through the rounds and keeps the scale that the state has there.
type builder struct {
	width   int
	partial int
	scale   fr.Element
	lcm     fr.Element
}

// montgomery is 2^256 in the field: fr.Element.Mul returns the product of its
// limbs divided by it.
func montgomery() fr.Element {
	var two fr.Element
	two.SetUint64(2)
	return *two.Exp(two, big.NewInt(256))
}

// limbs takes a value out of Montgomery form: its limbs are the value itself.
func limbs(e *fr.Element) fr.Element { return fr.Element(e.Bits()) }

// integers returns L*M and keeps L.
func (b *builder) integers() [maxWidth][]uint64 {
	t := uint64(b.width)
	lcm := uint64(1)
	for d := t; d <= 3*t-2; d++ {
		lcm *= d / gcd(lcm, d)
	}
	b.lcm.SetUint64(lcm)
	var m [maxWidth][]uint64
	for i := range t {
		for j := range t {
			m[i] = append(m[i], lcm/(i+j+t))
		}
	}
	return m
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// fullRound stores the constants of a full round at the scale of their place.
func (b *builder) fullRound(k []fr.Element) state {
	var out state
	for j := range k {
		out[j] = b.scaled(&k[j])
	}
	b.scale = b.fifthPower()
	b.mixed()
	return out
}

func (b *builder) partialRound(k fr.Element) partialRound {
	r := partialRound{constant: b.scaled(&k)}
	// fr.Element.Mul(x, rescale) divides by R, so the factor has one R more.
	fifth := b.fifthPower()
	f := montgomery()
	f.Mul(&f, &b.scale).Div(&f, &fifth)
	r.rescale = limbs(&f)
	b.mixed()
	return r
}

func (b *builder) scaled(k *fr.Element) fr.Element {
	var v fr.Element
	v.Mul(k, &b.scale)
	return limbs(&v)
}

// fifthPower is the scale after the S-box: three products, so R^-4 in all.
func (b *builder) fifthPower() fr.Element {
	r := montgomery()
	var s fr.Element
	s.Exp(b.scale, big.NewInt(5))
	return *s.Div(&s, r.Exp(r, big.NewInt(4)))
}

// mixed takes the scale through L*M and the reduction that follows it.
func (b *builder) mixed() {
	var two fr.Element
	two.SetUint64(2)
	two.Exp(two, big.NewInt(64))
	b.scale.Mul(&b.scale, &b.lcm).Div(&b.scale, &two)
}

// carried moves the constants of a partial round's elements, all but the first,
// through M into the next round.
func (b *builder) carried(k [][]fr.Element) [][]fr.Element {
	m := cauchy(b.width)
	first := fullRounds / 2
	for i := first; i < first+b.partial; i++ {
		for row := range m {
			for j := 1; j < b.width; j++ {
				var v fr.Element
				v.Mul(&m[row][j], &k[i][j])
				k[i+1][row].Add(&k[i+1][row], &v)
			}
		}
	}
	return k
}

// cauchy is the MDS matrix M[i][j] = 1/(i+j+t) of neptune src/mds.rs.
func cauchy(t int) [][]fr.Element {
	m := make([][]fr.Element, t)
	for i := range m {
		m[i] = make([]fr.Element, t)
		for j := range m[i] {
			m[i][j].SetUint64(uint64(i + j + t))
			m[i][j].Inverse(&m[i][j])
		}
	}
	return m
}
