package post

import (
	"os"
	"testing"
)

// flip changes one bit of a file.
func flip(t testing.TB, path string, bit int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (bit % 8)
	if _, err := f.WriteAt(b[:], bit/8); err != nil {
		t.Fatal(err)
	}
}

// Every bit of p_aux and of the tree file of a real 2 KiB sector counts, and with a
// full check every bit of its replica. By default each 61st bit of the replica is
// tried; DM_BITFLIPS=all tries them all.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	s, _ := copied(t, 8)
	c := NewChecker(Options{})
	window := Plan{Leaves: s.Shape.Window(WindowV1_1, Randomness{}, s.Number, 0)}
	stride := int64(61)
	if os.Getenv("DM_BITFLIPS") == "all" {
		stride = 1
	}
	for _, tt := range []struct {
		path         string
		size, stride int64
		plan         Plan
		names        map[Name]bool
	}{
		{s.pAuxPath(), PAuxSize, 1, window, map[Name]bool{CommRMismatch: true, NonCanonical: true}},
		{s.treePath(0), NodeSize, 1, window, map[Name]bool{RootsMismatch: true, NonCanonical: true}},
		{s.Replica, 2048, stride, Plan{Full: true}, map[Name]bool{SegmentMismatch: true, NonCanonical: true}},
	} {
		for bit := int64(0); bit < tt.size*8; bit += tt.stride {
			flip(t, tt.path, bit)
			r := check(t, c, s, tt.plan)
			if r.Verdict() != NotProvable || !tt.names[r.Findings[0].Name] {
				t.Errorf("%s, bit %d: %s, %v", tt.path, bit, r.Verdict(), r.Findings)
			}
			flip(t, tt.path, bit)
		}
		if r := check(t, c, s, tt.plan); r.Verdict() != Provable {
			t.Fatalf("the last bit was not put back: %v", r.Findings)
		}
	}
}

// The same for the files of a sector of eight base trees and a tree of several rows.
func TestBitsOfManyTrees(t *testing.T) {
	t.Parallel()
	s := makeSector(t, shape128K, 1, 3)
	c := NewChecker(Options{})
	for i := range s.Shape.Trees() {
		path := s.treePath(i)
		for bit := int64(i); bit < s.Shape.FileSize(1)*8; bit += 997 {
			flip(t, path, bit)
			r := check(t, c, s, Plan{Full: true})
			if r.Verdict() != NotProvable {
				t.Errorf("%s, bit %d: %s, %v", path, bit, r.Verdict(), r.Findings)
			}
			flip(t, path, bit)
		}
	}
}
