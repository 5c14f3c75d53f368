package post

import (
	"testing"
)

// The pair to compare: one hash of arity 8 costs so many field multiplications.

func BenchmarkFieldMul(b *testing.B) {
	x := montgomery()
	y := x
	for b.Loop() {
		x.Mul(&x, &y)
	}
	if x.IsZero() {
		b.Fatal("zero")
	}
}

func BenchmarkHash8(b *testing.B) {
	h, buf := Hash8(), make([]byte, 8*NodeSize)
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Sum(buf, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash2(b *testing.B) {
	h, buf := Hash2(), make([]byte, 2*NodeSize)
	for b.Loop() {
		if err := h.Sum(buf, buf); err != nil {
			b.Fatal(err)
		}
	}
}
