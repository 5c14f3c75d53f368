package transfer

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

func TestBatches(t *testing.T) {
	for _, test := range []struct {
		name  string
		sizes []abi.SectorSize
		want  []int
	}{
		{"large ones alone", []abi.SectorSize{32 << 30, 32 << 30, 32 << 30}, []int{1, 1, 1}},
		{"small ones together", slices.Repeat([]abi.SectorSize{2 << 10}, 600), []int{256, 256, 88}},
		{"by size", slices.Repeat([]abi.SectorSize{8 << 20}, 20), []int{7, 7, 6}},
		{"a large one after small ones", []abi.SectorSize{2 << 10, 2 << 10, 32 << 30, 2 << 10}, []int{2, 1, 1}},
	} {
		r, err := newRun(Options{Target: t.TempDir(), Keep: true, Jobs: 1})
		must(t, err)
		var got []int
		must(t, r.each(t.Context(), func() iter.Seq2[Sector, error] {
			return func(yield func(Sector, error) bool) {
				for _, size := range test.sizes {
					if !yield(Sector{Size: size, Objects: []Object{{Kind: sector.Sealed}, {Kind: sector.Cache}}}, nil) {
						return
					}
				}
			}
		}, func(_ context.Context, s []Sector) error {
			got = append(got, len(s))
			return nil
		}))
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// However many sectors there are, only those of the workers are held, and the
// report lists only the first failures.
func TestListIsNotHeld(t *testing.T) {
	const total = 20000
	src, target := t.TempDir(), t.TempDir()
	var listed, ended, most atomic.Int64
	rep, err := Run(t.Context(), Options{Target: target, Jobs: 2, Observe: func(ev Event) {
		if ev.Type == SectorFailed {
			ended.Add(1)
		}
	}}, func() iter.Seq2[Sector, error] {
		return func(yield func(Sector, error) bool) {
			listed.Store(0)
			for n := range abi.SectorNumber(total) {
				s := Sector{ID: sector.ID{Miner: 1000, Number: n}, Size: testSize}
				s.Objects = []Object{{
					Kind: sector.Sealed, From: filepath.Join(src, "sealed", s.ID.String()), To: filepath.Join(target, "sealed", s.ID.String()),
				}}
				if listed.Add(1); ended.Load() > 0 {
					most.Store(max(most.Load(), listed.Load()-ended.Load()))
				}
				if !yield(s, nil) {
					return
				}
			}
		}
	})
	must(t, err)
	if rep.Failed != total || len(rep.Failures) != maxListed {
		t.Errorf("got %d failed, %d listed", rep.Failed, len(rep.Failures))
	}
	if limit := int64(4 * maxCopies); most.Load() == 0 || most.Load() > limit {
		t.Errorf("held %d sectors, want at most %d", most.Load(), limit)
	}
}

// At most two batches at once on a spinning disk, as many as they like elsewhere.
func TestSpinningDisks(t *testing.T) {
	d := newDisks(func(dir string) (string, bool) { return "sda", !strings.Contains(dir, "solid") })
	job := func(from, to string) []*job {
		return []*job{{items: []*item{{Object: Object{From: from, To: to}}}}}
	}
	var at, most atomic.Int64
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			release, err := d.acquire(t.Context(), job("/solid/a/x", "/spin/b/x"))
			if err != nil {
				return err
			}
			defer release()
			now := at.Add(1)
			defer at.Add(-1)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			time.Sleep(2 * time.Millisecond)
			return nil
		})
	}
	must(t, g.Wait())
	if got := most.Load(); got != perDisk {
		t.Errorf("got %d at once, want %d", got, perDisk)
	}
	var held []func()
	for range 9 {
		release, err := d.acquire(t.Context(), job("/solid/a/x", "/solid/b/x"))
		must(t, err)
		held = append(held, release)
	}
	for range perDisk {
		release, err := d.acquire(t.Context(), job("/spin/a/x", "/spin/b/x"))
		must(t, err)
		held = append(held, release)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := d.acquire(ctx, job("/spin/a/x", "/spin/b/x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third one: got %v", err)
	}
	for _, release := range held {
		release()
	}
}

