package lotus

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// contents reads all keys and values.
func contents(t *testing.T, r *Repo) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := r.each(t.Context(), nil, func(key, value []byte) error {
		all[string(key)] = string(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func contentsAt(t *testing.T, dir string) map[string]string {
	t.Helper()
	r := openRepo(t, dir, Options{})
	defer func() { _ = r.Close() }()
	return contents(t, r)
}

func TestTransaction(t *testing.T) {
	dir := copyRepo(t)
	want := contentsAt(t, dir)
	w := openRepo(t, dir, Options{Write: true})
	begin := func() *Tx {
		t.Helper()
		tx, err := w.Begin()
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	tx := begin()
	if _, err := w.Begin(); err == nil {
		t.Error("a second transaction was begun")
	}
	if err := errors.Join(tx.Put("/a", []byte("1")), tx.Delete("/sectors/0"), tx.Delete("/none")); err != nil {
		t.Fatal(err)
	}
	if got, found, err := tx.Get("/a"); string(got) != "1" || !found || err != nil {
		t.Errorf("inside: got %q, %t, %v", got, found, err)
	}
	if _, found, _ := tx.Get("/sectors/0"); found {
		t.Error("inside: a deleted key is there")
	}
	if _, found, _ := w.Get("/a"); found {
		t.Error("outside: an uncommitted key is there")
	}
	tx.Discard()
	if !reflect.DeepEqual(contents(t, w), want) {
		t.Error("a discarded transaction changed something")
	}
	tx = begin()
	noError(t, tx.Put("/a", []byte("1")))
	noError(t, tx.Delete("/sectors/0"))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	tx.Discard()
	for what, err := range map[string]error{"put": tx.Put("/b", nil), "commit": tx.Commit(), "delete": tx.Delete("/b")} {
		if !errors.Is(err, errTxDone) {
			t.Errorf("%s after commit: got %v", what, err)
		}
	}
	noError(t, begin().Put("/lost", nil)) // Close gives it up
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want["/a"] = "1"
	delete(want, "/sectors/0")
	if got := contentsAt(t, dir); !reflect.DeepEqual(got, want) {
		t.Errorf("got %d keys, want %d", len(got), len(want))
	}
	r := openRepo(t, dir, Options{})
	if _, err := r.Begin(); err == nil {
		t.Error("a transaction was begun in a repo open for reading")
	}
}

func TestKilledInATransaction(t *testing.T) {
	dir := copyRepo(t)
	want := contentsAt(t, dir)
	_, kill := startChild(t, "transaction", dir)
	kill()
	if tables, _ := filepath.Glob(filepath.Join(dir, metadataName, "*.ldb")); len(tables) < 3 {
		t.Errorf("the child wrote only %v", tables)
	}
	if got := contentsAt(t, dir); !reflect.DeepEqual(got, want) {
		t.Error("read after the kill: something changed")
	}
	w := openRepo(t, dir, Options{Write: true})
	if got := contents(t, w); !reflect.DeepEqual(got, want) {
		t.Error("opened after the kill: something changed")
	}
}

// A commit that fails, at whichever step, leaves a sound database without the
// changes, and closing does not hang.
func TestCommitFailing(t *testing.T) {
	var wg sync.WaitGroup // LevelDB tries each again for a second, and all at once
	var looks []func()
	for _, test := range []struct{ op, kind string }{
		{"write", "MANIFEST"}, {"sync", "MANIFEST"}, {"create", ".ldb"}, {"write", ".ldb"}, {"sync", ".ldb"},
	} {
		dir := copyRepo(t)
		want := contentsAt(t, dir)
		full, armed := errors.New("no space left"), false
		w := openRepo(t, dir, Options{Write: true, FS: durable.FS{Fault: func(op, path string) error {
			if armed && op == test.op && strings.Contains(filepath.Base(path), test.kind) {
				return full
			}
			return nil
		}}})
		tx, err := w.Begin()
		if err != nil {
			t.Fatal(err)
		}
		armed = true
		wg.Go(func() {
			err := tx.Put("/a", []byte("1"))
			if err == nil {
				err = tx.Commit()
			}
			if !errors.Is(err, full) {
				t.Errorf("%s %s: got %v", test.op, test.kind, err)
			}
			if err := w.Close(); err != nil {
				t.Errorf("%s %s: close: %v", test.op, test.kind, err)
			}
		})
		looks = append(looks, func() {
			for _, write := range []bool{false, true} {
				r := openRepo(t, dir, Options{Write: write})
				if got := contents(t, r); !reflect.DeepEqual(got, want) {
					t.Errorf("%s %s: something changed", test.op, test.kind)
				}
				noError(t, r.Close())
			}
		})
	}
	wg.Wait()
	for _, look := range looks {
		look()
	}
}

// tableRepo is a copy of the fixture with its records in a table.
func tableRepo(t *testing.T) string {
	t.Helper()
	dir := copyRepo(t)
	if err := openRepo(t, dir, Options{Write: true}).Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func metaFile(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, metadataName, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

func TestCorruptDatabaseIsRefused(t *testing.T) {
	overwrite := func(at float64) func([]byte) []byte {
		return func(b []byte) []byte {
			copy(b[int(at*float64(len(b))):], "damaged!")
			return b
		}
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	none := func([]byte) []byte { return nil }
	for _, test := range []struct {
		name, pattern string
		repo          func(*testing.T) string
		damage        func([]byte) []byte
		want          string
	}{
		{"garbage in CURRENT", "CURRENT", tableRepo, overwrite(0), "CURRENT holds"},
		{"empty CURRENT", "CURRENT", tableRepo, none, "CURRENT holds"},
		{"damaged manifest", "MANIFEST-*", tableRepo, overwrite(0.5), "MANIFEST-"},
		{"short manifest", "MANIFEST-*", tableRepo, half, "MANIFEST-"},
		{"empty manifest", "MANIFEST-*", tableRepo, none, "corrupt"},
		{"damaged log", "*.log", func(t *testing.T) string { return copyRepo(t) }, overwrite(0.5), ".log"},
		{"short log", "*.log", func(t *testing.T) string { return copyRepo(t) }, half, ".log"},
		{"damaged table", "*.ldb", tableRepo, overwrite(0.3), ".ldb"},
		{"damaged table index", "*.ldb", tableRepo, overwrite(0.99), ".ldb"},
		{"short table", "*.ldb", tableRepo, half, ".ldb"},
		{"empty table", "*.ldb", tableRepo, none, ".ldb"},
		{"no table", "*.ldb", tableRepo, nil, ".ldb"},
	} {
		dir := test.repo(t)
		path := metaFile(t, dir, test.pattern)
		b, err := os.ReadFile(path)
		if err == nil && test.damage == nil {
			err = os.Remove(path)
		} else if err == nil {
			err = os.WriteFile(path, test.damage(b), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, filepath.Join(dir, metadataName))
		for _, write := range []bool{false, true} {
			r, err := OpenRepo(t.Context(), dir, Options{Write: write})
			if err == nil && !write { // a table is read when it is needed
				err = r.Sectors(t.Context(), func(SectorKV) error { return nil })
				noError(t, r.Close())
			}
			if fault.KindOf(err) != fault.Refused || !strings.Contains(fmt.Sprint(err), test.want) ||
				!strings.Contains(fmt.Sprint(err), "is corrupt") {
				t.Errorf("%s, write %t: got %v, want %s", test.name, write, err, test.want)
			}
		}
		if !reflect.DeepEqual(before, snapshot(t, filepath.Join(dir, metadataName))) {
			t.Errorf("%s: the database was changed", test.name)
		}
		if got, err := Running(dir); got != nil || err != nil {
			t.Errorf("%s: still locked: %v, %v", test.name, got, err)
		}
	}
}

// A flipped byte anywhere is refused or without effect, and never a panic.
func TestFlippedBytes(t *testing.T) {
	for _, test := range []struct {
		pattern string
		repo    string
	}{{"*.log", copyRepo(t)}, {"*.ldb", tableRepo(t)}, {"MANIFEST-*", tableRepo(t)}, {"CURRENT", tableRepo(t)}} {
		want := contentsAt(t, test.repo)
		path := metaFile(t, test.repo, test.pattern)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 300 {
			b := bytes.Clone(whole)
			at := random.IntN(len(b))
			if i < 100 { // the footer of a table and the head of the others
				at = min(i, len(b)-1)
				if test.pattern == "*.ldb" {
					at = len(b) - 1 - i
				}
			}
			b[at] ^= byte(1 + random.IntN(255))
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			r, err := OpenRepo(t.Context(), test.repo, Options{})
			if err == nil {
				err = r.each(t.Context(), nil, func(key, value []byte) error {
					got[string(key)] = string(value)
					return nil
				})
				noError(t, r.Close())
			}
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("%s, byte %d: read as sound, with %d of %d records", test.pattern, at, len(got), len(want))
			}
			if err != nil && fault.KindOf(err) != fault.Refused {
				t.Errorf("%s, byte %d: got %v", test.pattern, at, err)
			}
		}
	}
}
