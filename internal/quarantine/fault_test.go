package quarantine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

// stepper counts the steps of a call, and fails the n-th or calls at it.
type stepper struct {
	at, count int
	as        error
	call      func()
	what      string
}

func (s *stepper) fs() durable.FS {
	return durable.FS{Fault: func(op, path string) error {
		s.count++
		if s.count-1 != s.at {
			return nil
		}
		s.what = op + " " + path
		if s.call != nil {
			s.call()
		}
		return s.as
	}}
}

type deed struct {
	name    string
	prepare func(*world)
	do      func(context.Context, *world, *Quarantine) error
	// check looks at what an interrupted call has left; done at the end.
	check, done func(w *world, what string)
}

func deeds() []deed {
	put := func(ctx context.Context, w *world, q *Quarantine) error { return q.Put(ctx, id5, w.files, "test") }
	whole := func(w *world, what string) { w.invariant(what) }
	return []deed{
		{"put", func(*world) {}, put, whole, func(w *world, what string) {
			if w.invariant(what) != 4 || len(w.entries()) != 2 {
				w.t.Errorf("after %s: it was not finished: %+v", what, w.entries())
			}
		}},
		{"restore", (*world).put, func(ctx context.Context, w *world, q *Quarantine) error { return w.restoreAll(ctx, q) }, whole,
			func(w *world, what string) {
				if w.invariant(what) != 0 {
					w.t.Errorf("after %s: it was not finished", what)
				}
			}},
		{"purge", (*world).put, func(ctx context.Context, w *world, q *Quarantine) error { return w.purgeAll(ctx, q) },
			func(w *world, what string) { w.untouched(what) },
			func(w *world, what string) {
				w.untouched(what)
				if n := len(w.entries()); n != 0 || len(w.hashes(func(f File) string { return f.Store.Path(f.Kind, id5) })) != 0 {
					w.t.Errorf("after %s: %d entries are left", what, n)
				}
			}},
	}
}

// Each step fails once: each file is whole at exactly one of the two places, and
// the same call completes.
func TestEachStepFailing(t *testing.T) {
	for _, d := range deeds() {
		t.Run(d.name, func(t *testing.T) {
			failed := 0
			for at := 0; ; at++ {
				w := newWorld(t)
				d.prepare(w)
				s := &stepper{at: at, as: unix.EIO}
				err := d.do(t.Context(), w, w.q(s.fs()))
				if s.what == "" {
					must(t, err)
					break
				}
				what := fmt.Sprintf("step %d, %s (%v)", at, s.what, err)
				if !errors.Is(err, unix.EIO) {
					t.Errorf("after %s: the error is lost", what)
				}
				failed++
				d.check(w, what)
				w.now = w.now.Add(time.Minute)
				must(t, d.do(t.Context(), w, w.q(durable.FS{})))
				d.done(w, what)
				if t.Failed() {
					return
				}
			}
			if failed < 10 {
				t.Errorf("only %d steps failed", failed)
			}
		})
	}
}

// A disk that is full is what a purge is for: it makes the room for its own note.
func TestPurgeOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	w.put()
	full := map[string]bool{w.a.Dir: true, w.b.Dir: true}
	fs := durable.FS{Fault: func(op, path string) error {
		for dir := range full {
			switch {
			case !strings.HasPrefix(path, dir):
			case op == "remove":
				full[dir] = false
			case full[dir] && (op == "create" || op == "write" || op == "mkdir"):
				return unix.ENOSPC
			}
		}
		return nil
	}}
	must(t, w.purgeAll(t.Context(), w.q(fs)))
	w.untouched("the purge")
	if n := len(w.entries()); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// Stopped before there was room for the note, it leaves nothing that is taken for whole.
