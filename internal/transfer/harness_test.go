package transfer

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

const testSize = abi.SectorSize(2048)

// world is some source stores, a target, and what the sources held at first.
type world struct {
	t       *testing.T
	sources []string
	target  string
	sectors []Sector
	before  map[string]map[string]string // by path at the source: content by file
	events  []Event
	known   []sector.ID
	noted   []sector.ID
}

// content is what an object holds of what is carried; nil where it is not there.
func content(t *testing.T, path string) map[string]string {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(t, err)
	out := map[string]string{}
	if !info.IsDir() {
		b, err := os.ReadFile(path)
		must(t, err)
		out[""] = string(b)
		return out
	}
	entries, err := os.ReadDir(path)
	must(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(path, e.Name()))
		must(t, err)
		out[e.Name()] = string(b)
	}
	return out
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// second returns a directory on another file system than the test's own.
func second(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "transfer-test-") //nolint:usetesting // it has to be there
	if err != nil {
		t.Skip("there is no second file system at /dev/shm")
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if sameMount(dir, t.TempDir()) {
		t.Skip("/dev/shm is not a second file system")
	}
	return dir
}

// quick returns a directory in memory where there is one, for tests of many runs.
func quick(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "transfer-test-") //nolint:usetesting // it has to be there
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

var fixtureStores = []string{"lotus-1", "lotus-2", "damocles-1", "damocles-2"}

// newWorld copies the fixture stores into src and lists all of their sectors, or
// those with the numbers.
func newWorld(t *testing.T, src, target string, numbers ...abi.SectorNumber) *world {
	t.Helper()
	w := &world{t: t, target: target, before: map[string]map[string]string{}}
	byID := map[sector.ID]*Sector{}
	kinds := []sector.FileKind{sector.Sealed, sector.Cache, sector.Update, sector.UpdateCache}
	for _, name := range fixtureStores {
		from := filepath.Join(testkit.Fixture(t, "switch-2k/storage"), name)
		store := filepath.Join(src, name)
		w.sources = append(w.sources, store)
		for _, kind := range kinds {
			dir := filepath.Join(from, kind.String())
			entries, err := os.ReadDir(dir)
			if err != nil {
				continue
			}
			for _, e := range entries {
				id, ok := sector.ParseFileName(e.Name())
				if !ok || (len(numbers) > 0 && !slices.Contains(numbers, id.Number)) {
					continue
				}
				o := Object{Kind: kind, From: filepath.Join(store, kind.String(), e.Name()), To: filepath.Join(target, kind.String(), e.Name())}
				copyTree(t, filepath.Join(dir, e.Name()), o.From)
				w.before[o.From] = content(t, o.From)
				if byID[id] == nil {
					byID[id] = &Sector{ID: id, Size: testSize}
				}
				byID[id].Objects = append(byID[id].Objects, o)
			}
		}
	}
	for _, s := range byID {
		slices.SortStableFunc(s.Objects, func(a, b Object) int {
			return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind)
		})
		w.sectors = append(w.sectors, *s)
	}
	slices.SortFunc(w.sectors, func(a, b Sector) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	for i := range w.sectors {
		w.sectors[i].Index = i
	}
	if len(w.sectors) == 0 {
		t.Fatal("no such sectors")
	}
	return w
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(from, path)
		dst := filepath.Join(to, rel)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(dst, 0o755))
		}
		b, err := os.ReadFile(path)
		return errors.Join(err, os.MkdirAll(filepath.Dir(dst), 0o755), os.WriteFile(dst, b, 0o644))
	}))
}

