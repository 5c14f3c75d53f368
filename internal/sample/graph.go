package sample

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// Parents of a node: 6 in its own layer, 8 in the layer before.
const (
	drgParents      = 6
	expanderParents = 8
)

// graph is the stacked DRG of a sector: which labels each label is made from.
type graph struct {
	nodes   uint64
	drgSeed [28]byte
	keys    [3]uint64 // of the Feistel network
	half    uint      // bits of each of its halves
}

func newGraph(nodes uint64, porepID [32]byte) *graph {
	g := &graph{nodes: nodes}
	seed := sha256.Sum256(append([]byte("Filecoin_DRSample"), porepID[:]...))
	copy(g.drgSeed[:], seed[:])
	keys := sha256.Sum256(append([]byte("Filecoin_Feistel"), porepID[:]...))
	for i := range g.keys {
		g.keys[i] = binary.LittleEndian.Uint64(keys[8*i:])
	}
	for uint64(1)<<(2*g.half) < nodes*expanderParents {
		g.half++
	}
	return g
}

// drg returns the parents in the node's own layer, in the order of API V1_1: the
// node before it, then five drawn ones, near ones more often (rust-fil-proofs
// storage-proofs-core/src/drgraph.rs BucketGraph).
func (g *graph) drg(node uint64) [drgParents]uint64 {
	var out [drgParents]uint64
	if node < 2 {
		return out
	}
	var seed [32]byte
	copy(seed[:], g.drgSeed[:])
	binary.LittleEndian.PutUint32(seed[28:], uint32(node))
	rng := newChacha8(seed)
	const degree = drgParents - 1
	meta := node * degree
	buckets := uint64(bits.Len64(meta - 1)) // ceil(log2(meta))
	out[0] = node - 1
	for i := 1; i < drgParents; i++ {
		bucket := rng.uint64()%buckets + 1
		hi := min(meta, 1<<bucket)
		lo := max(2, hi/2)
		distance := lo + rng.uint64()%(hi-lo+1)
		if out[i] = (meta - distance) / degree; out[i] == node {
			out[i] = node - 1
		}
	}
	return out
}

// expander returns the parents in the layer before: a permutation of all places by
// a Feistel network (storage-proofs-core/src/crypto/feistel.rs).
func (g *graph) expander(node uint64) [expanderParents]uint64 {
	var out [expanderParents]uint64
	for i := range out {
		v := g.permute(node*expanderParents + uint64(i))
		for v >= g.nodes*expanderParents {
			v = g.permute(v)
		}
		out[i] = v / expanderParents
	}
	return out
}

func (g *graph) permute(v uint64) uint64 {
	mask := uint64(1)<<g.half - 1
	l, r := v>>g.half, v&mask
	for _, key := range g.keys {
		var in [16]byte
		binary.BigEndian.PutUint64(in[:], r)
		binary.BigEndian.PutUint64(in[8:], key)
		sum := blake2b.Sum512(in[:])
		l, r = r, l^binary.BigEndian.Uint64(sum[:])&mask
	}
	return l<<g.half | r
}
