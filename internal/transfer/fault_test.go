package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
)

// faultWorld is a sector in two stores and one that is partly at the target.
func faultWorld(t *testing.T, across bool) *world {
	t.Helper()
	src := quick(t)
	target := filepath.Join(src, "store")
	if across {
		// In memory as well: what says that a rename will not do is a fault.
		target = filepath.Join(quick(t), "store")
	}
	w := newWorld(t, src, target, 103, 101)
	o := w.sectors[0].Objects[1]
	copyTree(t, o.From, o.To)
	must(t, os.Remove(filepath.Join(o.To, "t_aux")))
	return w
}

// stepper counts the steps of a run, and fails the n-th or calls at it.
type stepper struct {
	mu     sync.Mutex
	count  int
	at     int // -1: none
	as     error
	call   func()
	exdev  bool // every rename from a source says so
	what   string
	target string
}

func (s *stepper) fs() durable.FS {
	return durable.FS{Fault: func(op, path string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := s.count
		s.count++
		if n == s.at {
			s.what = op + " " + path
			if s.call != nil {
				s.call()
			}
			if s.as != nil {
				return s.as
			}
		}
		// What is published comes from a fetching directory of the target; the
		// hook is told of the new name only, so it goes by whether that is staged.
		if s.exdev && op == "rename" && strings.HasPrefix(path, s.target) {
			if _, err := os.Lstat(stagedPath(path)); err != nil && !strings.Contains(path, ManifestName) && !strings.Contains(path, "p_aux") && !strings.Contains(path, "t_aux") {
				return unix.EXDEV
			}
		}
		return nil
	}}
}

type faultCase struct {
	name string
	opt  Options
	// exdev has each rename between the stores refused.
	exdev bool
}

var faultCases = []faultCase{
	{"rename", Options{}, false},
	{"move", Options{}, true},
	{"copy", Options{Keep: true}, false},
	{"copy with hash", Options{Keep: true, Verify: VerifyHash}, false},
}

// Each step fails once: the invariant holds, and a rerun completes.
func TestEachStepFailing(t *testing.T) {
	errs := map[string][]unix.Errno{
		"rename":         {unix.EIO, unix.EXDEV},
		"move":           {unix.EIO, unix.EACCES},
		"copy":           {unix.ENOSPC},
		"copy with hash": {unix.EIO},
	}
	for _, c := range faultCases {
		for _, as := range errs[c.name] {
			t.Run(c.name+" "+unix.ErrnoName(as), func(t *testing.T) {
				t.Parallel()
				failEach(t, c, as)
			})
		}
	}
}

func failEach(t *testing.T, c faultCase, as error) {
	failed := 0
	for at := 0; ; at++ {
		w := faultWorld(t, c.exdev)
		s := &stepper{at: at, as: as, exdev: c.exdev, target: w.target}
		opt := c.opt
		opt.FS, opt.Jobs = s.fs(), 1
		rep, err := w.run(opt)
		if s.what == "" { // no such step any more
			if err != nil || rep.Failed > 0 {
				t.Fatalf("without a fault: %v, %+v", err, rep)
			}
			w.checkArrived(c.opt.Keep)
			break
		}
		if err != nil || rep.Failed > 0 {
			failed++
		}
		again(w, c.opt, fmt.Sprintf("step %d, %s (%v, %+v)", at, s.what, err, rep))
		if t.Failed() {
			return
		}
	}
	if failed < 20 {
		t.Errorf("only %d steps failed", failed)
	}
}

// again checks what a run that was stopped has left, and that the next one
// completes it.
func again(w *world, opt Options, what string) {
	w.t.Helper()
	w.partly()
	w.checkInvariant(opt.Keep)
	rep, err := w.run(opt)
	if err != nil || rep.Failed > 0 {
		w.t.Errorf("after %s: again: %v, %+v", what, err, rep)
	}
	w.checkArrived(opt.Keep)
	if w.t.Failed() {
		w.t.Logf("after %s", what)
	}
}

