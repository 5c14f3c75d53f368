package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
	"damocles-manager/internal/testkit"
)

// copied is a fixture store that a test may change.
func copied(t *testing.T, name string) store.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(testkit.Fixture(t, "switch-2k/storage/"+name))); err != nil {
		t.Fatal(err)
	}
	return store.Store{Name: name, Dir: dir}
}

// oneSector is a store with nothing but the files of sector 2.
func oneSector(t *testing.T) store.Store {
	t.Helper()
	s := store.Store{Dir: t.TempDir()}
	write(t, s.Path(sector.Sealed, sector2), 2048)
	from := testkit.Fixture(t, "switch-2k/storage/lotus-1/cache/"+sector2.String())
	must(t, os.CopyFS(s.Path(sector.Cache, sector2), os.DirFS(from)))
	return s
}

func write(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var sector2 = sector.ID{Miner: 1000, Number: 2}

func TestEach(t *testing.T) {
	s := copied(t, "lotus-1")
	for _, name := range []string{"fetching/x", "junk", "s-t01000-2.tmp", "s-t01000-007", "s-f01000-1", ".DS_Store"} {
		write(t, filepath.Join(s.TypeDir(sector.Update), name), 1)
	}
	var good, bad []string
	err := s.Each(t.Context(), sector.Update, func(e store.Entry) error {
		if e.Err != nil {
			bad = append(bad, e.Name)
			if e.ID != (sector.ID{}) || !strings.Contains(e.Err.Error(), e.Name) {
				t.Errorf("%s: ID %v, error %v", e.Name, e.ID, e.Err)
			}
			return nil
		}
		if e.ID.String() != e.Name {
			t.Errorf("%s is read as %s", e.Name, e.ID)
		}
		good = append(good, e.Name)
		return nil
	})
	must(t, err)
	slices.Sort(good)
	slices.Sort(bad)
	if want := []string{"s-t01000-20", "s-t01000-22", "s-t01000-24"}; !slices.Equal(good, want) {
		t.Errorf("sectors %q, want %q", good, want)
	}
	if want := []string{".DS_Store", "junk", "s-f01000-1", "s-t01000-007", "s-t01000-2.tmp"}; !slices.Equal(bad, want) {
		t.Errorf("others %q, want %q", bad, want)
	}
}

// More entries than are read at a time, each of them once.
func TestEachInPortions(t *testing.T) {
	const n = 1100
	s := store.Store{Dir: t.TempDir()}
	must(t, os.Mkdir(s.TypeDir(sector.Sealed), 0o755))
	for i := range n {
		f, err := os.Create(s.Path(sector.Sealed, sector.ID{Miner: 1000, Number: abi.SectorNumber(i)}))
		must(t, err)
		f.Close()
	}
	seen := map[sector.ID]int{}
	must(t, s.Each(t.Context(), sector.Sealed, func(e store.Entry) error { seen[e.ID]++; return nil }))
	if len(seen) != n {
		t.Errorf("%d sectors, want %d", len(seen), n)
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s comes %d times", id, times)
		}
	}
}

func TestEachStops(t *testing.T) {
	s := copied(t, "lotus-1")
	none := func(store.Entry) error { return errors.New("called") }
	if err := s.Each(t.Context(), sector.Unsealed, none); err != nil {
		t.Errorf("a type directory that is not there: %v", err)
	}
	want := errors.New("enough")
	calls := 0
	if err := s.Each(t.Context(), sector.Sealed, func(store.Entry) error { calls++; return want }); err != want || calls != 1 { //nolint:errorlint // as it is
		t.Errorf("an error of fn comes back as %v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Each(ctx, sector.Sealed, none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	write(t, s.TypeDir(sector.Unsealed), 1)
	if err := s.Each(t.Context(), sector.Unsealed, none); err == nil || !strings.Contains(err.Error(), "unsealed") {
		t.Errorf("a file for a type directory: %v", err)
	}
}

func TestReplica(t *testing.T) {
	good := store.Check{Size: 2048}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, s store.Store, path string)
		check  store.Check
		want   string // "" for no error
	}{
		{"as it is", nil, good, ""},
		{"of any size", nil, store.Check{}, ""},
		{"of another size", nil, store.Check{Size: 8 << 20}, "has 2048 bytes, and its sector 8388608"},
		{"short", func(t *testing.T, _ store.Store, path string) { must(t, os.Truncate(path, 2047)) }, good, "has 2047 bytes, and its sector 2048"},
		{"of no known size", func(t *testing.T, _ store.Store, path string) { must(t, os.Truncate(path, 4096)) }, store.Check{}, "is the size of no sector"},
		{"empty", func(t *testing.T, _ store.Store, path string) { must(t, os.Truncate(path, 0)) }, store.Check{}, "is the size of no sector"},
		{"gone", func(t *testing.T, _ store.Store, path string) { must(t, os.Remove(path)) }, good, "no such file"},
		{"a directory", func(t *testing.T, _ store.Store, path string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o755))
		}, good, "is no regular file, but a directory"},
		{"a link", linked, good, ""},
		{"a link, strictly", linked, store.Check{Size: 2048, Strict: true}, "strict store"},
		{"a link to nowhere", func(t *testing.T, _ store.Store, path string) {
			must(t, os.Remove(path))
			must(t, os.Symlink("gone", path))
		}, good, "symbolic link to what is not there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := oneSector(t)
			path := s.Path(sector.Sealed, sector2)
			if tt.change != nil {
				tt.change(t, s, path)
			}
			_, err := tt.check.Replica(s, sector.Sealed, sector2)
			checkError(t, err, tt.want, path)
			if got := errors.Is(err, fs.ErrNotExist); got != (tt.name == "gone") {
				t.Errorf("not there: %t (%v)", got, err)
			}
		})
	}
}

