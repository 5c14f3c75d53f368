package transfer

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

func TestSourceIsNoFile(t *testing.T) {
	dir := memoryDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	src, content := newSource(t, dir, 1500)
	noErr(t, os.Mkdir(at("dir"), 0o755), syscall.Mkfifo(at("fifo"), 0o644), os.Symlink("source", at("link")),
		os.Symlink("nowhere", at("dangling")), os.Symlink("dir", at("dirlink")))
	l, err := net.Listen("unix", at("socket"))
	noErr(t, err)
	defer l.Close()
	for _, tt := range []struct {
		name   string
		follow bool
		want   string
		is     error
	}{
		{"dir", false, "it is a directory, not a file", nil},
		{"fifo", false, "it is a named pipe, not a file", nil},
		{"socket", false, "it is a socket, not a file", nil},
		{"link", false, "it is a symbolic link, not a file", nil},
		{"dirlink", true, "it is a directory, not a file", nil},
		{"dangling", true, "no such file", fs.ErrNotExist},
		{"missing", false, "no such file", fs.ErrNotExist},
	} {
		c := newCopierOf(tinySizes, durable.FS{}, nil, VerifySize)
		c.follow = tt.follow
		_, err := c.copyFile(t.Context(), at(tt.name), at("staged"), false)
		if err == nil || !strings.HasPrefix(err.Error(), "copy "+at(tt.name)+": ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.is)
		}
		if _, err := c.hashFile(t.Context(), at(tt.name)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("hash %s: got %v, want %s", tt.name, err, tt.want)
		}
		if _, err := os.Lstat(at("staged")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s left a staged file", tt.name)
		}
	}
	c := newCopierOf(tinySizes, durable.FS{}, nil, VerifyHash)
	c.follow = true
	got, err := c.copyFile(t.Context(), at("link"), at("staged"), false)
	noErr(t, err)
	checkCopy(t, src, at("staged"), content, got, VerifyHash)
}

func TestSourceChangesMeanwhile(t *testing.T) {
	now := time.Unix(1_700_000_000, 1)
	for _, tt := range []struct {
		name   string
		change func(path string) error
	}{
		{"shrinks", func(p string) error { return os.Truncate(p, 100) }},
		{"is emptied", func(p string) error { return os.Truncate(p, 0) }},
		{"grows", func(p string) error { return os.Truncate(p, 10_000) }},
		{"is written to", func(p string) error { return os.WriteFile(p, []byte("other"), 0o600) }},
		{"is touched", func(p string) error { return os.Chtimes(p, now, now) }},
		{"is touched by a nanosecond", func(p string) error {
			return os.Chtimes(p, now, time.Unix(1_600_000_000, 987_654_322))
		}},
	} {
		for _, verify := range []Verify{VerifySize, VerifyHash} {
			for _, size := range []int{700, 1500, 5000} {
				for _, lazy := range []bool{false, true} {
					testChange(t, tt.name, size, verify, lazy, tt.change)
				}
			}
		}
	}
}

func testChange(t *testing.T, name string, size int, verify Verify, lazy bool, change func(string) error) {
	t.Helper()
	dir, from := memoryDir(t), memoryDir(t)
	src, _ := newSource(t, from, size)
	reads := size / 1000 // the last pieces are still to come, and a mark was made
	s := steps{at: func(_ int, op, _ string) error {
		if op != "read" {
			return nil
		}
		if reads--; reads < 0 {
			reads = 1 << 30
			return change(src)
		}
		return nil
	}}
	_, err := newCopierOf(tinySizes, s.fs(), nil, verify).copyFile(t.Context(), src, filepath.Join(dir, "staged"), lazy)
	if err == nil || !errors.As(err, new(*changedError)) || !strings.Contains(err.Error(), "copy "+src+": it changed while it was read (") {
		t.Errorf("%s, %d bytes, %s: got %v", name, size, verify, err)
	}
	if fault.HintOf(err) == "" {
		t.Errorf("%s: no hint", name)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("%s, %d bytes, %s: left %v", name, size, verify, got)
	}
}

// A file that was removed after it was opened is still whole.
func TestSourceVanishesMeanwhile(t *testing.T) {
	dir := memoryDir(t)
	src, content := newSource(t, dir, 5000)
	s := steps{at: func(_ int, op, _ string) error {
		if op == "create" {
			if err := os.Remove(src); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}}
	staged := filepath.Join(dir, "staged")
	got, err := newCopierOf(tinySizes, s.fs(), nil, VerifyHash).copyFile(t.Context(), src, staged, false)
	noErr(t, err)
	if data, _ := os.ReadFile(staged); string(data) != string(content) || got.Size != 5000 {
		t.Errorf("got %d bytes, %+v", len(data), got)
	}
}

// Such a file says that it has 4096 bytes, and ends before, unchanged.
func TestSourceEndsEarly(t *testing.T) {
	src := "/sys/kernel/uevent_seqnum"
	if fi, err := os.Stat(src); err != nil || fi.Size() != 4096 {
		t.Skipf("skipped: no file that lies about its size: %v", err)
	}
	for _, sizes := range []copySizes{tinySizes, defaultSizes} {
		dir := t.TempDir()
		_, err := newCopierOf(sizes, durable.FS{}, nil, VerifySize).copyFile(t.Context(), src, filepath.Join(dir, "staged"), false)
		if err == nil || !strings.Contains(err.Error(), "it ended after ") || !strings.Contains(err.Error(), " of 4096 bytes") {
			t.Errorf("got %v", err)
		}
		if got := names(t, dir); len(got) != 0 {
			t.Errorf("left %v", got)
		}
	}
}
