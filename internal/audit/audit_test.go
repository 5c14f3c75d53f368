package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
	"damocles-manager/internal/testkit"
)

// truth is the metadata of the fixture: sectors.json.
type truth struct {
	only func(number abi.SectorNumber) bool // nil for all
}

func (m truth) Each(ctx context.Context, numbers sector.Numbers, fn func(sector.ID, string, *sector.Record, error) error) error {
	for _, s := range fixture {
		rec := &sector.Record{ID: sector.ID{Miner: s.Miner, Number: s.Number}, SealProof: 5, Status: sector.Finished, State: "Proving"}
		if !numbers.Has(s.Number) || (m.only != nil && !m.only(s.Number)) {
			continue
		}
		rec.Original.CommR = cid.MustParse(s.CommR)
		if s.NewCommR != "" && s.Number != 23 {
			rec.Upgraded, rec.Update = true, &sector.Replica{CommR: cid.MustParse(s.NewCommR)}
		}
		if err := fn(rec.ID, "", rec, nil); err != nil {
			return err
		}
	}
	return ctx.Err()
}

var fixture []struct {
	Miner           abi.ActorID
	Number          abi.SectorNumber
	CommR, NewCommR string
}

// observed keeps what is told.
type observed struct {
	sectors []SectorReport
	differs []Difference
	on      func(SectorReport)
}

func (o *observed) Sector(r SectorReport) {
	o.sectors = append(o.sectors, r)
	if o.on != nil {
		o.on(r)
	}
}
func (o *observed) Difference(d Difference) { o.differs = append(o.differs, d) }
func (o *observed) Deadline(DeadlineReport) {}

// spyFS counts what is opened, and lets some paths hang.
type spyFS struct {
	mu     sync.Mutex
	opened map[string]int
	hangs  func(path string) bool
	free   chan struct{} // closed, those that hang go on
}

func (s *spyFS) wait(path string) {
	if s.hangs != nil && s.hangs(path) {
		<-s.free
	}
}

func (s *spyFS) Stat(name string) (fs.FileInfo, error) {
	s.wait(name)
	return os.Stat(name)
}

func (s *spyFS) Open(name string) (post.File, error) {
	s.wait(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened[name]++
	return os.Open(name)
}

// counts returns the number of files opened since the last call.
func (s *spyFS) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.opened)
	s.opened = map[string]int{}
	return n
}

// setUp copies the stores, and makes options for their sectors 100 to 112.
func setUp(t *testing.T) (Options, *observed, *spyFS) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(testkit.Fixture(t, "switch-2k/storage"))); err != nil {
		t.Fatal(err)
	}
	numbers, err := sector.ParseNumbers([]string{"100-112"})
	if err != nil {
		t.Fatal(err)
	}
	spy := &spyFS{opened: map[string]int{}, free: make(chan struct{})}
	t.Cleanup(func() { close(spy.free) })
	seen := &observed{}
	return Options{
		Numbers: numbers, Metadata: truth{}, Timeout: time.Minute, Jobs: 4, FS: spy, Observer: seen,
		Plan:   Plan{Kind: Window},
		Stores: []store.Store{{Name: "1", Dir: dir + "/damocles-1"}, {Name: "2", Dir: dir + "/damocles-2"}},
	}, seen, spy
}

