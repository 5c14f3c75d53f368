package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// mount mounts something on dir until the test ends.
func mount(t *testing.T, source, dir, kind string, flags uintptr, data string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	must(t, os.MkdirAll(dir, 0o755))
	if err := unix.Mount(source, dir, kind, flags, data); err != nil {
		t.Skipf("mounting is not allowed: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// The target is the source under another name, as a whole or in one directory.
func TestTargetIsTheSource(t *testing.T) {
	for _, test := range []struct {
		name  string
		alias func(t *testing.T, store, target string)
	}{
		{"link to the store", func(t *testing.T, store, target string) { must(t, os.Symlink(store, target)) }},
		{"bind mount of the store", func(t *testing.T, store, target string) { mount(t, store, target, "", unix.MS_BIND, "") }},
		{"link to sealed", func(t *testing.T, store, target string) {
			must(t, os.Mkdir(target, 0o755), os.Symlink(filepath.Join(store, "sealed"), filepath.Join(target, "sealed")))
		}},
		{"bind mount of sealed", func(t *testing.T, store, target string) {
			mount(t, filepath.Join(store, "sealed"), filepath.Join(target, "sealed"), "", unix.MS_BIND, "")
		}},
		{"sealed of the target is cache of the source", func(t *testing.T, store, target string) {
			must(t, os.Mkdir(target, 0o755), os.Symlink(filepath.Join(store, "cache"), filepath.Join(target, "sealed")))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			w := newWorld(t, dir, filepath.Join(dir, "alias"), 100, 110)
			test.alias(t, w.sources[2], w.target)
			before := tree(t, dir)
			for _, keep := range []bool{false, true} {
				_, err := w.run(Options{Keep: keep})
				wantRefusal(t, err, "the source under another name")
				if tree(t, dir) != before {
					t.Error("something has changed")
				}
			}
			if len(w.events) > 0 {
				t.Errorf("got %d events", len(w.events))
			}
		})
	}
}

func TestTwoRuns(t *testing.T) {
	src := quick(t)
	w := newWorld(t, src, filepath.Join(src, "store"), 100, 101)
	ran := false
	w.good(Options{Known: func(ctx context.Context, _ []Sector) error {
		_, err := Run(ctx, Options{Target: w.target}, w.list)
		wantRefusal(t, err, "another run works on")
		if want := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		ran = true
		return nil
	}})
	if !ran {
		t.Error("there was no second run")
	}
	w.checkArrived(false)
}

func TestLockOf(t *testing.T) {
	const line = "1: FLOCK  ADVISORY  WRITE 4711 fe:01:1835009 0 EOF\n"
	for _, test := range []struct {
		line     string
		dev, ino uint64
		want     int
	}{
		{line, unix.Mkdev(0xfe, 1), 1835009, 4711},
		{line, unix.Mkdev(0xfe, 2), 1835009, 0},
		{line, unix.Mkdev(0xfe, 1), 1835008, 0},
		{strings.Replace(line, "FLOCK", "POSIX", 1), unix.Mkdev(0xfe, 1), 1835009, 0},
		{"1: -> FLOCK  ADVISORY  WRITE 4711 fe:01:1835009 0 EOF", unix.Mkdev(0xfe, 1), 1835009, 0},
		{"", 0, 0, 0},
	} {
		if got := lockOf(test.line, test.dev, test.ino); got != test.want {
			t.Errorf("%q: got %d, want %d", test.line, got, test.want)
		}
	}
}

func TestTooLittleRoom(t *testing.T) {
	for _, test := range []struct{ name, size, want string }{
		{"space", "size=64k", "not enough space"},
		{"inodes", "size=16m,nr_inodes=20", "not enough inodes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := quick(t)
			w := newWorld(t, dir, filepath.Join(dir, "small", "store"))
			mount(t, "none", filepath.Join(dir, "small"), "tmpfs", 0, test.size)
			for _, opt := range []Options{{}, {Keep: true}, {DryRun: true}} {
				_, err := w.run(opt)
				wantRefusal(t, err, test.want)
			}
			if _, err := os.Stat(w.target); !errors.Is(err, os.ErrNotExist) {
				t.Error("the target was made")
			}
		})
	}
}

// A disk that others fill meanwhile.
func TestDiskFillsUp(t *testing.T) {
	dir := quick(t)
	w := newWorld(t, dir, filepath.Join(dir, "small", "store"))
	mount(t, "none", filepath.Join(dir, "small"), "tmpfs", 0, "size=2m")
	filler := filepath.Join(dir, "small", "filler")
	filled := false
	opt := Options{Jobs: 1}
	opt.FS = durable.FS{Fault: func(op, path string) error {
		if !filled && op == "create" && strings.Contains(path, "s-t01000-110") {
			filled = true
			if err := os.WriteFile(filler, make([]byte, 4<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
				return fmt.Errorf("the disk is not full: %w", err)
			}
		}
		return nil
	}}
	rep, err := w.run(opt)
	if err == nil && rep.Failed == 0 {
		t.Fatal("nobody noticed")
	}
	if err == nil && (!errors.Is(rep.Failures[0].Err, syscall.ENOSPC) || fault.HintOf(rep.Failures[0].Err) == "") {
		t.Errorf("got %v", rep.Failures[0].Err)
	}
	w.checkInvariant(false)
	must(t, os.Remove(filler))
	w.good(Options{})
	w.checkArrived(false)
}

func TestRefusedTargets(t *testing.T) {
	dir := quick(t)
	w := newWorld(t, dir, filepath.Join(dir, "store"), 100)
	must(t, os.WriteFile(w.target, nil, 0o644))
	_, err := w.run(Options{})
	wantRefusal(t, err, "is a file")
	must(t, os.Remove(w.target))
	_, err = w.run(Options{Verify: "md5"})
	if fault.KindOf(err) != fault.Usage {
		t.Errorf("got %v", err)
	}
	must(t, os.MkdirAll(w.target, 0o755), os.WriteFile(filepath.Join(w.target, ManifestName), []byte("# {\"v\":2}\n"), 0o644))
	_, err = w.run(Options{})
	if err == nil || !strings.Contains(err.Error(), "version 2 is not known") || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	w.checkInvariant(false)
	if got := leftovers(t, dir); len(got) > 0 {
		t.Errorf("left over: %v", got)
	}
}

// Another user may not write to the target, or not remove from the source.
func TestWithoutPermission(t *testing.T) {
	if dir := os.Getenv("TRANSFER_TEST_AS_USER"); dir != "" {
		w := &world{t: t, target: filepath.Join(dir, "store")}
		w.sectors = []Sector{sectorAt(dir, w.target, os.Getenv("TRANSFER_TEST_FROM"))}
		_, err := w.run(Options{Keep: os.Getenv("TRANSFER_TEST_KEEP") != ""})
		wantRefusal(t, err, os.Getenv("TRANSFER_TEST_WANT"))
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	exe, err := os.Executable()
	must(t, err)
	dir, err := os.MkdirTemp("", "transfer-user-") //nolint:usetesting // a test's own directory is closed to others
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	bin := filepath.Join(dir, "test")
	raw, err := os.ReadFile(exe)
	must(t, err, os.WriteFile(bin, raw, 0o755))
	newWorld(t, dir, filepath.Join(dir, "store"), 100)
	for _, test := range []struct{ owner, keep, want string }{
		{"root", "1", "belongs to"},
		{"user", "", "cannot remove from"},
	} {
		store := filepath.Join(dir, "store")
		must(t, os.RemoveAll(store), os.Mkdir(store, 0o755))
		if test.owner == "user" {
			must(t, os.Chown(store, 65534, 65534))
		}
		before := tree(t, dir)
		cmd := exec.CommandContext(t.Context(), bin, "-test.run=^TestWithoutPermission$", "-test.v")
		cmd.Env = append(os.Environ(), "TRANSFER_TEST_AS_USER="+dir, "TRANSFER_TEST_FROM=damocles-1",
			"TRANSFER_TEST_KEEP="+test.keep, "TRANSFER_TEST_WANT="+test.want, "TMPDIR=/tmp")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestWithoutPermission") {
			t.Errorf("%s: %v\n%s", test.want, err, out)
		}
		if tree(t, dir) != before {
			t.Error("something has changed")
		}
	}
}
