package post

import (
	"context"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

// Shapes that no network has, with small base trees.
var (
	shape16K  = Shape{Size: 16 << 10, Sub: 8, Height: 2}
	shape32K  = Shape{Size: 32 << 10, Sub: 8, Top: 2, Height: 2}
	shape128K = Shape{Size: 128 << 10, Sub: 8, Height: 3}
	shape256K = Shape{Size: 256 << 10, Sub: 8, Top: 2, Height: 3}
	shape1M   = Shape{Size: 1 << 20, Sub: 8, Height: 4}
)

func shapeOf(t testing.TB, size abi.SectorSize) Shape {
	t.Helper()
	s, err := ShapeOf(size)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// distinct is how many leaves of a made sector are drawn; beyond them, segments of
// 512 leaves come again, so that an 8 MiB sector is made quickly.
const distinct = 1 << 15

// buildTree is Shape.BuildTree, but hashes what comes again only once.
func buildTree(t testing.TB, shape Shape, leaves []byte, discarded int) []byte {
	t.Helper()
	known := map[[arity * NodeSize]byte]Node{}
	var out []byte
	row := leaves
	for k := 1; k <= shape.Height; k++ {
		next := make([]byte, 0, len(row)/arity)
		for ; len(row) > 0; row = row[arity*NodeSize:] {
			group := [arity * NodeSize]byte(row)
			n, ok := known[group]
			if !ok {
				if err := Hash8().Sum(n[:], group[:]); err != nil {
					t.Fatal(err)
				}
				known[group] = n
			}
			next = append(next, n[:]...)
		}
		if row = next; k > discarded {
			out = append(out, row...)
		}
	}
	return out
}

// makeSector writes a sector of random leaves with a tree over them, as sealing
// leaves it, but for the labels: comm_c is random.
func makeSector(t testing.TB, shape Shape, discarded int, seed uint64) Sector {
	t.Helper()
	dir := t.TempDir()
	s := Sector{Number: 7, Shape: shape,
		Replica: filepath.Join(dir, "sealed", "s-t01000-7"), Cache: filepath.Join(dir, "cache", "s-t01000-7")}
	r := rand.New(rand.NewPCG(seed, 1))
	replica := make([]byte, 0, shape.Size)
	for range min(shape.Leaves(), distinct) {
		n := randomNode(r)
		replica = append(replica, n[:]...)
	}
	for len(replica) < int(shape.Size) {
		from := r.IntN(distinct/512) * 512 * NodeSize
		replica = append(replica, replica[from:from+512*NodeSize]...)
	}
	write(t, s.Replica, replica)
	var roots []Node
	base := len(replica) / shape.Trees()
	for i, name := range shape.TreeNames() {
		file := buildTree(t, shape, replica[i*base:(i+1)*base], discarded)
		write(t, filepath.Join(s.Cache, name), file)
		roots = append(roots, Node(file[len(file)-NodeSize:]))
	}
	last, err := shape.Combine(roots)
	if err != nil {
		t.Fatal(err)
	}
	p := PAux{CommC: randomNode(r), CommRLast: last}
	write(t, filepath.Join(s.Cache, "p_aux"), append(p.CommC[:], p.CommRLast[:]...))
	write(t, filepath.Join(s.Cache, "t_aux"), []byte("t_aux is not read"))
	if s.CommR, err = p.CommR(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s Sector) pAuxPath() string      { return filepath.Join(s.Cache, "p_aux") }
func (s Sector) treePath(i int) string { return filepath.Join(s.Cache, s.Shape.TreeNames()[i]) }

func check(t testing.TB, c *Checker, s Sector, plan Plan) Report {
	t.Helper()
	r, err := c.Check(context.Background(), s, plan)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// plans are the ways to check a sector.
func plans(s Sector) map[string]Plan {
	r := Randomness{1, 2, 3, 31: 0xff}
	return map[string]Plan{
		"window":    {Leaves: s.Shape.Window(WindowV1_1, r, s.Number, 0)},
		"window V1": {Leaves: s.Shape.Window(WindowV1, r, s.Number, 1234)},
		"winning":   {Leaves: s.Shape.Winning(r, s.Number)},
		"drawn":     {Leaves: s.Shape.Draw(s.Number, 20)},
		"full":      {Full: true},
	}
}

// realSector is an entry of switch-2k/sectors.json.
type realSector struct {
	Miner                              abi.ActorID
	Number                             abi.SectorNumber
	CommR, NewCommR                    string
	Sealed, Cache, Update, UpdateCache string
}

func realSectors(t testing.TB) []realSector {
	t.Helper()
	var out []realSector
	if err := json.Unmarshal(read(t, testkit.Fixture(t, "switch-2k/sectors.json")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func commR(t testing.TB, s string) Node {
	t.Helper()
	c, err := cid.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	n, err := CommRFromCID(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// at makes the Sector of a pair of files below the fixture's storage.
func (r realSector) at(t testing.TB, storage, replica, cache, want string) Sector {
	t.Helper()
	return Sector{Number: r.Number, Shape: shapeOf(t, 2<<10),
		Replica: filepath.Join(storage, replica), Cache: filepath.Join(storage, cache), CommR: commR(t, want)}
}

// copied is the sealed sector of a number, in a directory that may be changed. The
// update pair comes with it where there is one.
func copied(t testing.TB, number abi.SectorNumber) (sealed, updated Sector) {
	t.Helper()
	storage, dir := testkit.Fixture(t, "switch-2k/storage"), t.TempDir()
	for _, r := range realSectors(t) {
		if r.Number != number {
			continue
		}
		name := sector.ID{Miner: r.Miner, Number: r.Number}.String()
		for _, part := range [][2]string{{r.Sealed, "sealed"}, {r.Cache, "cache"}, {r.Update, "update"}, {r.UpdateCache, "update-cache"}} {
			if part[0] != "" {
				copyTree(t, filepath.Join(storage, part[0]), filepath.Join(dir, part[1], name))
			}
		}
		sealed = r.at(t, dir, "sealed/"+name, "cache/"+name, r.CommR)
		if r.NewCommR != "" {
			updated = r.at(t, dir, "update/"+name, "update-cache/"+name, r.NewCommR)
		}
		return sealed, updated
	}
	t.Fatalf("no sector %d", number)
	return
}

func copyTree(t testing.TB, src, dst string) {
	t.Helper()
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(src, path)
			write(t, filepath.Join(dst, rel), read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