func run(t *testing.T, o Options) *Summary {
	t.Helper()
	sum, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// Sectors are told of in the order of their numbers, whoever is ready first.
func TestRunInOrder(t *testing.T) {
	o, seen, _ := setUp(t)
	o.Plan = Plan{Kind: Full}
	var total, done int
	o.Total, o.Done = func(n int) { total = n }, func() { done++ }
	sum := run(t, o)
	if sum.Provable != 13 || sum.Verdict() != post.Provable || total != 13 || done != 13 {
		t.Errorf("got %+v, total %d, done %d", sum, total, done)
	}
	if !slices.IsSortedFunc(seen.sectors, func(a, b SectorReport) int { return compareIDs(a.ID, b.ID) }) {
		t.Error("not in order")
	}
}

// A sector whose files hang ends after the timeout, and holds up nobody else. The
// bubble's clock stands still while files are read: nobody is late who does not hang.
func TestRunHangingSector(t *testing.T) {
	for _, file := range []string{"sealed/s-t01000-104", "cache/s-t01000-104/p_aux"} {
		synctest.Test(t, func(t *testing.T) {
			o, seen, spy := setUp(t)
			spy.hangs = func(path string) bool { return strings.HasSuffix(path, file) }
			sum := run(t, o)
			if sum.Provable != 12 || sum.Undecided != 1 || sum.Verdict() != post.Undecided {
				t.Fatalf("%s: %+v", file, sum)
			}
			f := seen.sectors[4].Findings
			if len(f) != 1 || f[0].Name != post.Timeout || !strings.HasSuffix(f[0].File, file) {
				t.Errorf("%s: %v", file, f)
			}
		})
	}
}

// A store that hangs is given up after some sectors, so that the rest does not
// take the timeout each.
func TestRunHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, seen, spy := setUp(t)
		o.Jobs = 1
		spy.hangs = func(path string) bool { return strings.HasPrefix(path, o.Stores[0].Dir) }
		start := time.Now()
		sum := run(t, o)
		if took := time.Since(start); took != enough*o.Timeout {
			t.Errorf("it took %s", took)
		}
		skipped := 0
		for _, s := range seen.sectors {
			for _, f := range s.Findings {
				if f.Name == post.Timeout && strings.Contains(f.Text, "in a row") {
					skipped++
				}
			}
		}
		if sum.Undecided == 0 || skipped != sum.Undecided-enough {
			t.Errorf("%d undecided, %d of them not read", sum.Undecided, skipped)
		}
	})
}

// like100 is metadata of many sectors that have the files of 100; proof is -1 where
// it does not tell their size.
type like100 struct {
	n     int
	proof abi.RegisteredSealProof
}

