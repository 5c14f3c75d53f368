package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRenameRemoveTruncate(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	must(t, os.MkdirAll(filepath.Join(a, "x"), 0o755), os.Mkdir(b, 0o755))
	for _, as := range []error{nil, unix.EINVAL} {
		r := &recorder{fail: 0, as: as}
		if err := r.fs().Rename(filepath.Join(a, "x"), b); !errors.Is(err, fs.ErrExist) {
			t.Errorf("rename over a directory: got %v", err)
		}
		r = &recorder{fail: 0, as: as}
		if err := r.fs().Rename(filepath.Join(a, "x"), filepath.Join(b, "x")); err != nil {
			t.Error(err)
		}
		if want := []string{"rename", "syncdir", "syncdir"}; !slices.Equal(r.steps, want) {
			t.Errorf("steps: got %v, want %v", r.steps, want)
		}
		a, b = b, a
	}
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, []byte("123456"), 0o600))
	if err := (FS{}).Truncate(file, 2); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "12" {
		t.Errorf("got %q", got)
	}
	for _, op := range []string{"truncate", "sync", "remove"} {
		s := FS{Fault: func(o, _ string) error {
			if o == op {
				return fmt.Errorf("%w at %s", errInjected, op)
			}
			return nil
		}}
		if err := errors.Join(s.Truncate(file, 1), s.Remove(file)); !errors.Is(err, errInjected) {
			t.Errorf("%s: got %v", op, err)
		}
		must(t, os.WriteFile(file, []byte("12"), 0o600))
	}
	if err := (FS{}).Remove(file); err != nil {
		t.Error(err)
	}
	if err := (FS{}).Remove(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove twice: got %v", err)
	}
}
