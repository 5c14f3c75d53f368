package post

import "errors"

// step is the eight nodes of one row around a path from a segment to the root.
type step struct {
	row   int
	first int64  // index of nodes[0] in its row
	nodes []byte // 256 bytes
}

// at is the node of the row that is on the path to segment seg.
func (s step) at(l layout, seg int64) []byte {
	i := seg/power(s.row-l.first()) - s.first
	return s.nodes[i*NodeSize : (i+1)*NodeSize]
}

// problem is a place in the tree where a path does not hold.
type problem struct {
	name  Name
	row   int
	index int64
	text  string
}

// trace climbs from computed, the node that segment seg of the replica hashes to,
// with the siblings in steps, and compares with root, as a prover does; also with
// the stored nodes on the path, which a prover never reads but which are siblings
// on other paths. It returns what does not hold; nothing means that the segment
// can be proven.
func trace(l layout, seg int64, computed Node, steps []step, root Node) []problem {
	cur := computed
	var onPath []problem
	for _, s := range steps {
		index := seg / power(s.row-l.first())
		if Node(s.at(l, seg)) != cur {
			onPath = append(onPath, problem{PathMismatch, s.row, index,
				"this node of the tree is damaged: the paths that pass through it hold, but those beside it do not; rebuild the tree from the replica"})
		}
		var group [arity * NodeSize]byte
		copy(group[:], s.nodes)
		copy(group[(index-s.first)*NodeSize:], cur[:])
		if err := Hash8().Sum(cur[:], group[:]); err != nil {
			return []problem{nonCanonical(s, err)}
		}
	}
	if cur == root {
		return onPath
	}
	return diagnose(l, seg, computed, steps, root)
}

// diagnose finds out which of the two is damaged where a path does not reach the
// root: the stored nodes, if they do not follow from each other, else the replica.
func diagnose(l layout, seg int64, computed Node, steps []step, root Node) []problem {
	var out []problem
	stored := root
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		var got Node
		if err := Hash8().Sum(got[:], s.nodes); err != nil {
			out = append(out, nonCanonical(s, err))
		} else if got != stored {
			out = append(out, problem{PathMismatch, s.row, s.first,
				"these eight nodes of the tree do not hash to the one above them: the tree file is damaged; rebuild it from the replica"})
		}
		stored = Node(s.at(l, seg))
	}
	if computed != stored {
		text := "the replica does not hash to what the tree has for it, and the tree agrees with itself here: the replica is damaged, " +
			"or it and the tree are of different sectors"
		if len(out) > 0 {
			text = "the replica does not hash to what the tree has for it; the tree is damaged here, too"
		}
		out = append(out, problem{SegmentMismatch, 0, seg * l.segment(), text})
	}
	return out
}

func nonCanonical(s step, err error) problem {
	p := problem{NonCanonical, s.row, s.first, nonCanonicalNode}
	if e := (*NonCanonicalError)(nil); errors.As(err, &e) {
		p.index += int64(e.Index)
	}
	return p
}
