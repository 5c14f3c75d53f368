package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"damocles-manager/internal/durable"
)

var errStopped = errors.New("stopped")

// interrupt copies src with tinySizes, and stops it at its read number n.
func interrupt(t *testing.T, src, staged string, verify Verify, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reads := 0
	s := steps{at: func(_ int, op, _ string) error {
		if op != "read" {
			return nil
		}
		if reads++; reads <= n {
			return nil
		}
		if n%2 == 0 {
			cancel()
			return nil
		}
		return errStopped
	}}
	_, err := newCopierOf(tinySizes, s.fs(), nil, verify).copyFile(ctx, src, staged, false)
	if !errors.Is(err, errStopped) && !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted at read %d: got %v", n, err)
	}
}

func TestResumeAfterEachChunk(t *testing.T) {
	const size = 5000 // 20 reads with hash
	for _, verify := range []Verify{VerifySize, VerifyHash} {
		reads := countReads(t, size, verify)
		for n := range reads - 1 {
			from, to := memoryDir(t), memoryDir(t)
			src, content := newSource(t, from, size)
			staged := filepath.Join(to, "staged")
			interrupt(t, src, staged, verify, n)
			st, ok := readState(staged)
			if done := int64(n) * size / int64(reads); ok != (st.Offset > 0) || done-st.Offset > 3*tinySizes.step {
				t.Errorf("%s: stopped after %d bytes, and the state is %+v", verify, done, st)
			}
			if !ok && len(names(t, to)) != 0 {
				t.Errorf("%s: left %v without a state", verify, names(t, to))
			}
			var s steps
			var done atomic.Int64
			c := newCopierOf(tinySizes, s.fs(), nil, verify).counting(func(n int64) { done.Add(n) })
			got, err := c.copyFile(t.Context(), src, staged, false)
			noErr(t, err)
			checkCopy(t, src, staged, content, got, verify)
			perStep := (reads - 1) / 4 // of 4 whole steps and a rest
			if want := reads - perStep*int(st.Offset/tinySizes.step); s.count("read") != want && verify == VerifyHash {
				t.Errorf("from %d on: %d reads, want %d", st.Offset, s.count("read"), want)
			}
			if done.Load() != size {
				t.Errorf("counted %d bytes, want %d", done.Load(), size)
			}
		}
	}
}

// countReads copies a file without interruption.
func countReads(t *testing.T, size int, verify Verify) int {
	t.Helper()
	var s steps
	src, _ := newSource(t, memoryDir(t), size)
	_, err := newCopierOf(tinySizes, s.fs(), nil, verify).copyFile(t.Context(), src, src+".staged", false)
	noErr(t, err)
	return s.count("read")
}

func TestResumeStartsOver(t *testing.T) {
	var src, staged string
	state := func() string { return staged + stateSuffix }
	edit := func(path string, change func([]byte) []byte) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, change(data), 0o600)
	}
	forge := func(change func(*copyState)) error {
		s, ok := readState(staged)
		if !ok {
			return errors.New("no state")
		}
		change(&s)
		raw, err := s.encode()
		return errors.Join(err, os.WriteFile(state(), raw, 0o600))
	}
	for _, tt := range []struct {
		name   string
		change func() error
	}{
		{"no state", func() error { return os.Remove(state()) }},
		{"torn state", func() error { return edit(state(), func(b []byte) []byte { return b[:len(b)-1] }) }},
		{"half a state", func() error { return edit(state(), func(b []byte) []byte { return b[:len(b)/2] }) }},
		{"empty state", func() error { return os.Truncate(state(), 0) }},
		{"flipped bit in the state", func() error {
			return edit(state(), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}},
		{"another program's file", func() error { return os.WriteFile(state(), []byte("{}\n"), 0o600) }},
		{"a huge file", func() error { return edit(state(), func(b []byte) []byte { return bytes.Repeat(b, 50) }) }},
		{"a directory", func() error { return errors.Join(os.Remove(state()), os.Mkdir(state(), 0o700)) }},
		{"a link", func() error {
			return errors.Join(os.Rename(state(), state()+"2"), os.Symlink("staged.state2", state()))
		}},
		{"another version", func() error { return forge(func(s *copyState) { s.Version = 2 }) }},
		{"offset too high", func() error { return forge(func(s *copyState) { s.Offset = 5001 }) }},
		{"offset below 0", func() error { return forge(func(s *copyState) { s.Offset = -1024 }) }},
		{"another source", func() error { return forge(func(s *copyState) { s.Inode++ }) }},
		{"bad hash", func() error { return forge(func(s *copyState) { s.Hash = s.Hash[1:] }) }},
		{"no hash", func() error { return forge(func(s *copyState) { s.Hash = nil }) }},
		{"no staged file", func() error { return os.Remove(staged) }},
		{"short staged file", func() error { return os.Truncate(staged, 1000) }},
		{"another staged file", func() error {
			return errors.Join(os.WriteFile(staged+"2", make([]byte, 5000), 0o600), os.Rename(staged+"2", staged))
		}},
		{"touched source", func() error { return os.Chtimes(src, time.Now(), time.Now()) }},
		{"longer source", func() error {
			fi, err := os.Stat(src)
			return errors.Join(err, os.Truncate(src, 6000), os.Chtimes(src, time.Time{}, fi.ModTime()))
		}},
		// As rsync --inplace --times restores a file from a backup.
		{"source restored in its place", func() error {
			fi, err := os.Stat(src)
			data := bytes.Repeat([]byte("right"), 1000)
			return errors.Join(err, os.WriteFile(src, data, 0o600), os.Chtimes(src, time.Time{}, fi.ModTime()))
		}},
		{"replaced source", func() error {
			fi, err := os.Stat(src)
			data := bytes.Repeat([]byte("other"), 1000)
			return errors.Join(err, os.WriteFile(src+"2", data, 0o600), os.Rename(src+"2", src), os.Chtimes(src, time.Time{}, fi.ModTime()))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := memoryDir(t)
			src, _ = newSource(t, dir, 5000)
			staged = filepath.Join(dir, "staged")
			interrupt(t, src, staged, VerifyHash, 17)
			if _, ok := readState(staged); !ok {
				t.Fatal("nothing to resume")
			}
			noErr(t, tt.change(), os.WriteFile(filepath.Join(dir, ".staged.state.123.tmp"), nil, 0o600))
			content, err := os.ReadFile(src)
			noErr(t, err)
			var s steps
			got, err := newCopierOf(tinySizes, s.fs(), nil, VerifyHash).copyFile(t.Context(), src, staged, false)
			noErr(t, err)
			checkCopy(t, src, staged, content, got, VerifyHash)
			if reads := s.count("read"); reads != (len(content)+255)/256 {
				t.Errorf("%d reads", reads)
			}
			if _, err := os.Stat(filepath.Join(dir, ".staged.state.123.tmp")); err == nil {
				t.Error("a temporary name was left")
			}
		})
	}
}

