package post

import (
	"fmt"

	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/fault"
)

// PAuxSize is the size of p_aux, in bytes, with every known writer.
const PAuxSize = 2 * NodeSize

// PAux is the content of p_aux: what CommR is made of (rust-fil-proofs
// storage-proofs-porep/src/stacked/vanilla/params.rs PersistentAux).
type PAux struct {
	CommC     Node // root of tree C, the columns of labels; bytes 0 to 32
	CommRLast Node // root of tree R, the replica; bytes 32 to 64
}

// ParsePAux reads p_aux. Under 64 bytes is an error, and so is a half that is no
// element of the field (*NonCanonicalError, Index 0 or 1). Bytes after the first
// 64 are ignored, as the provers do.
func ParsePAux(raw []byte) (PAux, error) {
	if len(raw) < PAuxSize {
		return PAux{}, fmt.Errorf("p_aux has %d bytes, not %d", len(raw), PAuxSize)
	}
	p := PAux{CommC: Node(raw[:NodeSize]), CommRLast: Node(raw[NodeSize:PAuxSize])}
	for i, n := range []Node{p.CommC, p.CommRLast} {
		if !n.Canonical() {
			return PAux{}, &NonCanonicalError{Index: i}
		}
	}
	return p, nil
}

// CommR is the commitment that p_aux belongs to: Poseidon of arity 2 over comm_c
// and comm_r_last (porep/src/stacked/vanilla/proof.rs).
func (p PAux) CommR() (Node, error) { return Hash2().Nodes(p.CommC, p.CommRLast) }

// CommRFromCID takes the 32 bytes out of a sealed CID (bagboea4b5abc…).
func CommRFromCID(c cid.Cid) (Node, error) {
	const hint = "a sealed CID begins with bagboea4b5abc"
	if !c.Defined() {
		return Node{}, fault.New(hint, "the sealed CID is not set")
	}
	raw, err := commcid.CIDToReplicaCommitmentV1(c)
	if err != nil || len(raw) != NodeSize {
		return Node{}, fault.New(hint, "%s is not a sealed CID", c)
	}
	return Node(raw), nil
}

// CommRToCID writes a CommR as the chain does.
func CommRToCID(n Node) cid.Cid {
	c, err := commcid.ReplicaCommitmentV1ToCID(n[:])
	if err != nil {
		return cid.Undef // unreachable: it checks the length only
	}
	return c
}
