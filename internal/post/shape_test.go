package post

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/testkit"
)

func TestFileSizes(t *testing.T) {
	for _, tt := range []struct {
		size  abi.SectorSize
		trees int
		bytes map[int]int64 // by discarded rows
		usual int
	}{
		{2 << 10, 1, map[int]int64{1: 32}, 1},
		{8 << 20, 1, map[int]int64{0: 1198368, 1: 149792, 2: 18720, 3: 2336}, 2},
		{512 << 20, 1, map[int]int64{0: 76695840, 1: 9586976, 2: 1198368, 3: 149792}, 2},
		{32 << 30, 8, map[int]int64{0: 613566752, 1: 76695840, 2: 9586976, 3: 1198368, -1: 4908534048}, 2},
		{64 << 30, 16, map[int]int64{0: 613566752, 1: 76695840, 2: 9586976, 3: 1198368, -1: 4908534048}, 2},
	} {
		s := shapeOf(t, tt.size)
		if s.Trees() != tt.trees || s.Discards() != tt.usual || s.Leaves()*NodeSize != uint64(tt.size) || len(s.TreeNames()) != tt.trees {
			t.Errorf("%d: %d trees, %d rows discarded, %d leaves, names %v", tt.size, s.Trees(), s.Discards(), s.Leaves(), s.TreeNames())
		}
		for d, want := range tt.bytes {
			if got := s.FileSize(d); got != want {
				t.Errorf("%d, %d rows discarded: got %d bytes, want %d", tt.size, d, got, want)
			}
			if got, ok := s.Discarded(want); ok != (d >= 0) || ok && got != d {
				t.Errorf("%d, %d bytes: got %d rows, %v, want %d", tt.size, want, got, ok, d)
			}
		}
		if _, ok := s.Discarded(s.FileSize(1) + NodeSize); ok {
			t.Errorf("%d: a size of no tree is taken", tt.size)
		}
	}
}

func TestOffsets(t *testing.T) {
	l := layout{height: 9, discarded: 2}
	for row, want := range map[int]int64{3: 0, 4: 8388608, 5: 9437184, 6: 9568256, 7: 9584640, 8: 9586688, 9: 9586944} {
		if got := l.offset(row, 0); got != want {
			t.Errorf("row %d: got %d, want %d", row, got, want)
		}
	}
	if got := l.offset(4, 5); got != 8388608+160 {
		t.Errorf("node 5: got %d", got)
	}
	if l.segment() != 512 {
		t.Errorf("a segment has %d leaves", l.segment())
	}
}

func TestShapeOfUnknownSize(t *testing.T) {
	for _, size := range []abi.SectorSize{0, 1, 4 << 10, 1 << 30, 1<<64 - 1} {
		if _, err := ShapeOf(size); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%d: got %v", size, err)
		}
	}
}

// The real 32 GiB sector: eight roots to comm_r_last to CommR.
func TestRealRoots(t *testing.T) {
	var v struct {
		TreeRLastBaseRoots []string
		PAux, CommR        string
	}
	if err := json.Unmarshal(read(t, testkit.Fixture(t, "post/sector-32gib.json")), &v); err != nil {
		t.Fatal(err)
	}
	var roots []Node
	for _, r := range v.TreeRLastBaseRoots {
		roots = append(roots, hexNode(t, r))
	}
	commC, last := hexNode(t, v.PAux[:64]), hexNode(t, v.PAux[64:])
	p, err := ParsePAux(append(commC[:], last[:]...))
	if err != nil || p.CommC != commC {
		t.Fatal(p, err)
	}
	if got, err := shapeOf(t, 32<<30).Combine(roots); err != nil || got != p.CommRLast {
		t.Errorf("comm_r_last: got %s, want %s (%v)", got, p.CommRLast, err)
	}
	got, err := p.CommR()
	if err != nil || CommRToCID(got).String() != v.CommR || got != commR(t, v.CommR) {
		t.Errorf("CommR: got %s, want %s (%v)", CommRToCID(got), v.CommR, err)
	}
	if _, err := shapeOf(t, 32<<30).Combine(roots[1:]); err == nil {
		t.Error("seven roots make up a sector")
	}
}

// 64 GiB: two groups of eight, then arity 2.
func TestCombineOfSixteen(t *testing.T) {
	var roots []Node
	for i := range uint64(16) {
		roots = append(roots, number(i))
	}
	a, errA := Hash8().Nodes(roots[:8]...)
	b, errB := Hash8().Nodes(roots[8:]...)
	want, err := Hash2().Nodes(a, b)
	if errA != nil || errB != nil || err != nil {
		t.Fatal(errA, errB, err)
	}
	if got, err := shapeOf(t, 64<<30).Combine(roots); err != nil || got != want {
		t.Errorf("got %s, want %s (%v)", got, want, err)
	}
}

// BuildTree, which the sealer uses, and the tests' own builder write the same file.
func TestBuildTree(t *testing.T) {
	s := makeSector(t, Shape{Size: 128 << 10, Height: 4}, 1, 10)
	got, err := s.Shape.BuildTree(read(t, s.Replica), 1)
	if err != nil || !bytes.Equal(got, read(t, s.treePath(0))) {
		t.Errorf("%d bytes, and not those of the test's builder (%v)", len(got), err)
	}
	flip(t, s.Replica, 8*100*NodeSize+255)
	var bad *NonCanonicalError
	if _, err := s.Shape.BuildTree(read(t, s.Replica), 1); !errors.As(err, &bad) || bad.Index != 100 {
		t.Errorf("leaf 100 is no element: got %v", err)
	}
}