// partly takes the object that is partly at the target, from the start, out of
// the check of what is there: a rerun completes it.
func (w *world) partly() {
	o := w.sectors[0].Objects[1]
	if _, err := os.Stat(filepath.Join(o.To, "t_aux")); err != nil {
		must(w.t, os.RemoveAll(o.To))
	}
}

// A cancelled run stops between the steps.
func TestCancelAtEachStep(t *testing.T) {
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cancelled := 0
			for at := 0; ; at++ {
				w := faultWorld(t, c.exdev)
				ctx, cancel := context.WithCancel(t.Context())
				s := &stepper{at: at, call: cancel, exdev: c.exdev, target: w.target}
				opt := c.opt
				opt.FS, opt.Jobs = s.fs(), 1
				rep, err := w.runCtx(ctx, opt)
				cancel()
				if s.what == "" {
					break
				}
				if errors.Is(err, context.Canceled) {
					cancelled++
				} else if err != nil || rep.Failed > 0 {
					t.Errorf("step %d, %s: %v, %+v", at, s.what, err, rep)
				}
				again(w, c.opt, fmt.Sprintf("step %d, %s", at, s.what))
				if t.Failed() {
					return
				}
			}
			if cancelled < 20 {
				t.Errorf("only %d were cancelled", cancelled)
			}
		})
	}
}

// The rename of the second object only says EXDEV, as a mount over one type
// directory can have it: that object is copied, the first stays where it is.
func TestSecondRenameFails(t *testing.T) {
	src := quick(t)
	w := newWorld(t, src, filepath.Join(src, "store"), 100, 101)
	var mu sync.Mutex
	refused := map[string]bool{}
	rep := w.good(Options{FS: durable.FS{Fault: func(op, path string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "rename" && strings.Contains(path, "/cache/") && !refused[path] {
			refused[path] = true
			return unix.EXDEV
		}
		return nil
	}}})
	if len(refused) != 2 || rep.Done != 2 || rep.Renamed != 0 || rep.Bytes == 0 {
		t.Errorf("got %+v, refused %d", rep, len(refused))
	}
	w.checkArrived(false)
	if len(w.known) != 2 {
		t.Errorf("known: %v", w.known)
	}
}

// The same behind a directory that had only to be completed, and was.
func TestSecondRenameFailsAfterFilling(t *testing.T) {
	src := quick(t)
	w := newWorld(t, src, filepath.Join(src, "store"), 110)
	cache, update := w.sectors[0].Objects[0], w.sectors[0].Objects[1]
	copyTree(t, cache.From, cache.To)
	must(t, os.Remove(filepath.Join(cache.To, "t_aux")))
	var once sync.Once
	rep := w.good(Options{FS: durable.FS{Fault: func(op, path string) (err error) {
		if op == "rename" && path == update.To {
			once.Do(func() { err = unix.EXDEV })
		}
		return err
	}}})
	if rep.Done != 1 || rep.Renamed != 0 {
		t.Errorf("got %+v", rep)
	}
	w.checkArrived(false)
}

// On NFS a replica gets its new name first and loses the old one then. The
// answer to the removal can be an error, whether it was carried out or not: the
// replica stays, and the next run says where.
func TestRemovalOfTheOldNameFails(t *testing.T) {
	for _, done := range []bool{false, true} {
		src := quick(t)
		w := newWorld(t, src, filepath.Join(src, "store"), 100)
		replica := w.sectors[0].Objects[0]
		nfs := durable.FS{Fault: func(op, path string) error {
			switch {
			case op == "rename" && path == replica.To:
				return unix.EINVAL
			case op == "remove" && path == replica.From:
				if done {
					must(t, os.Remove(path))
				}
				return unix.EIO
			}
			return nil
		}}
		rep, err := w.run(Options{FS: nfs})
		must(t, err)
		if !done && rep.Failed != 1 {
			t.Errorf("carried out %v: got %+v", done, rep)
		}
		if got := content(t, replica.To); !maps.Equal(got, w.before[replica.From]) {
			t.Errorf("carried out %v: the replica is not at the target", done)
		}
		w.good(Options{})
		w.checkArrived(false)
	}
}

