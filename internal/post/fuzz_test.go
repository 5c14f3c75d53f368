package post

import (
	"bytes"
	"context"
	"testing"

	"github.com/ipfs/go-cid"
)

func FuzzPAux(f *testing.F) {
	s, _ := copied(f, 8)
	f.Add(read(f, s.pAuxPath()))
	f.Add(make([]byte, 63))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePAux(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(append(p.CommC[:], p.CommRLast[:]...), raw[:PAuxSize]) {
			t.Error("not what was read")
		}
		if _, err := p.CommR(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzCommRFromCID(f *testing.F) {
	f.Add(CommRToCID(number(1)).Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := cid.Cast(raw)
		if err != nil {
			return
		}
		if n, err := CommRFromCID(c); err == nil && CommRToCID(n) != c {
			t.Errorf("%s became %s", c, CommRToCID(n))
		}
	})
}

// A size is that of at most one number of rows, and all places lie inside the file.
func FuzzDiscarded(f *testing.F) {
	f.Add(int64(9586976), uint8(3))
	f.Fuzz(func(t *testing.T, size int64, i uint8) {
		shapes := []Shape{shapeOf(t, 2<<10), shapeOf(t, 8<<20), shapeOf(t, 512<<20), shapeOf(t, 32<<30), shapeOf(t, 64<<30)}
		s := shapes[int(i)%len(shapes)]
		d, ok := s.Discarded(size)
		if !ok {
			return
		}
		l := layout{s.Height, d}
		if s.FileSize(d) != size || l.offset(s.Height, 0) != size-NodeSize || l.offset(l.first(), 0) != 0 {
			t.Errorf("%d bytes, %d rows discarded: the root is at %d", size, d, l.offset(s.Height, 0))
		}
	})
}

// Whatever stands in the files of a sector, the check ends with a report.
func FuzzCheck(f *testing.F) {
	s, _ := copied(f, 8)
	f.Add(read(f, s.Replica), read(f, s.pAuxPath()), read(f, s.treePath(0)))
	dir := makeSector(f, shapeOf(f, 2<<10), 1, 9)
	f.Fuzz(func(t *testing.T, replica, pAux, tree []byte) {
		write(t, dir.Replica, replica)
		write(t, dir.pAuxPath(), pAux)
		write(t, dir.treePath(0), tree)
		dir.CommR = s.CommR
		for _, plan := range []Plan{{Full: true}, {Leaves: dir.Shape.Draw(1, 64)}} {
			r, err := NewChecker(Options{}).Check(context.Background(), dir, plan)
			if err != nil {
				t.Fatal(err)
			}
			same := bytes.Equal(replica, read(t, s.Replica)) && len(pAux) >= PAuxSize && bytes.Equal(pAux[:PAuxSize], read(t, s.pAuxPath())) &&
				bytes.Equal(tree, read(t, s.treePath(0)))
			if same != (r.Verdict() == Provable) {
				t.Errorf("%s, %v", r.Verdict(), r.Findings)
			}
		}
	})
}