func TestResumeWithAnotherVerify(t *testing.T) {
	for _, before := range []Verify{VerifySize, VerifyHash} {
		for _, after := range []Verify{VerifySize, VerifyHash} {
			for _, complete := range []bool{false, true} {
				dir := memoryDir(t)
				src, content := newSource(t, dir, 5000)
				staged := filepath.Join(dir, "staged")
				if complete {
					_, err := newCopierOf(tinySizes, durable.FS{}, nil, before).copyFile(t.Context(), src, staged, false)
					noErr(t, err)
				} else {
					interrupt(t, src, staged, before, 9)
				}
				var s steps
				got, err := newCopierOf(tinySizes, s.fs(), nil, after).copyFile(t.Context(), src, staged, false)
				noErr(t, err)
				result := after
				if complete && before == VerifyHash {
					result = VerifyHash // a hash that is known is told
				}
				checkCopy(t, src, staged, content, got, result)
				again := before == VerifySize && after == VerifyHash
				if read := s.count("read") > 0; complete && read != again {
					t.Errorf("%s, then %s: read again %v, want %v", before, after, read, again)
				}
			}
		}
	}
}

func TestCompleteFileIsNotReadAgain(t *testing.T) {
	dir := memoryDir(t)
	src, content := newSource(t, dir, 5000)
	staged := filepath.Join(dir, "staged")
	for _, tt := range []struct {
		name   string
		change func() error
		reads  int
	}{
		{"first", func() error { return nil }, 20},
		{"again", func() error { return nil }, 0},
		{"touched", func() error { return os.Chtimes(staged, time.Now(), time.Now()) }, 20},
		{"longer", func() error {
			fi, err := os.Stat(staged)
			return errors.Join(err, os.Truncate(staged, 5001), os.Chtimes(staged, time.Time{}, fi.ModTime()))
		}, 20},
		{"forgotten", func() error { return newCopierOf(tinySizes, durable.FS{}, nil, "").forget(staged, 5000) }, 20},
	} {
		noErr(t, tt.change())
		var s steps
		var done int64
		c := newCopierOf(tinySizes, s.fs(), nil, VerifyHash).counting(func(n int64) { done += n })
		got, err := c.copyFile(t.Context(), src, staged, false)
		noErr(t, err)
		checkCopy(t, src, staged, content, got, VerifyHash)
		if reads := s.count("read"); reads != tt.reads || done != 5000 {
			t.Errorf("%s: %d reads, %d bytes, want %d, 5000", tt.name, reads, done, tt.reads)
		}
	}
}

func TestSweepStates(t *testing.T) {
	dir := memoryDir(t)
	write := func(list ...string) {
		for _, name := range list {
			noErr(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		}
	}
	keep := []string{".damocles-manager.s-t01-1", ".damocles-manager.s-t01-1.state", "s-t01-3.state"}
	write(keep...)
	write(".damocles-manager.s-t01-2.state", "..damocles-manager.s-t01-1.state.123.tmp")
	c := newCopier(durable.FS{}, nil, VerifySize, nil)
	noErr(t, c.sweepStates(dir), c.sweepStates(filepath.Join(dir, "missing")))
	if got := names(t, dir); !slices.Equal(got, keep) {
		t.Errorf("got %v, want %v", got, keep)
	}
}

func FuzzDecodeState(f *testing.F) {
	raw, _ := copyState{Version: 1, Size: 5, Offset: 3, Hash: []byte("x")}.encode()
	f.Add(raw)
	f.Add(raw[:20])
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeState(raw)
		if err != nil {
			return
		}
		again, err := s.encode()
		noErr(t, err)
		if got, err := decodeState(again); err != nil || fmt.Sprint(got) != fmt.Sprint(s) {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
	})
}
