package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
	"damocles-manager/internal/testkit"
)

// Each failing step has a world of its own.
func TestMain(m *testing.M) { os.Exit(testkit.InMemory(m)) }

var (
	id5   = sector.ID{Miner: 1000, Number: 5}
	other = sector.ID{Miner: 1000, Number: 50}
	start = time.Date(2026, 11, 22, 10, 0, 0, 7, time.UTC)
)

// world is two stores, a and b, of which sector 5 has its replica in a and its
// cache directory in b, and its update as a whole in a; and sector 50, which
// nobody may touch.
type world struct {
	t     *testing.T
	dir   string
	a, b  store.Store
	files []File
	now   time.Time
	was   map[string]string // of sector 5, by object: where it belongs, and its hash
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		t: t, dir: dir, now: start,
		a: store.Store{Name: "a", Dir: filepath.Join(dir, "a")}, b: store.Store{Name: "b", Dir: filepath.Join(dir, "b")},
	}
	w.files = []File{{w.a, sector.Sealed}, {w.b, sector.Cache}, {w.a, sector.Update}, {w.a, sector.UpdateCache}}
	for _, f := range w.files {
		w.make(f.Store, f.Kind, id5)
		w.make(f.Store, f.Kind, other)
	}
	must(t, os.WriteFile(filepath.Join(w.a.Dir, "sectorstore.json"), []byte("{}"), 0o644))
	w.was = w.hashes(func(f File) string { return f.Store.Path(f.Kind, id5) })
	return w
}

// make writes an object, with content of its own.
func (w *world) make(s store.Store, kind sector.FileKind, id sector.ID) {
	w.t.Helper()
	path := s.Path(kind, id)
	names := []string{""}
	if kind.IsDir() {
		names = []string{"p_aux", "t_aux", "sc-02-data-tree-r-last.dat"}
		must(w.t, os.MkdirAll(path, 0o755))
	}
	must(w.t, os.MkdirAll(s.TypeDir(kind), 0o755))
	for i, name := range names {
		content := strings.Repeat(fmt.Sprintf("%s %s %s\n", kind, id, name), 3+i)
		must(w.t, os.WriteFile(filepath.Join(path, name), []byte(content), 0o644))
	}
}

func (w *world) stores() []store.Store { return []store.Store{w.a, w.b} }

func (w *world) q(fs durable.FS) *Quarantine {
	return New(fs, w.stores(), func() time.Time { return w.now }, nil)
}

func (w *world) put() {
	w.t.Helper()
	must(w.t, w.q(durable.FS{}).Put(w.t.Context(), id5, w.files, "RemoveSector"))
}

func (w *world) entries() []Entry {
	w.t.Helper()
	var out []Entry
	must(w.t, List(w.t.Context(), w.stores(), func(e Entry) error { out = append(out, e); return nil }))
	return out
}

// only returns the one entry of a store.
func (w *world) only(s store.Store) Entry {
	w.t.Helper()
	var out []Entry
	must(w.t, List(w.t.Context(), []store.Store{s}, func(e Entry) error { out = append(out, e); return nil }))
	if len(out) != 1 {
		w.t.Fatalf("%s has %d entries, want 1: %+v", s.Dir, len(out), out)
	}
	return out[0]
}

// hashes hashes every object of sector 5 at the place that at says.
func (w *world) hashes(at func(File) string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, f := range w.files {
		if sum := tree(w.t, at(f)); sum != "" {
			out[f.Store.Name+" "+f.Kind.String()] = sum
		}
	}
	return out
}

// invariant checks that each object is whole at exactly one of the two places,
// and returns how many are in the quarantine.
func (w *world) invariant(what string) (here int) {
	w.t.Helper()
	home := w.hashes(func(f File) string { return f.Store.Path(f.Kind, id5) })
	away := map[string][]string{}
	for _, f := range w.files {
		dirs, err := filepath.Glob(filepath.Join(f.Store.Dir, DirName, id5.String()+"-*", f.Kind.String()))
		must(w.t, err)
		for _, dir := range dirs {
			key := f.Store.Name + " " + f.Kind.String()
			away[key] = append(away[key], tree(w.t, dir))
		}
	}
	for key, want := range w.was {
		at := append([]string{}, away[key]...)
		if home[key] != "" {
			at = append(at, home[key])
		}
		if !slices.Equal(at, []string{want}) {
			w.t.Errorf("after %s: %s is at %d places, or not whole", what, key, len(at))
		}
		here += len(away[key])
	}
	w.untouched(what)
	return here
}

// untouched checks sector 50.
func (w *world) untouched(what string) {
	w.t.Helper()
	for _, f := range w.files {
		if tree(w.t, f.Store.Path(f.Kind, other)) == "" {
			w.t.Errorf("after %s: %s of another sector has gone", what, f.Kind)
		}
	}
}

// tree hashes a file or directory with all that is in it; "" where it is missing.
func tree(t testing.TB, path string) string {
	t.Helper()
	sum := sha256.New()
	found := false
	err := filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		rel, _ := filepath.Rel(path, at)
		fmt.Fprintf(sum, "%s %s\n", rel, d.Type())
		switch {
		case d.Type().IsRegular():
			raw, err := os.ReadFile(at)
			sum.Write(raw)
			return err
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(at)
			fmt.Fprintln(sum, to)
			return err
		}
		return nil
	})
	must(t, err)
	if !found {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// wantRefusal checks that err is of the kind Refused, has a hint and says text.
func wantRefusal(t *testing.T, err error, text string) {
	t.Helper()
	if fault.KindOf(err) != fault.Refused || fault.HintOf(err) == "" || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v (hint %q), want a refusal that says %q", err, fault.HintOf(err), text)
	}
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want an error that says %q", err, text)
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// restoreAll moves every entry back that can be.
func (w *world) restoreAll(ctx context.Context, q *Quarantine) error {
	var errs []error
	for _, e := range w.entries() {
		if e.Empty {
			continue
		}
		_, err := q.Restore(ctx, e)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (w *world) purgeAll(ctx context.Context, q *Quarantine) error {
	var errs []error
	for _, e := range w.entries() {
		_, left, err := q.Purge(ctx, e)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("left: %v", left)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
