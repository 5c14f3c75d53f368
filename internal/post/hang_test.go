package post

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// hook is the real file system with something done before each call.
type hook struct{ stat, open, read func(path string) error }

func (h hook) Stat(path string) (fs.FileInfo, error) {
	if h.stat != nil {
		if err := h.stat(path); err != nil {
			return nil, err
		}
	}
	return os.Stat(path)
}

func (h hook) Open(path string) (File, error) {
	if h.open != nil {
		if err := h.open(path); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(path)
	return hookFile{f, h.read, path}, err
}

type hookFile struct {
	*os.File
	read func(path string) error
	path string
}

func (f hookFile) ReadAt(b []byte, off int64) (int, error) {
	if f.read != nil {
		if err := f.read(f.path); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(b, off)
}

// nth returns hooks that count calls of all kinds together and run do at call n.
func nth(n int32, do func() error) (hook, *atomic.Int32) {
	calls := new(atomic.Int32)
	f := func(string) error {
		if calls.Add(1) == n {
			return do()
		}
		return nil
	}
	return hook{f, f, f}, calls
}

// Whichever call hangs, the check ends after the timeout and names the file.
func TestEveryCallMayHang(t *testing.T) {
	s, _ := copied(t, 8)
	for _, plan := range []Plan{plans(s)["window"], {Full: true}} {
		counting, calls := nth(0, nil)
		check(t, NewChecker(Options{FS: counting}), s, plan)
		for n := int32(1); n <= calls.Load(); n++ {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				fsys, _ := nth(n, func() error { <-release; return nil })
				start := time.Now()
				r := check(t, NewChecker(Options{FS: fsys, Timeout: time.Minute}), s, plan)
				if !r.Has(Timeout) || r.Verdict() != Undecided || time.Since(start) != time.Minute {
					t.Errorf("call %d: %s after %s, %v", n, r.Verdict(), time.Since(start), r.Findings)
				}
				if f := r.Findings[len(r.Findings)-1]; f.Name != Timeout || f.File == "" || !strings.Contains(f.Text, "1m0s") {
					t.Errorf("call %d: %v", n, f)
				}
				close(release) // what was given up ends by itself
			})
		}
	}
}

// Whichever call fails, it is a finding with the error, and no sector is provable
// by it; only t_aux does not matter to a proof, but a disk that cannot read it does.
func TestEveryCallMayFail(t *testing.T) {
	s, _ := copied(t, 8)
	counting, calls := nth(0, nil)
	check(t, NewChecker(Options{FS: counting}), s, Plan{Full: true})
	if calls.Load() < 10 {
		t.Fatalf("only %d calls", calls.Load())
	}
	for n := int32(1); n <= calls.Load(); n++ {
		fsys, _ := nth(n, func() error { return syscall.EIO })
		r := check(t, NewChecker(Options{FS: fsys}), s, Plan{Full: true})
		if r.Verdict() != NotProvable || r.Findings[0].Name != ReadError || !errors.Is(r.Findings[0].Err, syscall.EIO) {
			t.Errorf("call %d: %s, %v", n, r.Verdict(), r.Findings)
		}
	}
}

// A file that this user may not read says nothing of the prover, which may be another
// one: that is not decided, as with a store that may not be listed.
func TestWithoutPermission(t *testing.T) {
	s, _ := copied(t, 8)
	for name, fsys := range map[string]hook{
		s.Replica:     {open: denied(s.Replica)},
		s.pAuxPath():  {stat: denied(s.pAuxPath())}, // as in a cache directory that is closed
		s.treePath(0): {open: denied(s.treePath(0))},
	} {
		r := check(t, NewChecker(Options{FS: fsys}), s, plans(s)["window"])
		if r.Verdict() != Undecided || len(r.Findings) != 1 || r.Findings[0].Name != NoPermission || r.Findings[0].File != name ||
			!strings.Contains(r.Findings[0].Text, "user") {
			t.Errorf("%s: %s, %v", name, r.Verdict(), r.Findings)
		}
	}
}

func denied(path string) func(string) error {
	return func(at string) error {
		if at == path {
			return &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		}
		return nil
	}
}

// Reads that hang are bounded: with all of them taken, the next sector is a timeout
// as well, and no more threads are spent on it.
func TestPendingReadsAreBounded(t *testing.T) {
	s, _ := copied(t, 8)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var hanging atomic.Int32
		c := NewChecker(Options{Timeout: time.Second, Pending: 3, FS: hook{stat: func(string) error {
			hanging.Add(1)
			<-release
			return nil
		}}})
		for i := range 10 {
			if r := check(t, c, s, Plan{}); !r.Has(Timeout) {
				t.Errorf("sector %d: %v", i, r.Findings)
			}
		}
		if n := hanging.Load(); n != 3 {
			t.Errorf("%d calls hang, want 3", n)
		}
		close(release)
		synctest.Wait()
		if r := check(t, c, s, Plan{}); r.Verdict() != Provable {
			t.Errorf("after the disk came back: %v", r.Findings)
		}
	})
}

// A file that opens after the end of waiting is closed.
func TestLateFileIsClosed(t *testing.T) {
	s, _ := copied(t, 8)
	synctest.Test(t, func(t *testing.T) {
		release, late := make(chan struct{}), new(lateFile)
		c := NewChecker(Options{Timeout: time.Second, FS: openFS{func() (File, error) { <-release; return late, nil }}})
		check(t, c, s, Plan{})
		close(release)
		synctest.Wait()
		if !late.closed.Load() {
			t.Error("the file stays open")
		}
	})
}

type openFS struct{ open func() (File, error) }

func (openFS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }
func (f openFS) Open(string) (File, error)           { return f.open() }

type lateFile struct{ closed atomic.Bool }

func (*lateFile) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }
func (f *lateFile) Close() error                    { f.closed.Store(true); return nil }

// The end of the context is an error, not a finding: nothing is said of the sector.
func TestCancelled(t *testing.T) {
	s, _ := copied(t, 8)
	for _, plan := range []Plan{plans(s)["window"], {Full: true}} {
		counting, calls := nth(0, nil)
		check(t, NewChecker(Options{FS: counting}), s, plan)
		for n := int32(1); n < calls.Load(); n++ {
			ctx, cancel := context.WithCancel(context.Background())
			fsys, _ := nth(n, func() error { cancel(); return nil })
			r, err := NewChecker(Options{FS: fsys, Timeout: time.Minute}).Check(ctx, s, plan)
			if !errors.Is(err, context.Canceled) || len(r.Findings) > 0 {
				t.Errorf("call %d: %v, %v", n, err, r.Findings)
			}
			cancel()
		}
	}
}
