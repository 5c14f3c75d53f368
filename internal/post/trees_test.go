package post

import (
	"context"
	"os"
	"strings"
	"testing"
)

// What can be wrong with several tree files together.
func TestManyTrees(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		do         func(s Sector)
		want       Name
		file       func(s Sector) string
	}{
		{"two swapped", "-0.dat and sc-02-data-tree-r-last-3.dat are swapped",
			func(s Sector) { swap(t, s.treePath(0), s.treePath(3)) }, RootsMismatch, cache},
		{"one of another tree", "one of them",
			func(s Sector) { write(t, s.treePath(2), read(t, s.treePath(1))) }, RootsMismatch, cache},
		{"one missing", "not there",
			func(s Sector) { remove(func(s Sector) string { return s.treePath(5) })(t, s) }, MissingTree, func(s Sector) string { return s.treePath(5) }},
		{"one with other rows", "made with 1 rows discarded, and sc-02-data-tree-r-last-0.dat with 2", func(s Sector) {
			base := int(s.Shape.Size) / s.Shape.Trees()
			file, err := s.Shape.BuildTree(read(t, s.Replica)[6*base:7*base], 1)
			if err != nil {
				t.Fatal(err)
			}
			write(t, s.treePath(6), file)
		}, TreeSize, func(s Sector) string { return s.treePath(6) }},
	} {
		s := makeSector(t, shape128K, 2, 4)
		tt.do(s)
		r := check(t, NewChecker(Options{}), s, plans(s)["window"])
		if r.Verdict() != NotProvable || r.Findings[0].Name != tt.want || r.Findings[0].File != tt.file(s) ||
			!strings.Contains(r.Findings[0].Text, tt.text) {
			t.Errorf("%s: got %v", tt.name, r.Findings)
		}
	}
}

func swap(t *testing.T, a, b string) {
	t.Helper()
	x, y := read(t, a), read(t, b)
	write(t, a, y)
	write(t, b, x)
}

// A tree of three discarded rows: the size is that of a tree, but no prover opens it.
func TestThreeRowsDiscarded(t *testing.T) {
	s := makeSector(t, shape1M, 3, 5)
	r := check(t, NewChecker(Options{}), s, Plan{})
	if len(r.Findings) != 8 || r.Findings[0].Name != TreeSize || !strings.Contains(r.Findings[0].Text, "at most 2") {
		t.Errorf("got %v", r.Findings)
	}
}

// A wrong node is found at its place whether a challenge passes over it or beside
// it, and told from a wrong replica.
func TestPlaceOfDamage(t *testing.T) {
	s := makeSector(t, shape1M, 1, 6) // rows 2, 3 and 4: 64, 8 and 1 nodes
	l := layout{4, 1}
	c := NewChecker(Options{})
	for _, tt := range []struct {
		what   string
		offset int64
		leaf   uint64 // in base tree 0; a segment has 64
		want   Name
		at     int64
	}{
		{"on the path", l.offset(2, 9), 9 * 64, PathMismatch, l.offset(2, 9)},
		{"beside the path", l.offset(2, 9), 10 * 64, PathMismatch, l.offset(2, 8)},
		{"on the path, a row up", l.offset(3, 1), 9 * 64, PathMismatch, l.offset(3, 1)},
		{"beside the path, a row up", l.offset(3, 1), 0, PathMismatch, l.offset(3, 0)},
		{"elsewhere", l.offset(2, 9), 0, "", 0},
	} {
		flip(t, s.treePath(0), tt.offset*8)
		r := check(t, c, s, Plan{Leaves: []uint64{tt.leaf}})
		if tt.want == "" {
			if r.Has(PathMismatch) {
				t.Errorf("%s: got %v", tt.what, r.Findings)
			}
		} else if f := r.Findings[len(r.Findings)-1]; f.Name != tt.want || f.Offset != tt.at || f.File != s.treePath(0) {
			t.Errorf("%s: got %v, want %s at %d", tt.what, r.Findings, tt.want, tt.at)
		}
		flip(t, s.treePath(0), tt.offset*8)
	}
	flip(t, s.treePath(0), l.offset(2, 9)*8+255)
	r := check(t, c, s, Plan{Leaves: []uint64{10 * 64}})
	if f := r.Findings[len(r.Findings)-1]; f.Name != NonCanonical || f.Offset != l.offset(2, 9) {
		t.Errorf("no element: got %v", r.Findings)
	}
	r = check(t, c, s, Plan{Full: true})
	if f := r.Findings[len(r.Findings)-1]; f.Name != NonCanonical && f.Name != PathMismatch {
		t.Errorf("no element, full: got %v", r.Findings)
	}
}

// A replica of another sector fails in each segment: some are listed, the rest counted.
func TestManyFindings(t *testing.T) {
	s := makeSector(t, shape128K, 1, 7)
	other := makeSector(t, shape128K, 1, 8)
	s.Replica = other.Replica
	r := check(t, NewChecker(Options{Workers: 2}), s, Plan{Full: true})
	segments := 0
	for _, f := range r.Findings {
		if f.Name == SegmentMismatch {
			segments++
		}
	}
	if segments != perFile || r.Omitted != 64-perFile {
		t.Errorf("%d segments listed, %d findings omitted", segments, r.Omitted)
	}
}

// A file that becomes shorter between the look at its size and the read.
func TestShrinkingFile(t *testing.T) {
	s, _ := copied(t, 8)
	c := NewChecker(Options{FS: hook{open: func(path string) error {
		if path == s.Replica {
			return os.Truncate(path, 100)
		}
		return nil
	}}})
	r, err := c.Check(context.Background(), s, Plan{Full: true})
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Name != ReadError || !strings.Contains(r.Findings[0].Text, "shorter") {
		t.Errorf("got %v, %v", r.Findings, err)
	}
}
