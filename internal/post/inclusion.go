package post

import (
	"context"
	"errors"
)

// checkLeaves proves the segments that hold the challenged leaves.
func (v *visit) checkLeaves(ctx context.Context, leaves []uint64) error {
	if v.replica == nil {
		return nil
	}
	type place struct {
		tree int
		seg  int64
	}
	seen := map[place]bool{}
	base := int64(v.sector.Shape.base())
	for _, leaf := range leaves {
		p := place{tree: int(int64(leaf) / base)}
		if p.tree >= len(v.trees) || v.trees[p.tree].opened == nil {
			continue
		}
		p.seg = int64(leaf) % base / v.trees[p.tree].segment()
		if seen[p] {
			continue
		}
		seen[p] = true
		if err := goOn(v.checkSegment(ctx, p.tree, p.seg)); err != nil {
			return err
		}
	}
	return nil
}

func (v *visit) checkSegment(ctx context.Context, i int, seg int64) error {
	t := &v.trees[i]
	raw, err := v.read(ctx, v.replica, v.segmentOffset(i, seg), t.segment()*NodeSize)
	if err != nil {
		return err
	}
	computed, ok := v.fold(raw, v.segmentOffset(i, seg))
	if !ok {
		return nil
	}
	v.mu.Lock()
	v.report.Segments++
	v.mu.Unlock()
	return v.judge(ctx, i, seg, computed)
}

// segmentOffset is where a segment of base tree i begins in the replica.
func (v *visit) segmentOffset(i int, seg int64) int64 {
	return (int64(i)*int64(v.sector.Shape.base()) + seg*v.trees[i].segment()) * NodeSize
}

// fold hashes a segment of the replica up to one node, in place. False means that
// a leaf is no element of the field, which is added to the findings.
func (v *visit) fold(raw []byte, offset int64) (Node, bool) {
	for row := raw; len(row) > NodeSize; row = row[:len(row)/arity] {
		err := hashRow(row, row)
		v.hashed(int64(len(row)) / (arity * NodeSize))
		if e := (*NonCanonicalError)(nil); errors.As(err, &e) {
			v.found(Finding{NonCanonical, v.replica.path, offset + int64(e.Index)*NodeSize,
				"these 32 bytes are no element of the field, so no sealer wrote them: the replica is damaged here", nil})
			return Node{}, false
		}
	}
	return Node(raw[:NodeSize]), true
}

// judge reads the path from a segment to the root and adds what does not hold.
func (v *visit) judge(ctx context.Context, i int, seg int64, computed Node) error {
	t := &v.trees[i]
	var steps []step
	for row := t.first(); row < t.height; row++ {
		s := step{row: row, first: seg / power(row-t.first()) / arity * arity}
		var err error
		if s.nodes, err = v.read(ctx, t.opened, t.offset(row, s.first), arity*NodeSize); err != nil {
			return err
		}
		steps = append(steps, s)
	}
	v.hashed(int64(len(steps)))
	for _, p := range trace(t.layout, seg, computed, steps, t.root) {
		f := Finding{Name: p.name, File: t.path, Text: p.text}
		if p.row == 0 {
			f.File, f.Offset = v.replica.path, v.segmentOffset(i, seg)
		} else {
			f.Offset = t.offset(p.row, p.index)
		}
		v.found(f)
	}
	return nil
}
