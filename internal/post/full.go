package post

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
)

// part is how many bytes a worker of a full check hashes at a time.
const part = 1 << 20

// checkAll holds every stored node against what it should be: the first row of a
// tree file against the replica, and each row above against the one below. So all
// of them are what the replica hashes to, and a fault is found at its own place.
func (v *visit) checkAll(ctx context.Context) error {
	before := len(v.report.Findings)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(v.workers)
	for i := range v.trees {
		t := &v.trees[i]
		if t.opened == nil {
			continue
		}
		if v.replica != nil {
			each(t.nodes(t.first()), t.segment()*NodeSize, func(from, n int64) {
				g.Go(func() error { return goOn(v.checkSegments(ctx, i, from, n)) })
			})
		}
		for row := t.first() + 1; row <= t.height; row++ {
			each(t.nodes(row), arity*NodeSize, func(from, n int64) {
				g.Go(func() error { return goOn(v.checkRow(ctx, t, row, from, n)) })
			})
		}
	}
	err := g.Wait()
	slices.SortStableFunc(v.report.Findings[before:], func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset))
	})
	return err
}

// each cuts total nodes, with below bytes under each, into parts for one worker.
func each(total, below int64, do func(from, n int64)) {
	size := max(1, part/below)
	for from := int64(0); from < total; from += size {
		do(from, min(size, total-from))
	}
}

// checkSegments hashes n segments of the replica and compares them with the first
// row of the tree file.
func (v *visit) checkSegments(ctx context.Context, i int, from, n int64) error {
	t := &v.trees[i]
	if err := ctx.Err(); err != nil {
		return err
	}
	size := t.segment() * NodeSize
	raw, err := v.read(ctx, v.replica, v.segmentOffset(i, from), n*size)
	if err != nil {
		return err
	}
	stored, err := v.read(ctx, t.opened, t.offset(t.first(), from), n*NodeSize)
	if err != nil {
		return err
	}
	for k := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		seg := from + k
		computed, ok := v.fold(raw[k*size:(k+1)*size], v.segmentOffset(i, seg))
		if !ok || computed == Node(stored[k*NodeSize:(k+1)*NodeSize]) {
			continue
		}
		if err := v.judge(ctx, i, seg, computed); err != nil {
			return err
		}
	}
	v.mu.Lock()
	v.report.Segments += n
	v.mu.Unlock()
	return nil
}

// checkRow compares n nodes of a row with what the stored row below hashes to.
func (v *visit) checkRow(ctx context.Context, t *tree, row int, from, n int64) error {
	below, err := v.read(ctx, t.opened, t.offset(row-1, from*arity), n*arity*NodeSize)
	if err != nil {
		return err
	}
	stored, err := v.read(ctx, t.opened, t.offset(row, from), n*NodeSize)
	if err != nil {
		return err
	}
	for k := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		var got Node
		group := below[k*arity*NodeSize : (k+1)*arity*NodeSize]
		err := Hash8().Sum(got[:], group)
		v.hashed(1)
		if e := (*NonCanonicalError)(nil); errors.As(err, &e) {
			v.found(Finding{NonCanonical, t.path, t.offset(row-1, (from+k)*arity+int64(e.Index)), nonCanonicalNode, nil})
		} else if got != Node(stored[k*NodeSize:(k+1)*NodeSize]) {
			v.found(Finding{PathMismatch, t.path, t.offset(row, from+k),
				"this node of the tree does not follow from the eight below it: one of the nine is damaged; rebuild the tree from the replica", nil})
		}
	}
	return nil
}
