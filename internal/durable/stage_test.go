package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stageWhole goes through all steps of a staged file.
func stageWhole(s FS, path string, like fs.FileInfo) error {
	f, err := s.Stage(path)
	if err != nil {
		return err
	}
	if err := fillStaged(f, like); err != nil {
		f.Discard()
		return err
	}
	return nil
}

func fillStaged(f *Staged, like fs.FileInfo) error {
	if err := f.Allocate(1 << 20); err != nil {
		return err
	}
	for _, at := range []int64{4, 0} {
		if _, err := f.WriteAt([]byte("abcd"), at); err != nil {
			return err
		}
	}
	if err := f.SetAttr(like); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// oldFile is a file with times, mode and, as root, an owner of its own.
func oldFile(t *testing.T) (string, fs.FileInfo) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old")
	must(t, os.WriteFile(path, []byte("x"), 0o600), os.Chmod(path, 0o444))
	must(t, os.Chtimes(path, time.Unix(1_500_000_000, 123_456_789), time.Unix(1_600_000_000, 987_654_321)))
	if os.Geteuid() == 0 {
		must(t, os.Chown(path, nobody, nobody))
	}
	fi, err := os.Stat(path)
	must(t, err)
	return path, fi
}

func TestStage(t *testing.T) {
	_, like := oldFile(t)
	path := filepath.Join(t.TempDir(), "staged")
	r := &recorder{fail: -1}
	must(t, stageWhole(r.fs(), path, like))
	want := []string{"create", "allocate", "write", "write", "chown", "setattr", "sync", "close"}
	if os.Geteuid() != 0 {
		want = slices.Delete(want, 4, 5)
	}
	if !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	got, err := os.Stat(path)
	must(t, err)
	if got.Mode() != 0o444 || !got.ModTime().Equal(like.ModTime()) || got.Size() != 8 {
		t.Errorf("got %v, %v, %d bytes", got.Mode(), got.ModTime(), got.Size())
	}
	g, w := got.Sys().(*syscall.Stat_t), like.Sys().(*syscall.Stat_t)
	if g.Uid != w.Uid || g.Gid != w.Gid {
		t.Errorf("owner: got %d:%d, want %d:%d", g.Uid, g.Gid, w.Uid, w.Gid)
	}
	if g, w := timesOf(got), timesOf(like); !slices.Equal(g, w) {
		t.Errorf("times: got %v, want %v", g, w)
	}
	if data, _ := os.ReadFile(path); string(data) != "abcdabcd" {
		t.Errorf("content: got %q", data)
	}
	if _, err := (FS{}).Stage(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: got %v", err)
	}
	for fail, step := range want {
		dir := t.TempDir()
		r := &recorder{fail: fail, as: unix.EIO}
		if err := stageWhole(r.fs(), filepath.Join(dir, "staged"), like); !errors.Is(err, unix.EIO) {
			t.Errorf("step %s: got %v", step, err)
		}
		if got := listNames(t, dir); len(got) != 0 {
			t.Errorf("step %s left %v", step, got)
		}
	}
}

func TestRestage(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("staged"), []byte("12345678"), 0o600), os.WriteFile(at("two"), nil, 0o600))
	must(t, os.Link(at("two"), at("names")), os.Symlink("staged", at("link")), unix.Mkfifo(at("fifo"), 0o600))
	f, err := FS{}.Restage(at("staged"))
	must(t, err)
	_, err = f.WriteAt([]byte("xx"), 2)
	must(t, err, f.Close())
	if got, _ := os.ReadFile(at("staged")); string(got) != "12xx5678" {
		t.Errorf("got %q", got)
	}
	for _, name := range []string{"missing", "two", "link", "fifo", "."} {
		if f, err := (FS{}).Restage(at(name)); err == nil {
			t.Errorf("%s was opened", name)
			f.Discard()
		}
	}
	r := &recorder{as: errInjected}
	if _, err := r.fs().Restage(at("staged")); !errors.Is(err, errInjected) || r.steps[0] != "open" {
		t.Errorf("step %v: got %v", r.steps, err)
	}
}

func TestAllocate(t *testing.T) {
	f, err := FS{}.Stage(filepath.Join(t.TempDir(), "staged"))
	must(t, err)
	defer f.Discard()
	must(t, f.Allocate(3<<20))
	fi, err := f.File().Stat()
	must(t, err)
	if fi.Size() != 0 {
		t.Errorf("size: got %d, want 0", fi.Size())
	}
	taken := blocksOf(t, f)
	if err := f.Allocate(1 << 60); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("an exbibyte: got %v", err)
	}
	if got := blocksOf(t, f); got != taken {
		t.Errorf("what does not fit has taken %d blocks of the disk", got-taken)
	}
}

func blocksOf(t *testing.T, f *Staged) int64 {
	t.Helper()
	fi, err := f.File().Stat()
	must(t, err)
	return fi.Sys().(*syscall.Stat_t).Blocks
}

func TestStageDir(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "staged")
	must(t, FS{}.StageDir(path), FS{}.StageDir(path))
	old, like := oldFile(t)
	must(t, os.WriteFile(filepath.Join(path, "file"), nil, 0o600))
	must(t, FS{}.SetDirAttr(path, like))
	got, err := os.Stat(path)
	must(t, err)
	if got.Mode().Perm() != 0o444 || !got.ModTime().Equal(like.ModTime()) || ownerAndMode(t, path) != ownerAndMode(t, old) {
		t.Errorf("got %v, %v, %s", got.Mode(), got.ModTime(), ownerAndMode(t, path))
	}
	must(t, os.Symlink(path, filepath.Join(dir, "link")))
	for _, file := range []string{filepath.Join(dir, "link"), old} {
		if err := (FS{}).StageDir(file); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: got %v", file, err)
		}
		if err := (FS{}).SetDirAttr(file, like); err == nil {
			t.Errorf("%s: got attributes", file)
		}
	}
	other := filepath.Join(dir, "other")
	must(t, os.Mkdir(other, 0o755))
	for _, op := range []string{"mkdir", "setattr"} {
		s := FS{Fault: func(o, _ string) error {
			if o == op {
				return errInjected
			}
			return nil
		}}
		if err := errors.Join(s.StageDir(filepath.Join(dir, "new")), s.SetDirAttr(other, like)); !errors.Is(err, errInjected) {
			t.Errorf("step %s: got %v", op, err)
		}
	}
}
