package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"damocles-manager/internal/fault"
)

const nobody = 65534

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: giving files away can only be tried as root")
	}
}

// nobodyDir is a directory that belongs to another user, who can reach it.
func nobodyDir(t *testing.T, mode fs.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, mode), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// ownerAndMode reads "uid:gid mode".
func ownerAndMode(t *testing.T, path string) string {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := fi.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, fi.Mode().Perm())
}

func TestFilesGetTheOwnerOfTheirDirectory(t *testing.T) {
	needRoot(t)
	dir := nobodyDir(t, 0o750)
	at := func(name string) string { return filepath.Join(dir, name) }
	r := &recorder{fail: -1}
	err := errors.Join(
		writeNew(r.fs(), at("file"), "x"),
		FS{}.Replace(at("config"), []byte("x")),
		FS{}.MkdirAll(at("new/sub"), 0o700),
	)
	if err != nil {
		t.Fatal(err)
	}
	j, err := FS{}.CreateJournal(at("new/j.journal"), Header{Command: "import", Started: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	must(t, j.Close())
	want := []string{"create", "chown", "write", "sync", "close", "rename", "syncdir"}
	if !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	for name, want := range map[string]string{
		"file": "640", "config": "640", "new": "700", "new/sub": "700", "new/j.journal": "600",
	} {
		want = fmt.Sprintf("%d:%d %s", nobody, nobody, want)
		if got := ownerAndMode(t, at(name)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// A root that may not give files away (NFS with root_squash) must find out
// before anything is there.
func TestChownFailing(t *testing.T) {
	needRoot(t)
	dir := nobodyDir(t, 0o755)
	s := FS{Fault: func(op, _ string) error {
		if op == "chown" {
			return syscall.EPERM
		}
		return nil
	}}
	for name, err := range map[string]error{
		"create":  writeNew(s, filepath.Join(dir, "a"), "x"),
		"replace": s.Replace(filepath.Join(dir, "a"), []byte("x")),
		"mkdir":   s.MkdirAll(filepath.Join(dir, "a/b"), 0o755),
	} {
		if fault.KindOf(err) != fault.Refused || !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got := listNames(t, dir); len(got) != 0 {
		t.Errorf("left %v", got)
	}
}

func TestAdopt(t *testing.T) {
	needRoot(t)
	dir := nobodyDir(t, 0o700)
	outside := filepath.Join(t.TempDir(), "outside")
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, path := range []string{at("ours"), at("theirs"), outside} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must(t, os.Mkdir(at("sub"), 0o755))
	must(t, os.WriteFile(at("sub/deep"), nil, 0o644))
	must(t, os.Chown(at("theirs"), 1234, 1234))
	must(t, os.Symlink(outside, at("symlink")))
	must(t, os.Link(outside, at("hardlink")))
	before := ownerAndMode(t, at("symlink"))
	if err := (FS{}).Adopt(dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		at("ours"): "65534:65534 600", at("sub"): "65534:65534 755", at("theirs"): "1234:1234 644",
		at("sub/deep"): "0:0 644", at("symlink"): before, outside: "0:0 644",
	} {
		if got := ownerAndMode(t, path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	must(t, os.WriteFile(at("one"), nil, 0o644))
	if err := (FS{}).AdoptFile(at("one")); err != nil || ownerAndMode(t, at("one")) != "65534:65534 600" {
		t.Errorf("one file: %v, %s", err, ownerAndMode(t, at("one")))
	}
	if err := (FS{}).AdoptFile(at("missing")); err != nil {
		t.Errorf("a file that is gone: %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	r := &recorder{fail: -1}
	if err := r.fs().MkdirAll(filepath.Join(dir, "a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if want := []string{"mkdir", "syncdir", "mkdir", "syncdir"}; !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	if err := r.fs().MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil || len(r.steps) != 4 {
		t.Errorf("again: %v, %v", err, r.steps)
	}
	if fi, _ := os.Stat(filepath.Join(dir, "a/b")); fi.Mode().Perm() != 0o700 {
		t.Errorf("mode: got %v", fi.Mode())
	}
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	if err := r.fs().MkdirAll(filepath.Join(dir, "file"), 0o755); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("over a file: got %v", err)
	}
}

func TestCheckOwnerAsAnotherUser(t *testing.T) {
	if dir := os.Getenv("DURABLE_CHECK_OWNER"); dir != "" {
		fmt.Printf("kind %d: %v\n", fault.KindOf(CheckOwner(dir)), CheckOwner(dir))
		fmt.Printf("create: %v\n", writeNew(FS{}, filepath.Join(dir, "child"), "x"))
		fmt.Printf("replace: %v\n", FS{}.Replace(filepath.Join(dir, "config"), []byte("x")))
		return
	}
	needRoot(t)
	if err := CheckOwner(nobodyDir(t, 0o755)); err != nil {
		t.Errorf("root in another's directory: got %v", err)
	}
	own, shared := nobodyDir(t, 0o755), nobodyDir(t, 0o777)
	must(t, os.Chown(shared, 1234, 1234))
	must(t, os.WriteFile(filepath.Join(shared, "config"), []byte("root's"), 0o644))
	binary := testBinaryFor(t)
	run := func(dir string) string {
		cmd := exec.Command(binary, "-test.run=^TestCheckOwnerAsAnotherUser$")
		cmd.Env = append(os.Environ(), "DURABLE_CHECK_OWNER="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got := run(filepath.Join(own, "missing")); !strings.Contains(got, "kind 0: <nil>") {
		t.Errorf("missing in own directory: got %s", got)
	}
	if got := run(own); !strings.Contains(got, "create: <nil>\nreplace: <nil>") {
		t.Errorf("own directory: got %s", got)
	}
	got := run(shared)
	want := fmt.Sprintf("kind %d: %s belongs to uid 1234, and this runs as", fault.Refused, shared)
	if !strings.Contains(got, want) || !strings.Contains(got, "config belongs to user root (uid 0)") {
		t.Errorf("another's directory: got %s, want %s", got, want)
	}
}

// testBinaryFor copies this test's binary to where another user can run it.
func testBinaryFor(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(nobodyDir(t, 0o755), "test")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
