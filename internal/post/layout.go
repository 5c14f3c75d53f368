package post

// layout is where the nodes of a base tree lie in its file (merkletree
// src/store/level_cache.rs): rows discarded+1 to height one after the other, each
// in the order of its nodes, 32 bytes a node, nothing else.
type layout struct{ height, discarded int }

// first is the lowest row that the file has.
func (l layout) first() int { return l.discarded + 1 }

// nodes is the length of a row.
func (l layout) nodes(row int) int64 { return power(l.height - row) }

// segment is the number of leaves below one node of the first row: what has to be
// read from the replica to make up for the discarded rows.
func (l layout) segment() int64 { return power(l.first()) }

// offset is the place of a node in bytes; row lies between first and height.
func (l layout) offset(row int, index int64) int64 {
	var before int64
	for r := l.first(); r < row; r++ {
		before += l.nodes(r)
	}
	return (before + index) * NodeSize
}

// hashRow hashes the nodes of src by eight into dst, which may be src. len(src) is
// a multiple of 256. The index of a *NonCanonicalError counts the nodes of src.
func hashRow(dst, src []byte) error {
	h := Hash8()
	for i := 0; (i+1)*arity*NodeSize <= len(src); i++ {
		if err := h.Sum(dst[i*NodeSize:], src[i*arity*NodeSize:(i+1)*arity*NodeSize]); err != nil {
			if e, ok := err.(*NonCanonicalError); ok { //nolint:errorlint // Sum returns it bare
				e.Index += i * arity
			}
			return err
		}
	}
	return nil
}

// BuildTree returns the file of one base tree, given its leaves: the part of the
// replica that it covers, 32*8^Height bytes. It is what phase 2 of sealing writes
// with that number of rows discarded. The root is its last node.
func (s Shape) BuildTree(leaves []byte, discarded int) ([]byte, error) {
	out := make([]byte, 0, s.FileSize(discarded))
	row := leaves
	for k := 1; k <= s.Height; k++ {
		next := make([]byte, len(row)/arity)
		if err := hashRow(next, row); err != nil {
			return nil, err
		}
		if row = next; k > discarded {
			out = append(out, row...)
		}
	}
	return out, nil
}
