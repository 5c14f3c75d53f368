package sample

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"damocles-manager/internal/post"
)

const (
	layers = 2 // of sectors up to 1 GiB; the sizes here have no more
	// labelParents is how many parent labels go into one label: the parents again
	// and again until there are so many.
	labelParents = 37
	labelHeader  = 64
)

// labels computes the layers one after the other, each label a node (rust-fil-proofs
// storage-proofs-porep/src/stacked/vanilla/create_label/single.rs).
func labels(ctx context.Context, g *graph, replicaID post.Node) ([layers][]byte, error) {
	var out [layers][]byte
	buf := make([]byte, labelHeader+labelParents*post.NodeSize)
	copy(buf, replicaID[:])
	for layer := range out {
		out[layer] = make([]byte, g.nodes*post.NodeSize)
		binary.BigEndian.PutUint32(buf[32:], uint32(layer+1))
		for node := range g.nodes {
			if node%4096 == 0 && ctx.Err() != nil {
				return out, ctx.Err()
			}
			binary.BigEndian.PutUint64(buf[36:], node)
			in := buf[:labelHeader]
			if node > 0 {
				in = buf
				g.gather(in[labelHeader:], node, layer, &out)
			}
			sum := masked(sha256.Sum256(in))
			copy(at(out[layer], node), sum[:])
		}
	}
	return out, nil
}

// gather copies the labels of the parents of a node.
func (g *graph) gather(dst []byte, node uint64, layer int, done *[layers][]byte) {
	var parents [drgParents + expanderParents][]byte
	all := parents[:0]
	for _, p := range g.drg(node) {
		all = append(all, at(done[layer], p))
	}
	if layer > 0 {
		for _, p := range g.expander(node) {
			all = append(all, at(done[layer-1], p))
		}
	}
	for i := range labelParents {
		copy(dst[i*post.NodeSize:], all[i%len(all)])
	}
}

// at is node i of a row of nodes.
func at(row []byte, i uint64) []byte {
	return row[i*post.NodeSize : (i+1)*post.NodeSize]
}

// masked clears the two highest bits of a hash, so that it is an element of the field.
func masked(sum [32]byte) post.Node {
	sum[31] &= 0x3f
	return sum
}

// dataCommitment is CommD: a binary tree of SHA-256 over the data, each hash masked.
func dataCommitment(data []byte) post.Node {
	row := append([]byte(nil), data...)
	for len(row) > post.NodeSize {
		for i := 0; i < len(row); i += 2 * post.NodeSize {
			sum := masked(sha256.Sum256(row[i : i+2*post.NodeSize]))
			copy(row[i/2:], sum[:])
		}
		row = row[:len(row)/2]
	}
	return post.Node(row)
}
