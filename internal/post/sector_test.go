package post

import (
	"path/filepath"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/testkit"
)

// Every sealed and every updated sector of the fixture passes, however it is checked.
func TestRealSectorsPass(t *testing.T) {
	storage := testkit.Fixture(t, "switch-2k/storage")
	c, pairs := NewChecker(Options{}), 0
	// sectors.json names a sealed file of these that the stores do not have.
	gone := map[abi.SectorNumber]bool{22: true, 29: true}
	pass := func(s Sector) {
		pairs++
		for name, plan := range plans(s) {
			r := check(t, c, s, plan)
			if r.Verdict() != Provable || len(r.Findings) > 0 || r.Segments == 0 || r.CommR != s.CommR {
				t.Errorf("%s, %s: %s, %v, %d segments", s.Replica, name, r.Verdict(), r.Findings, r.Segments)
			}
		}
	}
	for _, r := range realSectors(t) {
		if r.Sealed != "" {
			s := r.at(t, storage, r.Sealed, r.Cache, r.CommR)
			if gone[r.Number] {
				if got := check(t, c, s, Plan{}); !got.Has(MissingReplica) {
					t.Errorf("%d has no replica in the fixture: got %v", r.Number, got.Findings)
				}
			} else {
				pass(s)
			}
		}
		if r.Update != "" {
			pass(r.at(t, storage, r.Update, r.UpdateCache, r.NewCommR))
		}
	}
	if pairs != 49 {
		t.Errorf("%d pairs of files were checked, not 49", pairs)
	}
}

// 122 was imported without its new CommR: it fits together, and no more is known.
func TestUnknownCommR(t *testing.T) {
	_, s := copied(t, 122)
	want := s.CommR
	s.CommR = Node{}
	r := check(t, NewChecker(Options{}), s, Plan{Full: true})
	if r.Verdict() != Undecided || len(r.Findings) != 1 || !r.Has(CommRUnknown) {
		t.Errorf("got %s, %v", r.Verdict(), r.Findings)
	}
	if r.CommR != want {
		t.Errorf("p_aux belongs to %s, the report says %s", want, r.CommR)
	}
	s.CommR = want
	if r := check(t, NewChecker(Options{}), s, Plan{Full: true}); r.Verdict() != Provable {
		t.Errorf("with the CommR: %v", r.Findings)
	}
}

// Shapes of 32 and 64 GiB sectors over small base trees, every number of discarded
// rows that a prover opens, every leaf.
func TestSyntheticShapesPass(t *testing.T) {
	t.Parallel()
	for i, tt := range []struct {
		shape     Shape
		discarded []int
	}{
		{shape16K, []int{1}}, {shape32K, []int{1}}, {shape128K, []int{0, 1, 2}}, {shape256K, []int{2}}, {Shape{Size: 128 << 10, Height: 4}, []int{0, 2}},
	} {
		for _, d := range tt.discarded {
			s := makeSector(t, tt.shape, d, uint64(i))
			plans := plans(s)
			if d != tt.shape.Discards() {
				plans = map[string]Plan{"full": {Full: true}}
			}
			plans["every leaf"] = Plan{Leaves: s.Shape.Draw(s.Number, int(s.Shape.Leaves()))}
			for name, plan := range plans {
				r := check(t, NewChecker(Options{}), s, plan)
				if r.Verdict() != Provable || r.Segments == 0 {
					t.Errorf("%d bytes, %d rows discarded, %s: %v", s.Shape.Size, d, name, r.Findings)
				}
				if got, want := r.Has(RowsDiscarded), d != s.Shape.Discards(); got != want {
					t.Errorf("%d bytes, %d rows discarded: rows-discarded is %v", s.Shape.Size, d, got)
				}
				all := int64(s.Shape.Leaves()) / power(d+1)
				if (name == "every leaf" || name == "full") && r.Segments != all {
					t.Errorf("%s: %d segments of %d", name, r.Segments, all)
				}
			}
		}
	}
}

func TestEightMiB(t *testing.T) {
	t.Parallel()
	s := makeSector(t, shapeOf(t, 8<<20), 2, 8)
	c := NewChecker(Options{Workers: 2})
	plans := plans(s)
	if testing.Short() {
		delete(plans, "full")
	}
	for name, plan := range plans {
		if r := check(t, c, s, plan); r.Verdict() != Provable || len(r.Findings) > 0 {
			t.Errorf("%s: %v", name, r.Findings)
		}
	}
	// One wrong bit in each of three places, found where it is.
	l := layout{6, 2}
	for _, tt := range []struct {
		file   string
		offset int64
		name   Name
		at     int64 // offset of the finding
		leaf   uint64
	}{
		{s.Replica, 512*NodeSize*5 + 77, SegmentMismatch, 512 * NodeSize * 5, 512 * 5},
		{s.treePath(0), l.offset(3, 13), PathMismatch, l.offset(3, 13), 512 * 13},
		{s.treePath(0), l.offset(4, 3), PathMismatch, l.offset(4, 0), 512 * 8 * 4},
	} {
		flip(t, tt.file, tt.offset*8)
		r := check(t, c, s, Plan{Leaves: []uint64{tt.leaf}})
		if len(r.Findings) != 1 || r.Findings[0].Name != tt.name || r.Findings[0].Offset != tt.at || r.Findings[0].File != tt.file {
			t.Errorf("%s at %d: %v", filepath.Base(tt.file), tt.offset, r.Findings)
		}
		flip(t, tt.file, tt.offset*8)
	}
}