func TestPurgeOnADiskThatStaysFull(t *testing.T) {
	w := newWorld(t)
	w.put()
	fs := durable.FS{Fault: func(op, _ string) error {
		if op == "write" {
			return unix.ENOSPC
		}
		return nil
	}}
	if err := w.purgeAll(t.Context(), w.q(fs)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	if slices.ContainsFunc(w.entries(), func(e Entry) bool { return e.Store.Dir == w.a.Dir && e.CanRestore() == nil }) {
		t.Error("what is half deleted may be restored")
	}
	must(t, w.purgeAll(t.Context(), w.q(durable.FS{})))
	w.untouched("the purge")
	if n := len(w.entries()); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// On NFS a file gets its new name by a link and loses the old one then. Where that
// fails it has both, which is nothing that has appeared: the same call completes.
func TestRemovalOfTheOldNameFails(t *testing.T) {
	for _, d := range deeds()[:2] {
		t.Run(d.name, func(t *testing.T) {
			w := newWorld(t)
			d.prepare(w)
			replica := func(path string) bool {
				return filepath.Base(path) == id5.String() || filepath.Base(path) == sector.Sealed.String()
			}
			failed := ""
			nfs := func(fail bool) durable.FS {
				return durable.FS{Fault: func(op, path string) error {
					switch {
					case op == "rename" && replica(path):
						return unix.EINVAL
					case op == "remove" && fail && failed == "" && replica(path):
						failed = path
						return unix.EIO
					}
					return nil
				}}
			}
			if err := d.do(t.Context(), w, w.q(nfs(true))); !errors.Is(err, unix.EIO) || failed == "" {
				t.Fatalf("%q: got %v, want EIO", failed, err)
			}
			refused := slices.ContainsFunc(w.entries(), func(e Entry) bool { return e.CanPurge() != nil })
			if !refused {
				t.Errorf("%s has two names, and one of them may be purged", failed)
			}
			w.now = w.now.Add(time.Minute)
			must(t, d.do(t.Context(), w, w.q(nfs(false))))
			d.done(w, failed)
		})
	}
}

// Cancelled at each step, a call stops between two of them, and the next one
// completes.
func TestCancelAtEachStep(t *testing.T) {
	for _, d := range deeds() {
		t.Run(d.name, func(t *testing.T) {
			cancelled := 0
			for at := 0; ; at++ {
				w := newWorld(t)
				d.prepare(w)
				ctx, cancel := context.WithCancel(t.Context())
				s := &stepper{at: at, call: cancel}
				err := d.do(ctx, w, w.q(s.fs()))
				cancel()
				if s.what == "" {
					break
				}
				what := fmt.Sprintf("step %d, %s", at, s.what)
				if errors.Is(err, context.Canceled) {
					cancelled++
				} else if err != nil {
					t.Errorf("after %s: %v", what, err)
				}
				d.check(w, what)
				w.now = w.now.Add(time.Minute)
				must(t, d.do(t.Context(), w, w.q(durable.FS{})))
				d.done(w, what)
				if t.Failed() {
					return
				}
			}
			if cancelled < 5 {
				t.Errorf("only %d were cancelled", cancelled)
			}
		})
	}
}

// What a Put has begun and not finished can be taken back as well, at each step.
func TestTakeBackAtEachStep(t *testing.T) {
	for at := 0; ; at++ {
		w := newWorld(t)
		s := &stepper{at: at, as: unix.EIO}
		_ = w.q(s.fs()).Put(t.Context(), id5, w.files, "test")
		if s.what == "" {
			break
		}
		must(t, w.restoreAll(t.Context(), w.q(durable.FS{})))
		if w.invariant(s.what) != 0 {
			t.Errorf("after step %d, %s: it was not taken back", at, s.what)
		}
	}
}

// The manifest is durable before the first file moves, and the name in the
// quarantine before the old one is gone for good.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	var steps []string
	err := w.q(durable.FS{Fault: func(op, path string) error {
		rel, _ := filepath.Rel(w.b.Dir, path)
		base := filepath.Base(path)
		if len(base) > 40 { // the temporary name of the manifest
			base = "temp"
		}
		switch {
		case rel == "." || rel == DirName || rel == "cache":
			base = rel
		case filepath.Base(filepath.Dir(path)) == DirName:
			base = "entry"
		}
		steps = append(steps, op+" "+base)
		return nil
	}}).Put(t.Context(), id5, []File{{w.b, sector.Cache}}, "test")
	must(t, err)
	want := []string{
		"mkdir quarantine", "syncdir .", "mkdir entry", "syncdir quarantine",
		"create manifest.json", "write manifest.json", "sync .manifest.json.tmp", "close manifest.json", "rename manifest.json", "syncdir entry",
		"rename cache", "syncdir entry", "syncdir cache",
	}
	if len(steps) != len(want) {
		t.Fatalf("the steps are %q, want %q", steps, want)
	}
	for i := range want {
		if i != 6 && steps[i] != want[i] {
			t.Errorf("step %d is %q, want %q", i, steps[i], want[i])
		}
	}
}

// What a killed run has left of a manifest does not hold anything up, and is
// removed by the next removal of the sector, or a purge.
func TestEmptyEntry(t *testing.T) {
	for _, purge := range []bool{false, true} {
		w := newWorld(t)
		dir := filepath.Join(w.a.Dir, DirName, entryName(id5, start.Add(-time.Hour)))
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, ".manifest.json.123.tmp"), []byte("{"), 0o600))
		if e := w.only(w.a); !e.Empty || e.Err != nil {
			t.Fatalf("got %+v", e)
		}
		if purge {
			must(t, w.purgeAll(t.Context(), w.q(durable.FS{})))
		} else {
			w.put()
		}
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("purge %t: it is still there", purge)
		}
	}
}
