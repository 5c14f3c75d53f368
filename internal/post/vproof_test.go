package post

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"damocles-manager/internal/testkit"
)

// vanillaProof is what a prover hands to the SNARK for one sector, in bincode:
// rust-fil-proofs storage-proofs-core/src/merkle/proof.rs and
// storage-proofs-post/src/fallback/vanilla.rs.
type vanillaProof struct {
	sector uint64
	commR  Node
	proofs []inclusionProof
	pAux   PAux
}

type inclusionProof struct {
	base, sub, top []pathElement
	root, leaf     Node
}

// pathElement is one row: the siblings, and the place of the node among them.
type pathElement struct {
	siblings []Node
	index    uint64
}

var errVProof = errors.New("not a vanilla proof")

// bincode reads little-endian values; after an error everything is zero.
type bincode struct {
	rest []byte
	bad  bool
}

func (b *bincode) take(n int) []byte {
	if b.bad || n > len(b.rest) {
		b.bad = true
		return make([]byte, n)
	}
	out := b.rest[:n]
	b.rest = b.rest[n:]
	return out
}

func (b *bincode) u64() uint64 { return binary.LittleEndian.Uint64(b.take(8)) }
func (b *bincode) u32() uint32 { return binary.LittleEndian.Uint32(b.take(4)) }

func (b *bincode) node() Node {
	n := Node(b.take(NodeSize))
	b.bad = b.bad || !n.Canonical()
	return n
}

// count reads a length of things that have at least size bytes each.
func (b *bincode) count(size int) int {
	n := b.u64()
	if n > uint64(len(b.rest)/size) {
		b.bad = true
		return 0
	}
	return int(n)
}

func (b *bincode) path() []pathElement {
	out := make([]pathElement, b.count(16))
	for i := range out {
		out[i].siblings = make([]Node, b.count(NodeSize))
		for j := range out[i].siblings {
			out[i].siblings[j] = b.node()
		}
		out[i].index = b.u64()
	}
	return out
}

func (b *bincode) inclusion() inclusionProof {
	var p inclusionProof
	switch b.u32() {
	case 0:
		p.root, p.leaf, p.base = b.node(), b.node(), b.path()
	case 1:
		p.base, p.sub, p.root, p.leaf = b.path(), b.path(), b.node(), b.node()
	case 2:
		p.base, p.sub, p.top, p.root, p.leaf = b.path(), b.path(), b.path(), b.node(), b.node()
	default:
		b.bad = true
	}
	return p
}

func decodeVProof(raw []byte) (vanillaProof, error) {
	b := &bincode{rest: raw}
	p := vanillaProof{sector: b.u64(), commR: b.node()}
	if b.u64() != 1 {
		return vanillaProof{}, errVProof
	}
	p.proofs = make([]inclusionProof, b.count(68))
	for i := range p.proofs {
		p.proofs[i] = b.inclusion()
	}
	p.pAux = PAux{CommC: b.node(), CommRLast: b.node()}
	if b.bad || len(b.rest) > 0 {
		return vanillaProof{}, errVProof
	}
	return p, nil
}

func (p vanillaProof) encode() []byte {
	var w bytes.Buffer
	put := func(v any) { _ = binary.Write(&w, binary.LittleEndian, v) }
	path := func(p []pathElement) {
		put(uint64(len(p)))
		for _, e := range p {
			put(uint64(len(e.siblings)))
			put(e.siblings)
			put(e.index)
		}
	}
	put(p.sector)
	put(p.commR)
	put(uint64(1))
	put(uint64(len(p.proofs)))
	for _, i := range p.proofs {
		put(uint32(1))
		path(i.base)
		path(i.sub)
		put(i.root)
		put(i.leaf)
	}
	put(p.pAux)
	return w.Bytes()
}

// climb returns the root over a leaf and the index that the path stands for.
func climb(t testing.TB, leaf Node, paths ...[]pathElement) (root Node, index uint64) {
	t.Helper()
	root, weight := leaf, uint64(1)
	for _, path := range paths {
		for _, e := range path {
			h := map[int]*Hasher{2: Hash2(), 8: Hash8()}[len(e.siblings)+1]
			if h == nil || e.index > uint64(len(e.siblings)) {
				t.Fatalf("%d siblings, index %d", len(e.siblings), e.index)
			}
			group := append([]Node(nil), e.siblings[:e.index]...)
			group = append(append(group, root), e.siblings[e.index:]...)
			var err error
			if root, err = h.Nodes(group...); err != nil {
				t.Fatal(err)
			}
			index += e.index * weight
			weight *= uint64(h.Arity())
		}
	}
	return root, index
}

// A real Window proof of a 32 GiB sector: ten paths that lead from the leaves
// challenged here to comm_r_last, which makes up its CommR.
func TestRealWindowProof(t *testing.T) {
	raw := read(t, testkit.Fixture(t, "post/window-32gib.vproof"))
	p, err := decodeVProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := commR(t, "bagboea4b5abcbx3jccdohrttzfneleehcpkmle4oltwuh4q3rcf5tpdodaoj6mtl")
	if got, err := p.pAux.CommR(); err != nil || got != want || p.commR != want || p.sector != 1 {
		t.Errorf("sector %d, CommR %s, and %s from p_aux (%v)", p.sector, p.commR, got, err)
	}
	shape := shapeOf(t, 32<<30)
	challenges := shape.Window(WindowV1_1, Randomness{}, 1, 0)
	if len(p.proofs) != len(challenges) {
		t.Fatalf("%d proofs for %d challenges", len(p.proofs), len(challenges))
	}
	for i, proof := range p.proofs {
		root, index := climb(t, proof.leaf, proof.base, proof.sub, proof.top)
		if root != p.pAux.CommRLast || proof.root != root || index != challenges[i] {
			t.Errorf("proof %d: leaf %d leads to %s, want leaf %d and %s", i, index, root, challenges[i], p.pAux.CommRLast)
		}
		if len(proof.base) != shape.Height || len(proof.sub) != 1 || len(proof.top) != 0 {
			t.Errorf("proof %d: %d, %d and %d rows", i, len(proof.base), len(proof.sub), len(proof.top))
		}
		proof.leaf[3] ^= 1
		if root, _ := climb(t, proof.leaf, proof.base, proof.sub); root == p.pAux.CommRLast {
			t.Errorf("proof %d holds for another leaf, too", i)
		}
	}
	if !bytes.Equal(p.encode(), raw) {
		t.Error("encoded again, it is not the same")
	}
	for _, bad := range [][]byte{nil, raw[:len(raw)-1], append(bytes.Clone(raw), 0)} {
		if _, err := decodeVProof(bad); err == nil {
			t.Errorf("%d bytes are taken for a proof", len(bad))
		}
	}
}

func FuzzVProof(f *testing.F) {
	f.Add(read(f, testkit.Fixture(f, "post/window-32gib.vproof")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := decodeVProof(raw)
		if err != nil {
			return
		}
		for _, i := range p.proofs {
			if i.sub == nil || i.top != nil {
				return // encode writes the variant of 32 GiB only
			}
		}
		if !bytes.Equal(p.encode(), raw) {
			t.Error("encoded again, it is not the same")
		}
	})
}