func linked(t *testing.T, s store.Store, path string) {
	t.Helper()
	to := filepath.Join(s.Dir, "elsewhere")
	must(t, os.Rename(path, to))
	must(t, os.Symlink(to, path))
}

func checkError(t *testing.T, err error, want, path string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s and says %q", err, path, want)
	}
}

func TestCache(t *testing.T) {
	remove := func(names ...string) func(*testing.T, store.Store, string) {
		return func(t *testing.T, _ store.Store, dir string) {
			for _, name := range names {
				must(t, os.RemoveAll(filepath.Join(dir, name)))
			}
		}
	}
	good := store.Check{Size: 2048}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, s store.Store, dir string)
		check  store.Check
		want   string
	}{
		{"as it is", nil, good, ""},
		{"of any size", nil, store.Check{}, ""},
		{"of 32 GiB", nil, store.Check{Size: 32 << 30}, "lacks sc-02-data-tree-r-last-0.dat, sc-02-data-tree-r-last-1.dat"},
		{"one less", remove("p_aux"), good, "lacks p_aux"},
		{"all but one", remove("p_aux", "sc-02-data-tree-r-last.dat"), good, "lacks p_aux, sc-02-data-tree-r-last.dat"},
		{"one less, of any size", remove("t_aux"), store.Check{}, "lacks t_aux"},
		{"gone", remove("."), good, "no such file"},
		{"a link", linked, store.Check{Size: 2048, Strict: true}, "strict store"},
		{"linked", linked, good, ""},
		{"a directory for a file", func(t *testing.T, _ store.Store, dir string) {
			must(t, os.Remove(filepath.Join(dir, "t_aux")))
			must(t, os.Mkdir(filepath.Join(dir, "t_aux"), 0o755))
		}, good, "is no regular file, but a directory"},
		{"a file", func(t *testing.T, _ store.Store, dir string) {
			must(t, os.RemoveAll(dir))
			write(t, dir, 1)
		}, good, "is no directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := oneSector(t)
			dir := s.Path(sector.Cache, sector2)
			switch {
			case tt.name == "gone":
				must(t, os.RemoveAll(dir))
			case tt.change != nil:
				tt.change(t, s, dir)
			}
			checkError(t, tt.check.Cache(s, sector.Cache, sector2), tt.want, dir)
		})
	}
}

// A cache directory of unknown size is held against the most that it can be.
func TestCacheOfLargeSectors(t *testing.T) {
	for _, n := range []int{8, 16} {
		s := store.Store{Dir: t.TempDir()}
		dir := s.Path(sector.Cache, sector2)
		for i := range n {
			write(t, filepath.Join(dir, fmt.Sprintf("sc-02-data-tree-r-last-%d.dat", i)), 1)
		}
		write(t, filepath.Join(dir, "p_aux"), 64)
		if err := (store.Check{}).Cache(s, sector.Cache, sector2); err == nil {
			t.Errorf("%d trees without t_aux: no error", n)
		}
		write(t, filepath.Join(dir, "t_aux"), 1)
		if err := (store.Check{}).Cache(s, sector.Cache, sector2); err != nil {
			t.Errorf("%d trees: %v", n, err)
		}
		if err := (store.Check{Size: 2048}).Cache(s, sector.Cache, sector2); err == nil {
			t.Errorf("%d trees pass for 2 KiB", n)
		}
	}
}

func TestCheckDir(t *testing.T) {
	s := copied(t, "lotus-1")
	checkError(t, store.CheckDir(s.Dir), "", "")
	checkError(t, store.CheckDir(s.Dir+"/none"), "there is no directory", s.Dir+"/none")
	checkError(t, store.CheckDir(s.Dir+"/sectorstore.json"), "is not a directory", s.Dir)
}