// So with the copy, which then is at the target and among what is being fetched.
func TestRemovalOfTheStagedNameFails(t *testing.T) {
	for _, verify := range []Verify{VerifySize, VerifyHash} {
		for _, keep := range []bool{false, true} {
			w := newWorld(t, t.TempDir(), filepath.Join(second(t), "store"), 100)
			replica := w.sectors[0].Objects[0]
			failed := false
			nfs := durable.FS{Fault: func(op, path string) error {
				switch {
				case op == "rename" && path == replica.To:
					return unix.EINVAL
				case op == "remove" && strings.Contains(path, "fetching") && strings.HasSuffix(path, filepath.Base(replica.To)) && !failed:
					failed = true
					return unix.EIO
				}
				return nil
			}}
			rep, err := w.run(Options{FS: nfs, Verify: verify, Keep: keep})
			must(t, err)
			if rep.Failed != 1 || !failed {
				t.Errorf("got %+v", rep)
			}
			w.checkInvariant(keep)
			w.good(Options{Verify: verify, Keep: keep})
			w.checkArrived(keep)
		}
	}
}

// A flipped bit between the sync and the reading back is noticed.
func TestFlippedBit(t *testing.T) {
	for _, name := range []string{"s-t01000-100", "p_aux"} {
		w := newWorld(t, t.TempDir(), filepath.Join(second(t), "store"), 100, 101)
		var once sync.Once
		rep, err := w.run(Options{Jobs: 1, FS: durable.FS{Fault: func(op, path string) error {
			// The staged file is opened to be read back.
			if op != "open" || !strings.Contains(path, "fetching") || !strings.HasSuffix(path, name) || strings.Contains(path, "101") {
				return nil
			}
			once.Do(func() { flip(t, path, 3) })
			return nil
		}}})
		must(t, err)
		if rep.Failed != 1 || rep.Done != 1 || !strings.Contains(rep.Failures[0].Err.Error(), "SHA-256") {
			t.Fatalf("%s: got %+v", name, rep)
		}
		w.checkInvariant(false)
		for _, o := range rep.Failures[0].Sector.Objects {
			if content(t, o.From) == nil || content(t, o.To) != nil {
				t.Errorf("%s: %s was carried", name, o.From)
			}
		}
		w.good(Options{})
		w.checkArrived(false)
	}
}

// A source that changes between the copy and the removal stays.
func TestSourceChangesBeforeRemoval(t *testing.T) {
	w := newWorld(t, t.TempDir(), filepath.Join(second(t), "store"), 100)
	o := w.sectors[0].Objects[0]
	rep, err := w.run(Options{Known: func(context.Context, []Sector) error {
		return os.WriteFile(o.From, []byte("new"), 0o644)
	}})
	must(t, err)
	wantFailure(t, rep, "has changed since it was copied")
	if got, _ := os.ReadFile(o.From); string(got) != "new" {
		t.Error("it was removed")
	}
}

// Somebody makes the target while it is copied.
func TestTargetAppears(t *testing.T) {
	w := newWorld(t, t.TempDir(), filepath.Join(second(t), "store"), 100)
	o := w.sectors[0].Objects[1]
	rep, err := w.run(Options{FS: durable.FS{Fault: func(op, path string) error {
		if op == "rename" && path == o.To {
			return os.MkdirAll(o.To, 0o755)
		}
		return nil
	}}})
	must(t, err)
	wantFailure(t, rep, "has appeared meanwhile")
	if len(content(t, o.To)) > 0 || len(leftovers(t, w.target)) > 0 {
		t.Error("it was replaced, or something is left over")
	}
}
