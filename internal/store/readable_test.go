package store_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// other is nobody whom a file of the tests belongs to.
var other = store.User{Name: "other", UID: 4242, GID: 4242, Groups: []uint32{4243}}

func unreadable(t *testing.T, s store.Store, who store.User) map[string]string {
	t.Helper()
	got := map[string]string{}
	must(t, s.Unreadable(t.Context(), who, func(path, why string) error {
		rel, err := filepath.Rel(s.Dir, path)
		must(t, err)
		got[rel] = why
		return nil
	}))
	return got
}

// open lets everybody through to the store, and gives it all type directories.
func open(t *testing.T, s store.Store) {
	t.Helper()
	for dir := s.Dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	for _, kind := range sector.FileKinds() {
		must(t, os.MkdirAll(s.TypeDir(kind), 0o755))
	}
}

func TestUnreadable(t *testing.T) {
	const (
		read, enter, both = "other may not read it", "other may not enter it", "other may not read or enter it"
	)
	for _, tt := range []struct {
		name string
		path string
		mode os.FileMode
		why  string
	}{
		{"all is open", "", 0, ""},
		{"a replica", "sealed/s-t01000-2", 0o640, read},
		{"a file in a cache directory", "cache/s-t01000-2/p_aux", 0o600, read},
		{"a cache directory that cannot be entered", "cache/s-t01000-2", 0o744, enter},
		{"a type directory", "update", 0o750, both},
		{"the store cannot be listed", ".", 0o711, read},
		{"a directory above", "..", 0o750, enter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := copied(t, "lotus-1")
			open(t, s)
			want := map[string]string{}
			if tt.path != "" {
				must(t, os.Chmod(filepath.Join(s.Dir, tt.path), tt.mode))
				want[tt.path] = tt.why
			}
			if got := unreadable(t, s, other); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if got := unreadable(t, s, store.User{Name: "root"}); len(got) != 0 {
				t.Errorf("root may not: %v", got)
			}
		})
	}
}

// Who owns a file is judged by the owner's bits, even where all others may more.
func TestUnreadableOwnerAndGroups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: files are given to other users")
	}
	s := copied(t, "lotus-1")
	open(t, s)
	at := func(n int) string { return s.Path(sector.Sealed, sector.ID{Miner: 1000, Number: abi.SectorNumber(n)}) }
	for n, f := range map[int]struct {
		uid, gid int
		mode     os.FileMode
	}{
		0: {4242, 0, 0o044}, 2: {4242, 0, 0o400}, // the owner's bits
		4: {0, 4242, 0o404}, 6: {0, 4242, 0o040}, // the group's
		8: {0, 4243, 0o040}, 10: {0, 4244, 0o040}, // another of his groups, and one that is not
	} {
		must(t, os.Chown(at(n), f.uid, f.gid))
		must(t, os.Chmod(at(n), f.mode))
	}
	got := slices.Sorted(maps.Keys(unreadable(t, s, other)))
	want := []string{"sealed/s-t01000-0", "sealed/s-t01000-10", "sealed/s-t01000-4"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// lotus-miner makes the type directories that are not there, and cannot start
// where it cannot.
func TestUnreadableMissingTypeDirs(t *testing.T) {
	s := copied(t, "lotus-1")
	open(t, s)
	must(t, os.Remove(s.TypeDir(sector.PieceFile)))
	if got := unreadable(t, s, other)["."]; got != "other may not write to it" {
		t.Errorf("got %q", got)
	}
}

func TestUserOf(t *testing.T) {
	dir := t.TempDir()
	who, err := store.UserOf(dir)
	must(t, err)
	if int(who.UID) != os.Geteuid() || who.Name == "" {
		t.Errorf("got %+v", who)
	}
	nobody, err := store.LookupUser(4242424)
	must(t, err)
	if nobody.UID != 4242424 || !strings.Contains(nobody.Name, "4242424") || len(nobody.Groups) != 0 {
		t.Errorf("got %+v", nobody)
	}
	if _, err := store.UserOf(dir + "/none"); err == nil {
		t.Error("the owner of what is not there: no error")
	}
}