func (w *world) list() iter.Seq2[Sector, error] {
	return func(yield func(Sector, error) bool) {
		for _, s := range w.sectors {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Intend makes the world a Journal.
func (w *world) Intend(_ context.Context, sectors []Sector) error {
	for _, s := range sectors {
		w.noted = append(w.noted, s.ID)
	}
	return nil
}

// run runs with what the world watches added to opt.
func (w *world) run(opt Options) (*Report, error) { return w.runCtx(w.t.Context(), opt) }

func (w *world) runCtx(ctx context.Context, opt Options) (*Report, error) {
	w.events, w.known, w.noted = nil, nil, nil
	return Run(ctx, w.options(opt), w.list)
}

func (w *world) options(opt Options) Options {
	opt.Target = w.target
	opt.Observe = func(ev Event) { w.events = append(w.events, ev) }
	if opt.Journal == nil {
		opt.Journal = w
	}
	if opt.Known == nil {
		opt.Known = func(_ context.Context, sectors []Sector) error {
			for _, s := range sectors {
				w.known = append(w.known, s.ID)
				w.knownIsWhole(s)
			}
			return nil
		}
	}
	return opt
}

// knownIsWhole checks what Known promises.
func (w *world) knownIsWhole(s Sector) {
	for _, o := range s.Objects {
		if !maps.Equal(content(w.t, o.To), w.before[o.From]) {
			w.t.Errorf("%s was made known, and %s is not whole", s.ID, o.To)
		}
	}
}

// good runs without an error and with no failures.
func (w *world) good(opt Options) *Report {
	w.t.Helper()
	rep, err := w.run(opt)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range rep.Failures {
		w.t.Errorf("%s: %v", f.Sector.ID, f.Err)
	}
	return rep
}

// checkInvariant holds what must be true at every moment.
func (w *world) checkInvariant(keep bool) {
	w.t.Helper()
	for from, want := range w.before {
		src, dst := content(w.t, from), content(w.t, w.to(from))
		if !maps.Equal(src, want) && !maps.Equal(dst, want) {
			w.t.Errorf("%s is whole on neither side", from)
		}
		if keep && !maps.Equal(src, want) {
			w.t.Errorf("%s was kept, and is not whole any more", from)
		}
		if dst != nil && !maps.Equal(dst, want) {
			w.t.Errorf("%s is there, and not whole", w.to(from))
		}
		for name, b := range src {
			if want[name] != b {
				w.t.Errorf("%s has changed in %s", name, from)
			}
		}
	}
}

func (w *world) to(from string) string {
	return filepath.Join(w.target, filepath.Base(filepath.Dir(from)), filepath.Base(from))
}

// checkArrived checks that all is at the target, that a move left nothing at the
// source, and that nothing of ours is left but the manifest.
func (w *world) checkArrived(keep bool) {
	w.t.Helper()
	w.checkInvariant(keep)
	for from, want := range w.before {
		if !maps.Equal(content(w.t, w.to(from)), want) {
			w.t.Errorf("%s has not arrived", w.to(from))
		}
		if !keep && content(w.t, from) != nil {
			w.t.Errorf("%s is still there", from)
		}
	}
	for _, dir := range append([]string{w.target}, w.sources...) {
		for _, path := range leftovers(w.t, dir) {
			w.t.Errorf("left over: %s", path)
		}
	}
}

// leftovers are names of ours, and fetching directories.
func leftovers(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if (strings.Contains(name, "damocles-manager") && name != ManifestName) || name == "fetching" {
			out = append(out, path)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

// tree sums up all names and contents below dir, with links unfollowed.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		b.WriteString(rel + " " + d.Type().String() + "\n")
		if d.Type().IsRegular() {
			raw, err := os.ReadFile(path)
			b.Write(raw)
			return err
		}
		return nil
	}))
	return b.String()
}

func sha256sumCheck(t *testing.T, target string) string {
	t.Helper()
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("sha256sum is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "sha256sum", "-c", "--strict", ManifestName)
	cmd.Dir = target
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("sha256sum -c: %v\n%s", err, out)
	}
	return string(out)
}

// sectorAt is sector 100 in one of the stores below dir.
func sectorAt(dir, target, store string) Sector {
	s := Sector{ID: sector.ID{Miner: 1000, Number: 100}, Size: testSize}
	for _, kind := range []sector.FileKind{sector.Sealed, sector.Cache} {
		s.Objects = append(s.Objects, Object{
			Kind: kind,
			From: filepath.Join(dir, store, kind.String(), s.ID.String()),
			To:   filepath.Join(target, kind.String(), s.ID.String()),
		})
	}
	return s
}

func wantRefusal(t *testing.T, err error, want string) {
	t.Helper()
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), want) || fault.HintOf(err) == "" {
		t.Errorf("got %v (hint %q), want a refusal with %q", err, fault.HintOf(err), want)
	}
}
