package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var errInjected = errors.New("injected")

// recorder notes the steps, and fails the one at index fail (-1: none).
type recorder struct {
	steps []string
	fail  int
	as    error
}

func (r *recorder) fs() FS {
	return FS{Fault: func(op, _ string) error {
		r.steps = append(r.steps, op)
		if len(r.steps)-1 == r.fail {
			return r.as
		}
		return nil
	}}
}

func listNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// must ends the test at the first error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func writeNew(s FS, path, content string) error {
	f, err := s.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := io.WriteString(f, content); err != nil {
		return err
	}
	return f.Commit()
}

func TestCreateStepsInOrder(t *testing.T) {
	dir := t.TempDir()
	r := &recorder{fail: -1}
	if err := writeNew(r.fs(), filepath.Join(dir, "a"), "content"); err != nil {
		t.Fatal(err)
	}
	want := []string{"create", "write", "sync", "close", "rename", "syncdir"}
	if !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "a")); string(got) != "content" {
		t.Errorf("content: got %q", got)
	}
	if got := listNames(t, dir); !slices.Equal(got, []string{"a"}) {
		t.Errorf("directory: got %v", got)
	}
}

// On NFS there is no rename that refuses to replace.
func TestCreateWithoutRenameNoReplace(t *testing.T) {
	for _, as := range []error{unix.EINVAL, unix.ENOSYS} {
		dir := t.TempDir()
		r := &recorder{fail: 4, as: as}
		if err := writeNew(r.fs(), filepath.Join(dir, "a"), "content"); err != nil {
			t.Fatal(err)
		}
		want := []string{"create", "write", "sync", "close", "rename", "link", "remove", "syncdir"}
		if !slices.Equal(r.steps, want) {
			t.Errorf("steps: got %v, want %v", r.steps, want)
		}
		if got := listNames(t, dir); !slices.Equal(got, []string{"a"}) {
			t.Errorf("directory: got %v", got)
		}
	}
}

func TestCreateEachStepFailing(t *testing.T) {
	for _, link := range []bool{false, true} {
		for fail := 0; ; fail++ {
			dir := t.TempDir()
			r := &recorder{fail: fail, as: errInjected}
			s := r.fs()
			if link {
				inner := s.Fault
				s.Fault = func(op, path string) error {
					if err := inner(op, path); err != nil || op != "rename" {
						return err
					}
					return unix.EINVAL
				}
			}
			err := writeNew(s, filepath.Join(dir, "a"), "content")
			if fail >= len(r.steps) {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			if !errors.Is(err, errInjected) {
				t.Errorf("step %d (%s): got error %v", fail, r.steps[fail], err)
			}
			if got := listNames(t, dir); len(got) != 0 {
				t.Errorf("step %d (%s) left %v", fail, r.steps[fail], got)
			}
		}
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	early, err := FS{}.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Discard()
	if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := early.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("commit: got %v, want ErrExist", err)
	}
	if _, err := (FS{}).Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create: got %v, want ErrExist", err)
	}
	// The same where links have to do.
	r := &recorder{fail: 0, as: unix.EINVAL}
	other := filepath.Join(filepath.Dir(path), "b")
	must(t, os.WriteFile(other, []byte("b"), 0o600))
	if err := r.fs().Rename(other, path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("rename: got %v, want ErrExist", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "theirs" {
		t.Errorf("content: got %q", got)
	}
}

func TestCommitFindsMissingBytes(t *testing.T) {
	dir := t.TempDir()
	f, err := FS{}.Create(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(f.tmp, 3); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err == nil || !strings.Contains(err.Error(), "wrote 5 bytes, the disk has 3") {
		t.Errorf("got %v", err)
	}
	if got := listNames(t, dir); len(got) != 0 {
		t.Errorf("left %v", got)
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second commit: got %v", err)
	}
}

func TestCreateInAndOpen(t *testing.T) {
	dir := t.TempDir()
	tmp, dst := filepath.Join(dir, "tmp"), filepath.Join(dir, "dst")
	must(t, os.Mkdir(tmp, 0o755), os.Mkdir(dst, 0o750))
	f, err := FS{}.CreateIn(tmp, filepath.Join(dst, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard()
	if _, err := f.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := listNames(t, dst); len(got) != 0 {
		t.Errorf("before commit: got %v", got)
	}
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(r); string(got) != "x" {
		t.Errorf("read back %q", got)
	}
	must(t, r.Close(), f.Commit())
	if got := listNames(t, tmp); len(got) != 0 {
		t.Errorf("left %v", got)
	}
	fi, err := os.Stat(filepath.Join(dst, "a"))
	if err != nil || fi.Mode() != 0o640 {
		t.Errorf("mode: got %v, %v, want 0640", fi.Mode(), err)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config")
	if err := (FS{}).Replace(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	must(t, os.Chmod(path, 0o600), os.Symlink("config", link))
	r := &recorder{fail: -1}
	if err := r.fs().Replace(link, []byte("two")); err != nil {
		t.Fatal(err)
	}
	want := []string{"create", "write", "sync", "close", "rename", "syncdir"}
	if !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	fi, _ := os.Lstat(path)
	if got, _ := os.ReadFile(path); string(got) != "two" || fi.Mode() != 0o600 {
		t.Errorf("got %q, mode %v", got, fi.Mode())
	}
	if fi, _ := os.Lstat(link); fi.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	for fail := range want {
		r := &recorder{fail: fail, as: errInjected}
		if err := r.fs().Replace(path, []byte("three")); !errors.Is(err, errInjected) {
			t.Errorf("step %s: got %v", want[fail], err)
		}
		if got := listNames(t, dir); !slices.Equal(got, []string{"config", "link"}) {
			t.Errorf("step %s left %v", want[fail], got)
		}
		got, _ := os.ReadFile(path)
		if old := want[fail] != "syncdir"; old != (string(got) == "two") {
			t.Errorf("step %s: content %q", want[fail], got)
		}
	}
}
