package transfer

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

func testRecord(number int, kind sector.FileKind, files ...string) *record {
	id := sector.ID{Miner: 1000, Number: abi.SectorNumber(number)}
	r := &record{V: 1, Sector: id.String(), Kind: kind.String()}
	for i, name := range files {
		s := sum(durable.Sum([]byte(name)))
		r.Files = append(r.Files, entry{Name: name, Size: int64(i), Mtime: time.Unix(1, 2).UTC(), Sum: &s})
	}
	return r
}

func openTest(t *testing.T, dir string) *manifest {
	t.Helper()
	m, err := openManifest(durable.FS{}, dir)
	must(t, err)
	return m
}

func TestManifestFind(t *testing.T) {
	dir := t.TempDir()
	m := openTest(t, dir)
	var want []*record
	for n := range 300 {
		want = append(want, testRecord((n*7)%300, sector.Sealed, ""), testRecord((n*7)%300, sector.Cache, "a", "b"))
	}
	must(t, m.add(want), m.add([]*record{testRecord(5, sector.Cache, "newest")}), m.close())
	m = openTest(t, dir)
	defer func() { must(t, m.close()) }()
	for _, r := range want {
		id, kind, err := r.object()
		must(t, err)
		got := m.find(id, kind)
		if id.Number == 5 && kind == sector.Cache {
			r = testRecord(5, sector.Cache, "newest")
		}
		if fmt.Sprint(got.names()) != fmt.Sprint(r.names()) || got.Sector != r.Sector || got.Kind != r.Kind {
			t.Errorf("%s %s: got %+v", id, kind, got)
		}
	}
	for _, id := range []sector.ID{{Miner: 1000, Number: 300}, {Miner: 1001, Number: 5}, {Miner: 999, Number: 5}} {
		if got := m.find(id, sector.Sealed); got != nil {
			t.Errorf("%s: got %+v", id, got)
		}
	}
	if got := m.find(sector.ID{Miner: 1000, Number: 5}, sector.Update); got != nil {
		t.Errorf("another kind: got %+v", got)
	}
}

func (r *record) names() (out []string) {
	for _, e := range r.Files {
		out = append(out, e.Name)
	}
	return out
}

// Wherever the manifest is cut off, what is left of a record goes.
func TestManifestTorn(t *testing.T) {
	first, _ := testRecord(1, sector.Sealed, "").append(nil)
	whole, _ := testRecord(2, sector.Cache, "p_aux", "t_aux").append(first)
	dir := quick(t)
	path := filepath.Join(dir, ManifestName)
	for cut := len(first); cut <= len(whole); cut++ {
		must(t, os.WriteFile(path, whole[:cut], 0o644))
		want := string(first)
		if cut == len(whole) {
			want = string(whole)
		}
		read, err := readManifest(dir)
		must(t, err)
		if got := read.find(sector.ID{Miner: 1000, Number: 2}, sector.Cache); (got != nil) != (cut == len(whole)) {
			t.Errorf("cut at %d: found %v", cut, got)
		}
		must(t, read.closeRead(), openTest(t, dir).close())
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Errorf("cut at %d: got %q", cut, got)
		}
	}
}

func TestManifestIsReadBySha256sum(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("sha256sum is not installed")
	}
	dir := t.TempDir()
	odd := []string{"a b", "back\\slash", "new\nline", "ümlaut", "*star"}
	cache := filepath.Join(dir, "cache", "s-t01000-1")
	must(t, os.MkdirAll(cache, 0o755))
	for _, name := range odd {
		must(t, os.WriteFile(filepath.Join(cache, name), []byte(name), 0o644))
	}
	m := openTest(t, dir)
	must(t, m.add([]*record{testRecord(1, sector.Cache, odd...)}), m.close())
	if out := sha256sumCheck(t, dir); strings.Count(out, ": OK\n") != len(odd) {
		t.Errorf("got\n%s", out)
	}
	m = openTest(t, dir)
	defer func() { must(t, m.close()) }()
	if got := m.find(sector.ID{Miner: 1000, Number: 1}, sector.Cache); fmt.Sprint(got.names()) != fmt.Sprint(odd) {
		t.Errorf("got %q", got.names())
	}
}

// A run that fails before it carries anything leaves no empty manifest.
func TestManifestIsNotLeftEmpty(t *testing.T) {
	dir := t.TempDir()
	must(t, openTest(t, dir).close())
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
}

func FuzzParseRecord(f *testing.F) {
	line, _ := testRecord(1, sector.Cache, "a").append(nil)
	f.Add(line[:strings.IndexByte(string(line), '\n')])
	f.Add([]byte(`# {"v":1,"sector":"s-t01000-1","kind":"cache","files":[{"sha256":"zz"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if !isRecord(line) {
			return
		}
		r, id, kind, err := parseRecord(line)
		if err != nil {
			return
		}
		if r.Sector != id.String() || r.Kind != kind.String() {
			t.Errorf("got %s %s from %+v", id, kind, r)
		}
	})
}

// What is written by hand is what json.Marshal writes.
func TestRecordJSON(t *testing.T) {
	hash := sum{1, 2, 0xff}
	for _, r := range []*record{
		{V: 1, Sector: "s-t01000-0", Kind: "sealed", Files: []entry{{Size: 1 << 40, Mtime: time.Unix(1700000000, 123456789).UTC(), Sum: &hash}}},
		{V: 1, Sector: "s-t01000-7", Kind: "cache", Files: []entry{
			{Name: "p_aux", Size: 64, Mtime: time.Unix(0, 0).UTC()}, {Name: "odd \"name\"\\\n<é>", Mtime: time.Unix(5, 1000).UTC(), Sum: &sum{}},
		}},
		{V: 1, Sector: "s-t01000-7", Kind: "cache", Files: []entry{}},
	} {
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.appendJSON(nil); err != nil || string(got) != string(want) {
			t.Errorf("got  %s\nwant %s, %v", got, want, err)
		}
	}
}

// A manifest that is a link was locked again and again, for ever.
func TestManifestIsALink(t *testing.T) {
	for _, there := range []bool{false, true} {
		dir := t.TempDir()
		target := filepath.Join(dir, "target")
		must(t, os.Mkdir(target, 0o755), os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(target, ManifestName)))
		if there {
			must(t, os.WriteFile(filepath.Join(dir, "elsewhere"), nil, 0o644))
		}
		_, err := openManifest(durable.FS{}, target)
		if fault.KindOf(err) != fault.Refused || fault.HintOf(err) == "" {
			t.Errorf("what it points to is there %v: got %v", there, err)
		}
	}
}