// A large copy that was complete when the run was interrupted is not read again,
// and the leftovers of other interrupted runs go.
func TestInterruptedLargeCopy(t *testing.T) {
	const size = 2 << 20
	src := quick(t)
	target := filepath.Join(quick(t), "store")
	w := newWorld(t, src, target, 100)
	s := &w.sectors[0]
	s.Size = size
	replica := s.Objects[0]
	big := []byte(strings.Repeat("a sector's data\n", size/16))
	must(t, os.WriteFile(replica.From, big, 0o644))
	w.before[replica.From] = content(t, replica.From)
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	_, err := smallSteps(ctx, w, durable.FS{Fault: func(op, _ string) error {
		if op == "syncfs" {
			once.Do(cancel)
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	staged := stagedPath(replica.To)
	if info, err := os.Stat(staged); err != nil || info.Size() != size {
		t.Fatalf("the staged file: %v", err)
	}
	fetching := filepath.Dir(staged)
	for _, name := range []string{
		stagePrefix + "s-t01000-7", stagePrefix + "s-t01000-8.state", durable.ProbePrefix + "abc",
		"." + stagePrefix + "s-t01000-100.state.123.tmp", stagePrefix + "other",
	} {
		must(t, os.WriteFile(filepath.Join(fetching, name), []byte("x"), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(target, "cache", "fetching", stagePrefix+"s-t01000-9"), 0o755),
		os.WriteFile(filepath.Join(target, "cache", "fetching", stagePrefix+"s-t01000-9", "p_aux"), nil, 0o644))
	theirs := filepath.Join(fetching, "theirs")
	must(t, os.WriteFile(theirs, []byte("x"), 0o644))
	var mu sync.Mutex
	rep, err := smallSteps(t.Context(), w, durable.FS{Fault: func(op, path string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "read" && path == replica.From {
			return errors.New("it is read again")
		}
		return nil
	}})
	if err != nil || rep.Done != 1 {
		t.Errorf("got %+v, %v", rep, err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error("what is not ours was removed")
	}
	must(t, os.RemoveAll(fetching))
	w.checkArrived(true)
}

// A staged directory that can be gone on with may hold what the source has no
// more: that is not published.
func TestInterruptedLargeCache(t *testing.T) {
	w := newWorld(t, quick(t), filepath.Join(quick(t), "store"), 100)
	cache := w.sectors[0].Objects[1]
	tree := filepath.Join(cache.From, "sc-02-data-tree-r-last.dat")
	gone := filepath.Join(cache.From, "sc-02-data-layer-1.dat")
	must(t, os.WriteFile(tree, make([]byte, 2<<20), 0o644), os.WriteFile(gone, make([]byte, 1<<20), 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	_, err := smallSteps(ctx, w, durable.FS{Fault: func(op, _ string) error {
		if op == "syncfs" {
			once.Do(cancel)
		}
		return nil
	}})
	if _, serr := os.Stat(filepath.Join(stagedPath(cache.To), "sc-02-data-layer-1.dat.state")); serr != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, %v", err, serr)
	}
	must(t, os.Remove(gone))
	w.before[cache.From] = content(t, cache.From)
	rep, err := smallSteps(t.Context(), w, durable.FS{})
	if err != nil || rep.Done != 1 {
		t.Errorf("got %+v, %v", rep, err)
	}
	w.checkArrived(true)
}

// smallSteps runs with files of 1 MiB counting as large.
func smallSteps(ctx context.Context, w *world, s durable.FS) (*Report, error) {
	w.events, w.known, w.noted = nil, nil, nil
	r, err := newRun(w.options(Options{Keep: true, Verify: VerifyHash, FS: s}))
	must(w.t, err)
	r.copier.sizes.resume, r.copier.sizes.step = 1<<20, 1<<20
	return r.run(ctx, w.list)
}
