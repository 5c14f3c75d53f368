package post

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"damocles-manager/internal/testkit"
)

func hashers() []*Hasher { return []*Hasher{Hash2(), Hash4(), Hash8(), Hash11()} }

// textbook is the permutation as the paper and post.md write it.
func textbook(tag uint64, in []fr.Element) fr.Element {
	t := len(in) + 1
	partial := partialRounds[len(in)]
	constants, m := roundConstants(t, fullRounds, partial), cauchy(t)
	s := make([]fr.Element, t)
	s[0].SetUint64(tag)
	copy(s[1:], in)
	for r, k := range constants {
		for j := range s {
			s[j].Add(&s[j], &k[j])
			if j == 0 || r < fullRounds/2 || r >= fullRounds/2+partial {
				fifth(&s[j])
			}
		}
		next := make([]fr.Element, t)
		for i := range s {
			for j := range s {
				var v fr.Element
				v.Mul(&m[i][j], &s[j])
				next[i].Add(&next[i], &v)
			}
		}
		s = next
	}
	return s[1]
}

func element(t testing.TB, n Node) fr.Element {
	t.Helper()
	e, err := fr.LittleEndian.Element((*[32]byte)(&n))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func node(e fr.Element) Node {
	var n Node
	fr.LittleEndian.PutElement((*[32]byte)(&n), e)
	return n
}

func hexNode(t testing.TB, s string) Node {
	t.Helper()
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != NodeSize {
		t.Fatalf("%q is no node (%v)", s, err)
	}
	return Node(raw)
}

func number(v uint64) Node {
	var n Node
	binary.LittleEndian.PutUint64(n[:], v)
	return n
}

// randomNode is any element of the field.
func randomNode(r *rand.Rand) Node {
	for {
		var n Node
		for i := 0; i < NodeSize; i += 8 {
			binary.LittleEndian.PutUint64(n[i:], r.Uint64())
		}
		n[31] &= 0x7f
		if n.Canonical() {
			return n
		}
	}
}

func TestPublishedHashes(t *testing.T) {
	raw, err := os.ReadFile(testkit.Fixture(t, "post/poseidon.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors map[string]json.RawMessage
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, h := range hashers() {
		var limbs []string
		if err := json.Unmarshal(vectors[fmt.Sprintf("arity%d", h.Arity())], &limbs); err != nil || len(limbs) != 4 {
			t.Fatalf("arity %d: %v, %v", h.Arity(), limbs, err)
		}
		var want Node
		for i, l := range limbs {
			var v uint64
			if _, err := fmt.Sscanf(l, "%x", &v); err != nil {
				t.Fatal(err)
			}
			binary.LittleEndian.PutUint64(want[8*i:], v)
		}
		in := make([]Node, h.Arity())
		for i := range in {
			in[i] = number(uint64(i))
		}
		if got, err := h.Nodes(in...); err != nil || got != want {
			t.Errorf("arity %d: got %s, want %s (%v)", h.Arity(), got, want, err)
		}
	}
}

func TestOtherPublishedHashes(t *testing.T) {
	sum := func(in ...Node) Node {
		h := Hash2()
		if len(in) == 8 {
			h = Hash8()
		}
		out, err := h.Nodes(in...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, tt := range []struct {
		source, want string
		got          Node
	}{
		{"filecoin-hashers", "5e0b807960ff39b3af9430dcb30759ec264fa274cc03c093c36b78beff942f04", sum(number(1), number(0))},
		{"filecoin-hashers", "71e691e2e38bbbefd25a2bcbb872cc77ae746bae8563eb30ebd96ab2b7ebff1e",
			sum(sum(number(1), number(0)), sum(number(0), number(1)))},
		{"lotus commr_test.go", "e674d19e6ce7fcf33bbfd9b343a0ceb12d2831d1da543161891ebccad2c6db01",
			sum(hexNode(t, "091e073b982f66f013c026da6e54d87dbf8bba848ef57a5529c7e7f72c828843"),
				hexNode(t, "f0c5785c6c8cf62d968b1ecd68edb9d91eb9445c7858a60026f8826860f7e768"))},
		{"two zeros", "d413460e7f14e58b413d1defe188d36fb761afe5c6a733db6c6f1931130bfe48", sum(Node{}, Node{})},
		{"eight zeros", "3a9bffca31b48234d189b30de60b7c33f529c08b0836a004f98938b614e6793f", sum(make([]Node, 8)...)},
	} {
		if tt.got.String() != tt.want {
			t.Errorf("%s: got %s, want %s", tt.source, tt.got, tt.want)
		}
	}
}

// The form that is used gives what the textbook's form gives, on edges and on
// random states, with the tag of Merkle trees and with any other.
func TestSameAsTextbook(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var top fr.Element
	top.SetOne()
	top.Neg(&top)
	for _, merkle := range hashers() {
		for i, h := range []*Hasher{merkle, merkle.Tagged(1 << 40), merkle, merkle, merkle.Tagged(r.Uint64())} {
			in := make([]Node, h.Arity())
			for j := range in {
				in[j] = []Node{node(top), {}, randomNode(r)}[min(i, 2)]
			}
			elements := make([]fr.Element, len(in))
			for j := range in {
				elements[j] = element(t, in[j])
			}
			want := node(textbook(h.tag, elements))
			if got, err := h.Nodes(in...); err != nil || got != want {
				t.Errorf("arity %d, case %d: got %s, want %s (%v)", h.Arity(), i, got, want, err)
			}
		}
	}
}

func TestFirstRoundConstant(t *testing.T) {
	got := roundConstants(9, 8, 57)[0][0]
	const want = "6ce90d12c4045fe08c3caddb776dd84ac52b4ae7e48cd49443984154f2f4c2f9"
	if got.Text(16) != want {
		t.Errorf("got %s, want %s", got.Text(16), want)
	}
}

// What dot promises rests on these bounds.
func TestMatrixBounds(t *testing.T) {
	for _, h := range hashers() {
		for i, row := range h.matrix[:h.width] {
			var sum uint64
			for _, k := range row {
				sum += k
			}
			if sum == 0 || sum >= 1<<60 || len(row) != h.width {
				t.Errorf("arity %d, row %d: %d terms with the sum %d", h.Arity(), i, len(row), sum)
			}
		}
	}
}

// A value at or above the modulus is an error at every place and never reduced:
// the modulus itself would hash like zero.
func TestNonCanonical(t *testing.T) {
	var modulus, all, above Node
	fr.Modulus().FillBytes(modulus[:])
	for i := range 16 {
		modulus[i], modulus[31-i] = modulus[31-i], modulus[i]
	}
	above = modulus
	above[0]++
	for i := range all {
		all[i] = 0xff
	}
	below := modulus
	below[0]--
	if !below.Canonical() {
		t.Error("r-1 is taken for non-canonical")
	}
	for _, h := range hashers() {
		for place := range h.Arity() {
			for _, bad := range []Node{modulus, above, all} {
				in := make([]Node, h.Arity())
				in[place] = bad
				got, err := h.Nodes(in...)
				var e *NonCanonicalError
				if !errors.As(err, &e) || e.Index != place || got != (Node{}) {
					t.Errorf("arity %d, place %d: got %s, %v", h.Arity(), place, got, err)
				}
			}
		}
	}
}

func TestSumInPlaceWithoutAllocation(t *testing.T) {
	h := Hash8()
	buf := make([]byte, 8*NodeSize)
	want, err := h.Nodes(make([]Node, 8)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Sum(buf, buf); err != nil || Node(buf[:NodeSize]) != want {
		t.Errorf("got %x, want %s (%v)", buf[:NodeSize], want, err)
	}
	if n := testing.AllocsPerRun(20, func() { _ = h.Sum(buf, buf) }); n != 0 {
		t.Errorf("%v allocations a hash, want none", n)
	}
}

func FuzzSum(f *testing.F) {
	f.Add(make([]byte, 8*NodeSize))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < 8*NodeSize {
			return
		}
		in, want := make([]fr.Element, 8), error(nil)
		for i := range in {
			e, err := fr.LittleEndian.Element((*[32]byte)(raw[i*NodeSize:]))
			if err != nil && want == nil {
				want = err
			}
			in[i] = e
		}
		var got Node
		err := Hash8().Sum(got[:], raw)
		if (err != nil) != (want != nil) {
			t.Fatalf("got error %v, gnark says %v", err, want)
		}
		if err == nil && got != node(textbook(255, in)) {
			t.Fatalf("got %s, want %s", got, node(textbook(255, in)))
		}
	})
}