func (m like100) Each(ctx context.Context, _ sector.Numbers, fn func(sector.ID, string, *sector.Record, error) error) error {
	for n := range m.n {
		rec := &sector.Record{ID: sector.ID{Miner: 1000, Number: abi.SectorNumber(n)}, SealProof: m.proof, Status: sector.Finished}
		for _, s := range fixture {
			if s.Number == 100 {
				rec.Original.CommR = cid.MustParse(s.CommR)
			}
		}
		if err := fn(rec.ID, "", rec, nil); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Many stores that hang, as those of one server that is gone, leave the others what
// they need to be read.
func TestRunManyHangingStores(t *testing.T) {
	const stores, each = 30, 5 // the last store is the good one
	for _, tt := range []struct {
		proof abi.RegisteredSealProof
		jobs  int
	}{{5, 4}, {-1, 4}, {5, 100}} {
		synctest.Test(t, func(t *testing.T) {
			o, seen, spy := setUp(t)
			from, dir := o.Stores[0].Dir, t.TempDir()
			o.Stores, o.Numbers, o.Jobs = nil, sector.Numbers{}, tt.jobs
			o.Metadata = like100{stores * each, tt.proof}
			for i := range stores {
				s := store.Store{Name: strconv.Itoa(i), Dir: filepath.Join(dir, strconv.Itoa(i))}
				o.Stores = append(o.Stores, s)
				for n := i; n < stores*each; n += stores {
					for _, kind := range []sector.FileKind{sector.Sealed, sector.Cache} {
						to := s.Path(kind, sector.ID{Miner: 1000, Number: abi.SectorNumber(n)})
						err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o750), os.Symlink(filepath.Join(from, kind.String(), "s-t01000-100"), to))
						if err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			spy.hangs = func(path string) bool {
				return strings.HasPrefix(path, dir) && !strings.HasPrefix(path, o.Stores[stores-1].Dir)
			}
			if sum := run(t, o); sum.Provable != each {
				t.Errorf("%+v: %d of the good store's %d sectors are provable: %v", tt, sum.Provable, each, seen.sectors[len(seen.sectors)-1].Findings)
			}
		})
	}
}

// An interrupted check goes on where it was; what has not changed is not read
// again, and what has is.
func TestResume(t *testing.T) {
	o, seen, spy := setUp(t)
	path := filepath.Join(t.TempDir(), "results")
	open := func() {
		var err error
		if o.Resume, err = OpenResume(t.Context(), durable.FS{}, path); err != nil {
			t.Fatal(err)
		}
	}
	open()
	o.Jobs = 1
	ctx, cancel := context.WithCancel(t.Context())
	seen.on = func(SectorReport) {
		if len(seen.sectors) == 5 {
			cancel()
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := o.Resume.Close(); err != nil {
		t.Fatal(err)
	}
	seen.on = nil
	spy.count()

	again := func() (*Summary, int) {
		open()
		*seen = observed{}
		sum := run(t, o)
		if err := o.Resume.Close(); err != nil {
			t.Fatal(err)
		}
		return sum, spy.count()
	}
	sum, _ := again()
	if sum.Reused != 5 || sum.Provable != 13 {
		t.Errorf("after the interruption: %+v", sum)
	}
	if sum, n := again(); sum.Reused != 13 || n != 0 {
		t.Errorf("%d files were read again, %+v", n, sum)
	}
	// one of each kind of change
	replica, aux := o.Stores[0].Dir+"/sealed/s-t01000-100", o.Stores[0].Dir+"/cache/s-t01000-102/p_aux"
	later := time.Now().Add(time.Second)
	if err := errors.Join(os.Chtimes(replica, later, later), os.Truncate(aux, 10)); err != nil {
		t.Fatal(err)
	}
	sum, n := again()
	if sum.Reused != 11 || sum.NotProvable != 1 || n == 0 {
		t.Errorf("after the change: %d files read, %+v", n, sum)
	}
	o.Metadata = otherCommR{}
	if sum, _ := again(); sum.Reused != 12 || sum.NotProvable != 2 {
		t.Errorf("with another CommR of 101: %+v", sum)
	}
}

// otherCommR gives 101 the CommR of 100.
type otherCommR struct{}

func (otherCommR) Each(ctx context.Context, numbers sector.Numbers, fn func(sector.ID, string, *sector.Record, error) error) error {
	var first cid.Cid
	return truth{}.Each(ctx, numbers, func(id sector.ID, key string, rec *sector.Record, err error) error {
		switch id.Number {
		case 100:
			first = rec.Original.CommR
		case 101:
			rec.Original.CommR = first
		}
		return fn(id, key, rec, err)
	})
}

// A file that is put back from a copy has its size and its time of modification
// again, as `cp -p` and rsync leave it, and so has one that was spoiled that way: it
// is read again all the same.
func TestResumeSeesWhatKeepsItsTime(t *testing.T) {
	o, _, _ := setUp(t)
	path, aux := filepath.Join(t.TempDir(), "results"), o.Stores[0].Dir+"/cache/s-t01000-102/p_aux"
	good, err := os.ReadFile(aux)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(aux)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	bad[0] ^= 1
	for i, step := range []struct {
		content []byte
		bad     int
	}{{good, 0}, {bad, 1}, {good, 0}} {
		time.Sleep(20 * time.Millisecond) // the clock that the kernel stamps files with goes in steps
		if err := errors.Join(os.WriteFile(aux, step.content, 0o600), os.Chtimes(aux, info.ModTime(), info.ModTime())); err != nil {
			t.Fatal(err)
		}
		if o.Resume, err = OpenResume(t.Context(), durable.FS{}, path); err != nil {
			t.Fatal(err)
		}
		if sum := run(t, o); sum.NotProvable != step.bad || (i > 0 && sum.Reused != 12) {
			t.Errorf("run %d: %+v", i, sum)
		}
		if err := o.Resume.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What hung is tried again.
func TestResumeTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _, spy := setUp(t)
		path := filepath.Join(t.TempDir(), "results")
		for i, want := range []int{1, 0} {
			spy.hangs = func(path string) bool { return i == 0 && strings.HasSuffix(path, "sealed/s-t01000-104") }
			var err error
			if o.Resume, err = OpenResume(t.Context(), durable.FS{}, path); err != nil {
				t.Fatal(err)
			}
			if sum := run(t, o); sum.Undecided != want || sum.Provable != 13-want {
				t.Errorf("run %d: %+v", i, sum)
			}
			if err := o.Resume.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Every step of the file of results may fail; the run then ends with that error,
// and the file stays one that a next run takes.
func TestResumeFaults(t *testing.T) {
	boom := errors.New("boom")
	for _, step := range []string{"create", "write", "sync", "close", "rename", "syncdir", "append"} {
		t.Run(step, func(t *testing.T) {
			o, _, _ := setUp(t)
			path := filepath.Join(t.TempDir(), "results")
			made := false
			dfs := durable.FS{Fault: func(op, at string) error {
				if op == step && !made || step == "append" && op == "write" && made {
					return boom
				}
				return nil
			}}
			r, err := OpenResume(t.Context(), dfs, path)
			if step != "append" {
				if !errors.Is(err, boom) || fault.HintOf(err) == "" {
					t.Fatalf("got %v", err)
				}
				names, err := os.ReadDir(filepath.Dir(path))
				if err != nil || len(names) > 0 {
					t.Errorf("left behind: %v %v", names, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			made = true
			o.Resume = r
			if _, err := Run(t.Context(), o); !errors.Is(err, boom) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if _, err := OpenResume(t.Context(), durable.FS{}, path); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestResumeForeign(t *testing.T) {
	head := `{"type":"sectors-check","version":1}` + "\n"
	tests := []struct{ name, content, want string }{
		{"empty", "", "no first line"},
		{"no newline", "hello", "no first line"},
		{"other JSON", "{}\n", "first line"},
		{"another version", `{"type":"sectors-check","version":2}` + "\n", "first line"},
		{"a broken line", head + "{}\n" + head, "line 2"},
		{"a broken key", head + `{"key":"00"}` + "\n", "line 2"},
		{"a verdict that the findings do not give", head + `{"key":"` + strings.Repeat("ab", 32) + `","verdict":"not provable"}` + "\n", "line 2"},
		{"no verdict", head + `{"key":"` + strings.Repeat("ab", 32) + `"}` + "\n", "line 2"},
		{"half a line", head + `{"key":"00`, ""},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "results")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := OpenResume(t.Context(), durable.FS{}, path)
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		case err == nil:
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		case fault.KindOf(err) != fault.Refused:
			t.Errorf("%s: %v is not refused", tt.name, err)
		}
		raw, err := os.ReadFile(path)
		if err != nil || (tt.want != "" && string(raw) != tt.content) {
			t.Errorf("%s: it was changed: %q %v", tt.name, raw, err)
		}
	}
	if _, err := OpenResume(t.Context(), durable.FS{}, t.TempDir()); fault.KindOf(err) != fault.Refused {
		t.Errorf("a directory: %v", err)
	}
}

// A large file that is none of ours is refused without being read into memory, as
// a sparse one of 32 GiB has no end of its first line.
func TestResumeForeignLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "replica")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 32<<30)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenResume(t.Context(), durable.FS{}, path); fault.KindOf(err) != fault.Refused {
		t.Errorf("got %v", err)
	}
	// nor is a line without an end taken for a torn one, which would be cut off
	head := `{"type":"sectors-check","version":1}` + "\n"
	if err := errors.Join(os.WriteFile(path, []byte(head), 0o600), os.Truncate(path, 1<<30)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenResume(t.Context(), durable.FS{}, path); fault.KindOf(err) != fault.Refused {
		t.Errorf("after our first line: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 1<<30 {
		t.Errorf("it was changed: %v %v", info, err)
	}
}

// A locator's stores: unknown ones, those behind a plugin, and those that hang.
func TestLocate(t *testing.T) {
	o, seen, _ := setUp(t)
	o.Unreachable = map[string]string{"plugin": "only damocles can look there"}
	o.Locator = books{100: {"1", "1"}, 101: {"plugin", "plugin"}, 102: {"gone", "1"}, 103: {"1", "1"}}
	var err error
	if o.Numbers, err = sector.ParseNumbers([]string{"100-104"}); err != nil {
		t.Fatal(err)
	}
	sum := run(t, o)
	var got []string
	for _, s := range seen.sectors {
		got = append(got, fmt.Sprintf("%d %s", s.ID.Number, s.Verdict))
	}
	for _, d := range seen.differs {
		got = append(got, fmt.Sprintf("%d %s", d.ID.Number, d.Code))
	}
	// 103 has its cache in the other store
	want := []string{"100 provable", "101 undecided", "102 provable", "103 not provable", "104 provable",
		"102 store-unknown", "103 elsewhere", "104 not-in-index"}
	if !slices.Equal(got, want) || sum.Verdict() != post.NotProvable {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

// Where several stores have a sector and no index says which is meant, every copy has
// to be good: lotus-miner may take either.
func TestEveryCopyCounts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(first, second string) error
		want   string
	}{
		{"both are good", func(string, string) error { return nil }, "[] 13 0"},
		{"the second replica", func(_, second string) error { return os.Truncate(second+"/sealed/s-t01000-100", 5) },
			"[replica-size new/sealed/s-t01000-100] 12 1"},
		{"the first replica", func(first, _ string) error { return os.Truncate(first+"/sealed/s-t01000-100", 5) },
			"[replica-size damocles-1/sealed/s-t01000-100] 12 1"},
		{"the second cache, and there is one replica", func(_, second string) error {
			return errors.Join(os.Remove(second+"/sealed/s-t01000-100"), os.Truncate(second+"/cache/s-t01000-100/p_aux", 5))
		}, "[p_aux-short new/cache/s-t01000-100/p_aux] 12 1"},
		{"the one replica of two caches", func(first, second string) error {
			return errors.Join(os.Remove(second+"/sealed/s-t01000-100"), os.Truncate(first+"/sealed/s-t01000-100", 5))
		}, "[replica-size damocles-1/sealed/s-t01000-100] 12 1"},
	} {
		o, seen, _ := setUp(t)
		first, dir := o.Stores[0].Dir, filepath.Dir(o.Stores[0].Dir)
		second := dir + "/new"
		err := errors.Join(os.CopyFS(second, os.DirFS(first)), tt.damage(first, second))
		if err != nil {
			t.Fatal(err)
		}
		o.Stores = append(o.Stores, store.Store{Name: "new", Dir: second})
		path := filepath.Join(t.TempDir(), "results")
		for _, reused := range []int{0, 13} {
			*seen = observed{}
			if o.Resume, err = OpenResume(t.Context(), durable.FS{}, path); err != nil {
				t.Fatal(err)
			}
			sum := run(t, o)
			if err := o.Resume.Close(); err != nil {
				t.Fatal(err)
			}
			names := []string{}
			for _, f := range seen.sectors[0].Findings {
				names = append(names, string(f.Name), strings.TrimPrefix(f.File, dir+"/"))
				if !strings.Contains(f.Text, "in more than one store, and nothing says") {
					t.Errorf("%s: says %q", tt.name, f.Text)
				}
			}
			if got := fmt.Sprint(names, sum.Provable, sum.NotProvable); got != tt.want || sum.Reused != reused {
				t.Errorf("%s: got %s, %d reused, want %s and %d", tt.name, got, sum.Reused, tt.want, reused)
			}
		}
	}
}

// A replica that may lie in a store that cannot be listed is not missing, however
// many cache directories there are.
func TestCopiesBesideAnUnreadableStore(t *testing.T) {
	o, seen, _ := setUp(t)
	first, dir := o.Stores[0].Dir, filepath.Dir(o.Stores[0].Dir)
	cache := "/cache/s-t01000-100"
	for _, name := range []string{"b", "c"} {
		if err := os.CopyFS(dir+"/"+name+cache, os.DirFS(first+cache)); err != nil {
			t.Fatal(err)
		}
		o.Stores = append(o.Stores, store.Store{Name: name, Dir: dir + "/" + name})
	}
	if err := errors.Join(os.Rename(first+"/sealed", first+"/away"), os.WriteFile(first+"/sealed", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	run(t, o)
	if r := seen.sectors[0]; r.Verdict != post.Undecided {
		t.Errorf("%s: %s, %v", r.ID, r.Verdict, r.Findings)
	}
}

// A store under two names is one store: its sectors are read once.
func TestStoreUnderTwoNames(t *testing.T) {
	o, seen, spy := setUp(t)
	run(t, o)
	once := spy.count()
	link := filepath.Join(filepath.Dir(o.Stores[0].Dir), "link")
	err := errors.Join(os.Symlink("damocles-1", link), os.Truncate(link+"/sealed/s-t01000-100", 5))
	if err != nil {
		t.Fatal(err)
	}
	o.Stores = append(o.Stores, store.Store{Name: "link", Dir: link})
	*seen = observed{}
	sum := run(t, o)
	if got := spy.count(); got > once || sum.NotProvable != 1 || len(seen.sectors[0].Findings) != 1 {
		t.Errorf("got %d files opened, want %d; %+v", got, once, seen.sectors[0])
	}
	if text := seen.sectors[0].Findings[0].Text; strings.Contains(text, "more than one store") {
		t.Errorf("says %q", text)
	}
}

// One of several stores in which nothing is was not checked, as one that is not
// mounted; where metadata says what has to be there, that tells.
func TestStoreWithoutSectors(t *testing.T) {
	o, seen, _ := setUp(t)
	filled := o.Stores
	withEmpty := append(slices.Clone(filled), store.Store{Name: "empty", Dir: t.TempDir()})
	for _, tt := range []struct {
		name     string
		metadata Metadata
		stores   []store.Store
		want     []Code
	}{
		{"no metadata", nil, withEmpty, []Code{StoreEmpty}},
		{"no metadata, and all have some", nil, filled, nil},
		{"metadata", truth{}, withEmpty, nil},
	} {
		*seen = observed{}
		o.Metadata, o.Stores = tt.metadata, tt.stores
		sum := run(t, o)
		var got []Code
		for _, d := range seen.differs {
			got = append(got, d.Code)
		}
		if !slices.Equal(got, tt.want) || tt.want != nil && sum.Verdict() != post.Undecided {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	// None of the selected sectors is in the first; it is not empty.
	var err error
	if o.Numbers, err = sector.ParseNumbers([]string{"101"}); err != nil {
		t.Fatal(err)
	}
	*seen = observed{}
	o.Metadata, o.Stores = nil, filled
	if run(t, o); len(seen.differs) > 0 {
		t.Errorf("got %v", seen.differs)
	}
}

type books map[abi.SectorNumber][2]string

func (b books) Locate(_ context.Context, id sector.ID, _ bool) (string, string, bool, error) {
	at, ok := b[id.Number]
	return at[0], at[1], ok, nil
}

// A book that cannot be read ends the run: without it every sector would be called
// missing.
func TestLocatorFails(t *testing.T) {
	o, _, _ := setUp(t)
	o.Locator = brokenBook{}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "in the index") {
		t.Errorf("got %v", err)
	}
}

type brokenBook struct{}

func (brokenBook) Locate(context.Context, sector.ID, bool) (string, string, bool, error) {
	return "", "", false, errors.New("broken")
}

// zeros is metadata of 8 MiB sectors of nothing but zeros.
type zeros struct {
	n     int
	commR cid.Cid
}

func (z zeros) Each(ctx context.Context, _ sector.Numbers, fn func(sector.ID, string, *sector.Record, error) error) error {
	for n := range z.n {
		rec := &sector.Record{ID: sector.ID{Miner: 1000, Number: abi.SectorNumber(n)}, SealProof: 6, Status: sector.Finished}
		rec.Original.CommR = z.commR
		if err := fn(rec.ID, "", rec, nil); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// A prover reads all trees with one setting: where they were made with several, not
// all sectors can be proven, though each could.
func TestRowsDiffer(t *testing.T) {
	for _, tt := range []struct {
		discarded []int
		want      string
	}{{[]int{2, 2}, "provable []"}, {[]int{1, 1}, "provable []"}, {[]int{2, 1}, "not provable [rows-differ]"}, {[]int{1, 0}, "not provable [rows-differ]"}} {
		dir := t.TempDir()
		s := store.Store{Name: dir, Dir: dir}
		var aux post.PAux
		for n, discarded := range tt.discarded {
			id := sector.ID{Miner: 1000, Number: abi.SectorNumber(n)}
			replica, cache := s.Path(sector.Sealed, id), s.Path(sector.Cache, id)
			var file []byte
			var node post.Node
			for row := 1; row <= 6; row++ {
				var err error
				if node, err = post.Hash8().Nodes(node, node, node, node, node, node, node, node); err != nil {
					t.Fatal(err)
				}
				if row > discarded {
					file = append(file, bytes.Repeat(node[:], 1<<(3*(6-row)))...)
				}
			}
			aux.CommRLast = node
			err := errors.Join(os.MkdirAll(filepath.Dir(replica), 0o750), os.MkdirAll(cache, 0o750),
				os.WriteFile(replica, nil, 0o600), os.Truncate(replica, 8<<20), os.WriteFile(cache+"/t_aux", nil, 0o600),
				os.WriteFile(cache+"/p_aux", append(aux.CommC[:], aux.CommRLast[:]...), 0o600),
				os.WriteFile(cache+"/sc-02-data-tree-r-last.dat", file, 0o600))
			if err != nil {
				t.Fatal(err)
			}
		}
		commR, err := aux.CommR()
		if err != nil {
			t.Fatal(err)
		}
		o, seen, _ := setUp(t)
		o.Numbers, o.Stores, o.Metadata = sector.Numbers{}, []store.Store{s}, zeros{len(tt.discarded), post.CommRToCID(commR)}
		sum := run(t, o)
		codes := []Code{}
		for _, d := range seen.differs {
			codes = append(codes, d.Code)
		}
		if got := fmt.Sprint(sum.Verdict(), " ", codes); got != tt.want || sum.Provable != 2 {
			t.Errorf("%v: got %s, want %s; %+v", tt.discarded, got, tt.want, sum)
		}
	}
}

// Every code has a verdict, and the worst decides.
func TestVerdicts(t *testing.T) {
	tests := []struct {
		sum  Summary
		want post.Verdict
	}{
		{Summary{Provable: 5}, post.Provable},
		{Summary{Undecided: 1}, post.Undecided},
		{Summary{Undecided: 1, NotProvable: 1}, post.NotProvable},
		{Summary{Differences: map[Code]int{NumberNotFound: 1}}, post.Undecided},
		{Summary{Differences: map[Code]int{RecordBroken: 1, FaultyOnChain: 1}}, post.NotProvable},
	}
	for _, tt := range tests {
		if got := tt.sum.Verdict(); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.sum, got, tt.want)
		}
	}
	if got := verdictOf([]post.Finding{{Name: StoreUnreachable}}); got != post.Undecided {
		t.Errorf("a store that is out of reach: %s", got)
	}
}
