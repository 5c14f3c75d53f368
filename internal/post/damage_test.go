package post

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damage is one thing that goes wrong with a sector, and what is said of it.
type damage struct {
	name  string
	do    func(t *testing.T, s Sector)
	want  []Name // exactly these, in this order
	file  func(s Sector) string
	text  string // in the first finding
	state Verdict
}

func replica(s Sector) string { return s.Replica }
func cache(s Sector) string   { return s.Cache }
func pAux(s Sector) string    { return s.pAuxPath() }
func tree0(s Sector) string   { return s.treePath(0) }

func truncate(path func(Sector) string, size int64) func(*testing.T, Sector) {
	return func(t *testing.T, s Sector) {
		if err := os.Truncate(path(s), size); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(path func(Sector) string) func(*testing.T, Sector) {
	return func(t *testing.T, s Sector) {
		if err := os.RemoveAll(path(s)); err != nil {
			t.Fatal(err)
		}
	}
}

func directory(path func(Sector) string) func(*testing.T, Sector) {
	return func(t *testing.T, s Sector) {
		remove(path)(t, s)
		if err := os.Mkdir(path(s), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// foreign puts the file of another real sector in place.
func foreign(path func(Sector) string) func(*testing.T, Sector) {
	return func(t *testing.T, s Sector) {
		other, _ := copied(t, 10)
		remove(path)(t, s)
		info, err := os.Stat(path(other))
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			copyTree(t, path(other), path(s))
			return
		}
		write(t, path(s), read(t, path(other)))
	}
}

func damages() []damage {
	return []damage{
		{"replica missing", remove(replica), []Name{MissingReplica}, replica, "put back", NotProvable},
		{"replica empty", truncate(replica, 0), []Name{ReplicaSize}, replica, "empty", NotProvable},
		{"replica truncated", truncate(replica, 2047), []Name{ReplicaSize}, replica, "truncated: 2047 bytes of 2048", NotProvable},
		{"replica longer", truncate(replica, 4096), []Name{ReplicaSize}, replica, "too long", NotProvable},
		{"replica a directory", directory(replica), []Name{NotAFile}, replica, "a directory stands where a file belongs", NotProvable},
		{"replica of another sector", foreign(replica), []Name{SegmentMismatch}, replica, "of different sectors", NotProvable},
		{"replica full of zeros", func(t *testing.T, s Sector) { write(t, s.Replica, make([]byte, 2048)) },
			[]Name{SegmentMismatch}, replica, "", NotProvable},
		{"cache missing", remove(cache), []Name{MissingCache}, cache, "put back", NotProvable},
		{"cache a file", func(t *testing.T, s Sector) { remove(cache)(t, s); write(t, s.Cache, nil) },
			[]Name{NotADirectory}, cache, "a file stands", NotProvable},
		{"cache of another sector", foreign(cache), []Name{CommRMismatch, SegmentMismatch}, pAux, "the whole cache directory is another sector's", NotProvable},
		{"cache empty", directory(cache), []Name{MissingPAux, TAuxAbsent, MissingTree}, pAux, "comm_c", NotProvable},
		{"p_aux missing", remove(pAux), []Name{MissingPAux}, pAux, "put it back", NotProvable},
		{"p_aux empty", truncate(pAux, 0), []Name{PAuxShort}, pAux, "empty", NotProvable},
		{"p_aux truncated", truncate(pAux, 63), []Name{PAuxShort}, pAux, "truncated: 63 bytes of 64", NotProvable},
		{"p_aux longer", truncate(pAux, 65), []Name{PAuxLong}, pAux, "ignore the rest", Provable},
		{"p_aux a directory", directory(pAux), []Name{NotAFile}, pAux, "a directory stands where a file belongs", NotProvable},
		{"p_aux of another sector", foreign(pAux), []Name{CommRMismatch, RootsMismatch}, pAux, "of another sector", NotProvable},
		{"comm_c no element", func(t *testing.T, s Sector) { flip(t, s.pAuxPath(), 255) }, []Name{NonCanonical}, pAux, "comm_c", NotProvable},
		{"comm_r_last no element", func(t *testing.T, s Sector) { flip(t, s.pAuxPath(), 511) }, []Name{NonCanonical}, pAux, "comm_r_last", NotProvable},
		{"comm_r_last damaged", func(t *testing.T, s Sector) { flip(t, s.pAuxPath(), 256) },
			[]Name{CommRMismatch, RootsMismatch}, pAux, "comm_r_last in p_aux is damaged", NotProvable},
		{"t_aux missing", func(t *testing.T, s Sector) {
			remove(func(s Sector) string { return filepath.Join(s.Cache, "t_aux") })(t, s)
		},
			[]Name{TAuxAbsent}, func(s Sector) string { return filepath.Join(s.Cache, "t_aux") }, "damocles", Provable},
		{"tree missing", remove(tree0), []Name{MissingTree}, tree0, "placeholder", NotProvable},
		{"tree empty", truncate(tree0, 0), []Name{TreeSize}, tree0, "empty", NotProvable},
		{"tree truncated", truncate(tree0, 31), []Name{TreeSize}, tree0, "truncated", NotProvable},
		{"tree longer", truncate(tree0, 33), []Name{TreeSize}, tree0, "too long", NotProvable},
		{"tree with all rows", truncate(tree0, 288), []Name{TreeSize}, tree0, "always opened with one discarded", NotProvable},
		{"tree a placeholder", truncate(tree0, 2336), []Name{TreeSize}, tree0, "a placeholder of 2336 bytes that a prover left", NotProvable},
		{"tree a directory", directory(tree0), []Name{NotAFile}, tree0, "a directory stands where a file belongs", NotProvable},
		{"tree of another sector", foreign(tree0), []Name{RootsMismatch, SegmentMismatch}, tree0, "of another sector", NotProvable},
		{"root no element", func(t *testing.T, s Sector) { flip(t, s.treePath(0), 255) }, []Name{NonCanonical}, tree0, "no element", NotProvable},
		{"leaf no element", func(t *testing.T, s Sector) { flip(t, s.Replica, 5*256+255) }, []Name{NonCanonical}, replica, "no sealer", NotProvable},
	}
}

func TestDamage(t *testing.T) {
	for _, tt := range damages() {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := copied(t, 8)
			tt.do(t, s)
			before := snapshot(t, filepath.Dir(filepath.Dir(s.Cache)))
			for _, plan := range []Plan{{Leaves: s.Shape.Winning(Randomness{}, 8)}, {Full: true}} {
				r := check(t, NewChecker(Options{}), s, plan)
				var names []Name
				for _, f := range r.Findings {
					names = append(names, f.Name)
				}
				if fmt.Sprint(names) != fmt.Sprint(tt.want) || r.Verdict() != tt.state {
					t.Fatalf("got %s, %v; want %s, %v", r.Verdict(), r.Findings, tt.state, tt.want)
				}
				if f := r.Findings[0]; f.File != tt.file(s) || !strings.Contains(f.Text, tt.text) {
					t.Errorf("got %s; want %s, %q", f, tt.file(s), tt.text)
				}
			}
			if after := snapshot(t, filepath.Dir(filepath.Dir(s.Cache))); after != before {
				t.Errorf("the check changed the store:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

// snapshot lists the files with size and time.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The pairs of an upgraded sector mixed up: the hint names the right directory.
func TestPairsMixedUp(t *testing.T) {
	sealed, updated := copied(t, 23)
	c := NewChecker(Options{})
	for _, tt := range []struct {
		name string
		s    Sector
		want []Name
		hint string
	}{
		{"cache where update-cache is meant", Sector{Number: 23, Shape: updated.Shape, Replica: updated.Replica, Cache: sealed.Cache, CommR: updated.CommR},
			[]Name{CommRMismatch, SegmentMismatch}, updated.Cache + " has the right one"},
		{"update-cache where cache is meant", Sector{Number: 23, Shape: updated.Shape, Replica: sealed.Replica, Cache: updated.Cache, CommR: sealed.CommR},
			[]Name{CommRMismatch, SegmentMismatch}, sealed.Cache + " has the right one"},
		{"the sealed pair after the upgrade", Sector{Number: 23, Shape: updated.Shape, Replica: sealed.Replica, Cache: sealed.Cache, CommR: updated.CommR},
			[]Name{CommRMismatch}, updated.Cache + " has the right one"},
		{"the right cache in another store", Sector{Number: 23, Shape: updated.Shape, Replica: updated.Replica, CommR: updated.CommR,
			Cache: elsewhere(t, sealed.Cache), Others: []string{"nowhere", updated.Cache}},
			[]Name{CommRMismatch, SegmentMismatch}, updated.Cache + " has the right one"},
	} {
		r := check(t, c, tt.s, Plan{Full: true})
		var names []Name
		for _, f := range r.Findings {
			names = append(names, f.Name)
		}
		if fmt.Sprint(names) != fmt.Sprint(tt.want) || !strings.Contains(r.Findings[0].Text, tt.hint) {
			t.Errorf("%s: got %v", tt.name, r.Findings)
		}
	}
}

func elsewhere(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "cache", filepath.Base(dir))
	copyTree(t, dir, to)
	return to
}

func TestInvalidCommR(t *testing.T) {
	s, _ := copied(t, 8)
	for i := range s.CommR {
		s.CommR[i] = 0xff
	}
	if r := check(t, NewChecker(Options{}), s, Plan{}); !r.Has(CommRInvalid) || r.Verdict() != NotProvable {
		t.Errorf("got %v", r.Findings)
	}
}
