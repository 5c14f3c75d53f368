package sample

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

// fixtureSector is an entry of switch-2k/sectors.json.
type fixtureSector struct {
	Miner                              abi.ActorID
	Number                             abi.SectorNumber
	Ticket                             []byte
	CommD, CommR, NewCommD, NewCommR   string
	Sealed, Cache, Update, UpdateCache string
}

func (f fixtureSector) order() Order {
	return Order{ID: sector.ID{Miner: f.Miner, Number: f.Number}, Size: 2 << 10, Ticket: [32]byte(f.Ticket)}
}

func fixtureSectors(t *testing.T) []fixtureSector {
	t.Helper()
	raw, err := os.ReadFile(testkit.Fixture(t, "switch-2k/sectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out []fixtureSector
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func stored(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testkit.Fixture(t, "switch-2k/storage"), path))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func commD(t *testing.T, s string) post.Node {
	t.Helper()
	c, err := cid.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := commcid.CIDToDataCommitmentV1(c)
	if err != nil {
		t.Fatal(err)
	}
	return post.Node(raw)
}

// subtract is a - b in the field.
func subtract(t *testing.T, a, b []byte) fr.Element {
	t.Helper()
	x, errX := fr.LittleEndian.Element((*[32]byte)(a))
	y, errY := fr.LittleEndian.Element((*[32]byte)(b))
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	return *x.Sub(&x, &y)
}

// unseal gets the data out of a replica of the fixture: replica - last label.
func unseal(t *testing.T, o Order, d post.Node, replica []byte) []byte {
	t.Helper()
	shape, porepID, err := o.check()
	if err != nil {
		t.Fatal(err)
	}
	label, err := labels(context.Background(), newGraph(shape.Leaves(), porepID), o.replicaID(d, porepID))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(replica))
	for i := range shape.Leaves() {
		e := subtract(t, at(replica, i), at(label[layers-1], i))
		fr.LittleEndian.PutElement((*[32]byte)(at(out, i)), e)
	}
	return out
}

// decoded gets the data out of an update: (update - key) / rho.
func decoded(t *testing.T, key *Sealed, d post.Node, update []byte) []byte {
	t.Helper()
	rhos, err := key.rhos(d)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(update))
	for i := range key.Shape.Leaves() {
		e := subtract(t, at(update, i), at(key.Replica, i))
		e.Div(&e, &rhos[i/(key.Shape.Leaves()/uint64(len(rhos)))])
		fr.LittleEndian.PutElement((*[32]byte)(at(out, i)), e)
	}
	return out
}

// same holds what was sealed here against the files and the CommR of the fixture.
func same(t *testing.T, s *Sealed, replica, cache, want string) {
	t.Helper()
	if got := post.CommRToCID(s.CommR).String(); got != want {
		t.Errorf("%s: CommR is %s, want %s", s.ID, got, want)
	}
	if replica != "" && !bytes.Equal(stored(t, replica), s.Replica) {
		t.Errorf("%s: %s is another replica", s.ID, replica)
	}
	if cache == "" {
		return
	}
	files := s.CacheFiles("/seal/" + s.ID.String())
	if names := slices.Sorted(maps.Keys(files)); len(names) != len(sector.CacheNames(2<<10)) {
		t.Errorf("%s: files %v", s.ID, names)
	}
	for name, raw := range files {
		if !bytes.Equal(stored(t, filepath.Join(cache, name)), raw) {
			t.Errorf("%s: %s/%s is another one", s.ID, cache, name)
		}
	}
}

// Every sector of the fixture is sealed again from its ticket and its data, and
// every CommR and every file comes out as it is there. Only CommD of the data is
// known; the data itself is taken from the replica, and has to make up CommD.
func TestFixtureSectors(t *testing.T) {
	// sectors.json names files of these that the stores do not have.
	gone := map[string]bool{"lotus-1/sealed/s-t01000-22": true, "lotus-2/sealed/s-t01000-29": true, "lotus-2/cache/s-t01000-29": true}
	zero := dataCommitment(make([]byte, 2<<10))
	sealed, upgraded := 0, 0
	for _, f := range fixtureSectors(t) {
		for _, path := range []*string{&f.Sealed, &f.Cache} {
			if gone[*path] {
				*path = ""
			}
		}
		o, d := f.order(), commD(t, f.CommD)
		if d != zero {
			o.Data = unseal(t, o, d, stored(t, f.Sealed))
		}
		s := seal(t, o)
		if s.CommD != d {
			t.Errorf("%s: CommD is %s, want %s", s.ID, s.CommD, d)
		}
		same(t, s, f.Sealed, f.Cache, f.CommR)
		sealed++
		if f.NewCommR == "" {
			continue
		}
		newD := commD(t, f.NewCommD)
		up, err := s.Upgrade(decoded(t, s, newD, stored(t, f.Update)))
		if err != nil {
			t.Fatal(err)
		}
		if up.CommD != newD {
			t.Errorf("%s: the new CommD is %s, want %s", s.ID, up.CommD, newD)
		}
		same(t, up, f.Update, f.UpdateCache, f.NewCommR)
		upgraded++
	}
	if sealed < 56 || upgraded != 9 {
		t.Errorf("%d sectors sealed, %d upgraded", sealed, upgraded)
	}
}

// What is sealed here passes the check, and the upgrade with its own CommR, too.
func TestSealedSectorsCanBeProven(t *testing.T) {
	s := seal(t, Order{ID: sector.ID{Miner: 1000, Number: 9}, Size: 2 << 10, Ticket: [32]byte{9}})
	data := make([]byte, 2<<10)
	for i := range data {
		data[i] = byte(i) & 0x3f
	}
	up, err := s.Upgrade(data)
	if err != nil {
		t.Fatal(err)
	}
	if up.PAux.CommC != s.PAux.CommC || up.CommR == s.CommR {
		t.Errorf("the upgrade has comm_c %s and CommR %s, the key %s and %s", up.PAux.CommC, up.CommR, s.PAux.CommC, s.CommR)
	}
	for _, s := range []*Sealed{s, up} {
		proveAll(t, s, post.Plan{Full: true})
	}
}

func proveAll(t *testing.T, s *Sealed, plan post.Plan) {
	t.Helper()
	dir := t.TempDir()
	replica := filepath.Join(dir, "replica")
	files := s.CacheFiles("/seal")
	files["replica"] = s.Replica
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := post.Sector{Number: s.ID.Number, Shape: s.Shape, Replica: replica, Cache: dir, CommR: s.CommR}
	r, err := post.NewChecker(post.Options{Workers: 2}).Check(context.Background(), at, plan)
	if err != nil || r.Verdict() != post.Provable || len(r.Findings) > 0 || r.Segments == 0 {
		t.Errorf("%s: %v, %v", s.ID, r.Findings, err)
	}
}
