package post

import (
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
)

// zeroFS is a sector of real size whose replica is all zero, as fake sealing makes
// it: every row of its trees is one node again and again, so no disk is needed.
type zeroFS struct {
	shape Shape
	rows  []Node // the node of each row
	pAux  []byte
}

func newZeroFS(t testing.TB, shape Shape) (zeroFS, Sector) {
	t.Helper()
	z := zeroFS{shape: shape, rows: make([]Node, shape.Height+1)}
	var err error
	for k := 1; k <= shape.Height; k++ {
		n := z.rows[k-1]
		if z.rows[k], err = Hash8().Nodes(n, n, n, n, n, n, n, n); err != nil {
			t.Fatal(err)
		}
	}
	roots := make([]Node, shape.Trees())
	for i := range roots {
		roots[i] = z.rows[shape.Height]
	}
	p := PAux{CommC: number(42)}
	if p.CommRLast, err = shape.Combine(roots); err != nil {
		t.Fatal(err)
	}
	z.pAux = append(p.CommC[:], p.CommRLast[:]...)
	s := Sector{Number: 1, Shape: shape, Replica: "sealed", Cache: "cache"}
	if s.CommR, err = p.CommR(); err != nil {
		t.Fatal(err)
	}
	return z, s
}

func (z zeroFS) Stat(path string) (fs.FileInfo, error) {
	switch filepath.Base(path) {
	case "cache":
		return zeroInfo{mode: fs.ModeDir}, nil
	case "sealed":
		return zeroInfo{size: int64(z.shape.Size)}, nil
	case "p_aux":
		return zeroInfo{size: PAuxSize}, nil
	case "t_aux":
		return nil, fs.ErrNotExist
	}
	return zeroInfo{size: z.shape.FileSize(2)}, nil
}

func (z zeroFS) Open(path string) (File, error) { return zeroFile{z, filepath.Base(path)}, nil }

type zeroFile struct {
	zeroFS
	name string
}

func (zeroFile) Close() error { return nil }

func (f zeroFile) ReadAt(b []byte, off int64) (int, error) {
	l := layout{f.shape.Height, 2}
	switch f.name {
	case "sealed":
	case "p_aux":
		copy(b, f.pAux[off:])
	default:
		for i := 0; i < len(b); i += NodeSize {
			row := l.first()
			for row < l.height && l.offset(row+1, 0) <= off+int64(i) {
				row++
			}
			copy(b[i:], f.rows[row][:])
		}
	}
	return len(b), nil
}

type zeroInfo struct {
	size int64
	mode fs.FileMode
}

func (i zeroInfo) Name() string       { return "" }
func (i zeroInfo) Size() int64        { return i.size }
func (i zeroInfo) Mode() fs.FileMode  { return i.mode }
func (i zeroInfo) ModTime() time.Time { return time.Time{} }
func (i zeroInfo) IsDir() bool        { return i.mode.IsDir() }
func (i zeroInfo) Sys() any           { return nil }

// Sectors of real sizes; comm_r_last of a zero replica is known for each. A Window
// check of 32 GiB reads at most 200 KiB and hashes at most 800 times.
func TestRealSizes(t *testing.T) {
	for _, tt := range []struct {
		size abi.SectorSize
		last string
		// of a Window check
		hashes, bytes int64
	}{
		{8 << 20, "0c235abfbb5cf445d03109e9f54a0eaf5588e8c359193969ea830b7ee4928b63", 800, 200 << 10},
		{512 << 20, "7995c84d3fb91b4c0f7466fe0f5373795e808ad7760f63ee203b190596354959", 800, 200 << 10},
		{32 << 30, "d5cd408ceb94566b8d39966d406ea4312018f98684ffe630ece1ea0cf3fe7d4d", 800, 200 << 10},
		{64 << 30, "f99f9b2043f2b35049dc23b9a442d58c69799a910a46bd3d034cae5e1ab82263", 800, 200 << 10},
	} {
		shape := shapeOf(t, tt.size)
		z, s := newZeroFS(t, shape)
		if got := Node(z.pAux[NodeSize:]).String(); got != tt.last {
			t.Errorf("%d: comm_r_last is %s, want %s", tt.size, got, tt.last)
		}
		c := NewChecker(Options{FS: z})
		r := check(t, c, s, plans(s)["window"])
		if r.Verdict() != Provable || r.Segments == 0 || r.Hashes > tt.hashes || r.Bytes > tt.bytes {
			t.Errorf("%d: %s, %d segments, %d hashes, %d bytes: %v", tt.size, r.Verdict(), r.Segments, r.Hashes, r.Bytes, r.Findings)
		}
		if tt.size == 32<<30 && (r.Hashes != 792 || r.Bytes != 179520) {
			t.Errorf("32 GiB: %d hashes and %d bytes", r.Hashes, r.Bytes)
		}
	}
	z, s := newZeroFS(t, shapeOf(t, 64<<30))
	if r := check(t, NewChecker(Options{FS: z}), s, plans(s)["winning"]); r.Verdict() != Provable || r.Segments != 66 {
		t.Errorf("winning: %s, %d segments, %v", r.Verdict(), r.Segments, r.Findings)
	}
}
