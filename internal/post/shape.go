package post

import (
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// arity is that of every base tree.
const arity = 8

// Shape is how the leaves of a sector make up its tree R: base trees of arity 8,
// joined by arity Sub, and those by arity Top (rust-fil-proofs
// filecoin-proofs/src/constants.rs, SectorShape…). Leaf i of the sector is bytes
// 32*i to 32*i+32 of the replica, unhashed.
type Shape struct {
	Size abi.SectorSize // of the replica, in bytes
	// Sub and Top are the arities above the base trees; 0 where there is no such row.
	Sub, Top int
	// Height is the number of rows above the leaves in a base tree: 8^Height
	// leaves, and row Height is its root.
	Height int
}

// ShapeOf returns the shape of a published sector size; anything else is a usage
// error.
func ShapeOf(size abi.SectorSize) (Shape, error) {
	for _, s := range []Shape{
		{Size: 2 << 10, Height: 2},
		{Size: 8 << 20, Height: 6},
		{Size: 512 << 20, Height: 8},
		{Size: 32 << 30, Sub: 8, Height: 9},
		{Size: 64 << 30, Sub: 8, Top: 2, Height: 9},
	} {
		if s.Size == size {
			return s, nil
		}
	}
	return Shape{}, fault.BadUsage("sectors are of 2KiB, 8MiB, 512MiB, 32GiB or 64GiB",
		"%d bytes is not a sector size", uint64(size))
}

// Trees is the number of base trees, which is the number of tree-r-last files.
func (s Shape) Trees() int { return max(s.Sub, 1) * max(s.Top, 1) }

// Leaves is the number of leaves of the sector.
func (s Shape) Leaves() uint64 { return uint64(s.Trees()) * s.base() }

// base is the number of leaves of one base tree.
func (s Shape) base() uint64 { return uint64(power(s.Height)) }

// TreeNames are the names of the tree files, in order: file i holds base tree i,
// of leaves i*8^Height and up.
func (s Shape) TreeNames() []string {
	// the number of files decides the names, not the size
	sizes := map[int]abi.SectorSize{1: 2 << 10, 8: 32 << 30, 16: 64 << 30}
	return sector.TreeRNames(sizes[s.Trees()])
}

// Discards is the number of rows above the leaves that the provers leave out with
// their default setting (rust-fil-proofs storage-proofs-core/src/util.rs
// default_rows_to_discard): 1 for 2 KiB sectors, 2 for all others.
func (s Shape) Discards() int {
	if s.Height == 2 {
		return 1
	}
	return min(2, s.Height-1)
}

// FileSize is the size in bytes of each tree file from which the lowest discarded
// rows above the leaves are left out; 0 <= discarded < Height.
func (s Shape) FileSize(discarded int) int64 {
	return (power(s.Height-discarded) - 1) / (arity - 1) * NodeSize
}

// Discarded is the inverse of FileSize; false where no number of rows gives the size.
func (s Shape) Discarded(fileSize int64) (int, bool) {
	for d := range s.Height {
		if s.FileSize(d) == fileSize {
			return d, true
		}
	}
	return 0, false
}

// placeholder is the size of the empty file that a prover makes where a tree file
// is missing (merkletree src/store/level_cache.rs new_from_disk): every row, the
// leaves too.
func (s Shape) placeholder() int64 { return s.FileSize(-1) }

// Combine joins the roots of the base trees to comm_r_last: Poseidon of arity Sub,
// then of arity Top (merkletree src/merkle.rs). len(roots) must be Trees().
func (s Shape) Combine(roots []Node) (Node, error) {
	if len(roots) != s.Trees() {
		return Node{}, fmt.Errorf("%d roots for %d base trees", len(roots), s.Trees())
	}
	level := append([]Node(nil), roots...)
	for _, n := range []int{s.Sub, s.Top} {
		if n == 0 {
			break
		}
		h := Hash8()
		if n == 2 {
			h = Hash2()
		}
		next := make([]Node, 0, len(level)/n)
		for i := 0; i < len(level); i += n {
			out, err := h.Nodes(level[i : i+n]...)
			if err != nil {
				return Node{}, err
			}
			next = append(next, out)
		}
		level = next
	}
	return level[0], nil
}

// combineHashes is how many hashes Combine takes.
func (s Shape) combineHashes() int64 {
	n := int64(s.Top)
	if n > 0 {
		n++
	} else if s.Sub > 0 {
		n = 1
	}
	return n
}

// power is 8^n.
func power(n int) int64 { return 1 << (3 * n) }
