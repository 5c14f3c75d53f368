package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestTempDir(t *testing.T) {
	parent := t.TempDir()
	d, err := FS{}.TempDir(parent, "demo-")
	must(t, err)
	if fi, err := os.Stat(d.Path()); err != nil || fi.Mode().Perm() != 0o700 || filepath.Dir(d.Path()) != parent {
		t.Errorf("%s: %v, %v", d.Path(), fi.Mode(), err)
	}
	// what a link in it points to stays
	outside := filepath.Join(parent, "outside")
	must(t, os.Mkdir(outside, 0o755), os.WriteFile(filepath.Join(outside, "file"), nil, 0o600))
	must(t, os.MkdirAll(filepath.Join(d.Path(), "a/b"), 0o755), os.Symlink(outside, filepath.Join(d.Path(), "a/link")))
	must(t, os.WriteFile(filepath.Join(d.Path(), "a/b/file"), nil, 0o400))
	must(t, d.Remove(), d.Remove())
	if _, err := os.Stat(d.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Error(err)
	}
}

// Only what was made is removed, and nothing that has its name since.
func TestTempDirOfAnother(t *testing.T) {
	parent := t.TempDir()
	for name, replace := range map[string]func(path string) error{
		"a directory": func(path string) error {
			return errors.Join(os.Mkdir(path+".new", 0o755), os.WriteFile(path+".new/file", nil, 0o600), os.Rename(path, path+".old"), os.Rename(path+".new", path))
		},
		"a link": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path+".old/file", nil, 0o600), os.Symlink(path+".old", path))
		},
	} {
		d, err := FS{}.TempDir(parent, "demo-")
		must(t, err, replace(d.Path()))
		if err := d.Remove(); err == nil {
			t.Errorf("%s was removed", name)
		}
		if _, err := os.Stat(filepath.Join(d.Path(), "file")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTempDirFaults(t *testing.T) {
	boom := errors.New("boom")
	failing := ""
	s := FS{Fault: func(op, _ string) error {
		if op == failing {
			return boom
		}
		return nil
	}}
	parent := t.TempDir()
	d, err := s.TempDir(parent, "demo-")
	must(t, err)
	failing = "mkdir"
	if _, err := s.TempDir(parent, "demo-"); !errors.Is(err, boom) {
		t.Errorf("mkdir: got %v", err)
	}
	failing = "remove"
	if err := d.Remove(); !errors.Is(err, boom) {
		t.Errorf("remove: got %v", err)
	}
	if _, err := s.TempDir(filepath.Join(parent, "none"), "demo-"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: got %v", err)
	}
}
