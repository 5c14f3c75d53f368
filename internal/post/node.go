package post

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// NodeSize is the size of a node, a leaf and a commitment, in bytes.
const NodeSize = 32

// Node is an element of the BLS12-381 scalar field as it stands in files: 32
// bytes, little-endian, below the modulus r (canonical), not in Montgomery form
// (rust-fil-proofs fr32/src/convert.rs). A Node that was only read may be at or
// above r; whatever hashes it then returns a *NonCanonicalError.
type Node [NodeSize]byte

// String is the node in hexadecimal, in the order of the file.
func (n Node) String() string { return hex.EncodeToString(n[:]) }

// IsZero says whether all bytes are zero, which no commitment is.
func (n Node) IsZero() bool { return n == Node{} }

// Canonical says whether the node is an element of the field.
func (n Node) Canonical() bool {
	_, ok := load(n[:])
	return ok
}

// NonCanonicalError says that 32 bytes are no element of the field. The provers
// stop at such a node, and it is never reduced here.
type NonCanonicalError struct {
	// Index is which of the nodes handed over it is, counted from 0.
	Index int
}

func (e *NonCanonicalError) Error() string {
	return fmt.Sprintf("node %d is not below the modulus of the field", e.Index)
}

// load reads 32 bytes as limbs, without Montgomery form; false where the value is
// not below the modulus.
func load(b []byte) (fr.Element, bool) {
	_ = b[NodeSize-1]
	e := fr.Element{
		binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]),
		binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:]),
	}
	_, c := bits.Sub64(e[0], q0, 0)
	_, c = bits.Sub64(e[1], q1, c)
	_, c = bits.Sub64(e[2], q2, c)
	_, c = bits.Sub64(e[3], q3, c)
	return e, c == 1
}

func store(b []byte, e *fr.Element) {
	_ = b[NodeSize-1]
	binary.LittleEndian.PutUint64(b, e[0])
	binary.LittleEndian.PutUint64(b[8:], e[1])
	binary.LittleEndian.PutUint64(b[16:], e[2])
	binary.LittleEndian.PutUint64(b[24:], e[3])
}
