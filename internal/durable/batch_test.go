package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMove(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("a"), []byte("a"), 0o600), os.WriteFile(at("b"), []byte("b"), 0o600), os.Mkdir(at("d"), 0o700))
	r := &recorder{fail: -1}
	must(t, r.fs().Move(at("a"), at("c")), r.fs().Move(at("d"), at("e")))
	if want := []string{"rename", "rename"}; !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	// The second as on NFS.
	for _, as := range []error{nil, unix.EINVAL} {
		r := &recorder{as: as}
		if err := r.fs().Move(at("b"), at("c")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("over a file: got %v", err)
		}
	}
	for _, as := range []error{errInjected, unix.EXDEV} {
		r := &recorder{as: as}
		if err := r.fs().Move(at("c"), at("x")); !errors.Is(err, as) {
			t.Errorf("got %v, want %v", err, as)
		}
	}
	if got, want := listNames(t, dir), []string{"b", "c", "e"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// NFS knows no rename that replaces nothing. There a file gets a second name and
// loses the first; the answer to that may be lost, so that the removal is asked
// for again and says that nothing is there, or ends with an error.
func TestMoveOfWhichAnAnswerIsLost(t *testing.T) {
	for name, answer := range map[string]error{"asked again": nil, "timed out": unix.EIO} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			must(t, os.WriteFile(from, []byte("sector"), 0o600))
			s := FS{Fault: func(op, _ string) error {
				switch op {
				case "rename":
					return unix.EINVAL
				case "remove":
					must(t, os.Remove(from))
					return answer
				}
				return nil
			}}
			if err := s.Move(from, to); err != nil {
				t.Errorf("the file is where it should be: got %v", err)
			}
			if got, err := os.ReadFile(to); string(got) != "sector" {
				t.Errorf("the file is lost: got %q, %v", got, err)
			}
		})
	}
}

// A removal that failed may still be carried out: the new name has to stay.
func TestMoveOfWhichTheRemovalFails(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	must(t, os.WriteFile(from, []byte("sector"), 0o600))
	s := FS{Fault: func(op, _ string) error {
		switch op {
		case "rename":
			return unix.EINVAL
		case "remove":
			return unix.EIO
		}
		return nil
	}}
	if err := s.Move(from, to); !errors.Is(err, unix.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	if got, want := listNames(t, dir), []string{"from", "to"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	must(t, FS{}.Drop(to))
}

// One name that two paths lead to is no second name, and stays.
func TestMoveToItself(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "a", "file")
	must(t, os.Mkdir(filepath.Dir(from), 0o700), os.WriteFile(from, []byte("sector"), 0o600), os.Symlink("a", filepath.Join(dir, "b")))
	for _, as := range []error{nil, unix.EINVAL} {
		r := &recorder{as: as}
		if err := r.fs().Move(from, filepath.Join(dir, "b", "file")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("rename says %v: got %v", as, err)
		}
		if got, err := os.ReadFile(from); string(got) != "sector" {
			t.Errorf("rename says %v: the file is lost: got %q, %v", as, got, err)
		}
	}
}

func TestMoveToAnotherFileSystem(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "durable") //nolint:usetesting // it has to be on another file system
	if err != nil {
		t.Skipf("skipped: no second file system: %v", err)
	}
	t.Cleanup(func() { must(t, os.RemoveAll(shm)) })
	file := filepath.Join(t.TempDir(), "a")
	must(t, os.WriteFile(file, nil, 0o600))
	if err := (FS{}).Move(file, filepath.Join(shm, "a")); !errors.Is(err, unix.EXDEV) {
		t.Errorf("got %v, want EXDEV", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestDrop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	must(t, os.WriteFile(file, nil, 0o600))
	r := &recorder{as: errInjected}
	if err := r.fs().Drop(file); !errors.Is(err, errInjected) {
		t.Errorf("got %v", err)
	}
	r = &recorder{fail: -1}
	must(t, r.fs().Drop(file))
	if want := []string{"remove"}; !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	if err := (FS{}).Drop(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("twice: got %v", err)
	}
}

func TestRemoveFiles(t *testing.T) {
	for _, tt := range []struct {
		name            string
		remove          []string
		left, at        []string // reported, and there in the end
		fails           bool
		missing, inject bool
	}{
		{name: "all", remove: []string{"a", "b", "link", "gone"}},
		{name: "others stay", remove: []string{"a", "link"}, left: []string{"b"}, at: []string{"b"}},
		{name: "none", left: []string{"a", "b", "link"}, at: []string{"a", "b", "link"}},
		{name: "a path", remove: []string{"../outside", "a"}, at: []string{"a", "b", "link"}, fails: true},
		{name: "the parent", remove: []string{".."}, at: []string{"a", "b", "link"}, fails: true},
		{name: "itself", remove: []string{"."}, at: []string{"a", "b", "link"}, fails: true},
		{name: "no directory", remove: []string{"a"}, missing: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "dir")
			must(t, os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(top, "outside"), nil, 0o600))
			for _, name := range []string{"a", "b"} {
				must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			}
			must(t, os.Symlink("../outside", filepath.Join(dir, "link")))
			if tt.missing {
				must(t, os.RemoveAll(dir))
			}
			left, err := FS{}.RemoveFiles(dir, tt.remove)
			if (err != nil) != tt.fails || !slices.Equal(left, tt.left) {
				t.Errorf("got %v, %v, want %v, failure %v", left, err, tt.left, tt.fails)
			}
			got := []string{}
			if _, err := os.Stat(dir); err == nil {
				got = listNames(t, dir)
			}
			if !slices.Equal(got, tt.at) {
				t.Errorf("there: got %v, want %v", got, tt.at)
			}
			if _, err := os.Stat(filepath.Join(top, "outside")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRemoveFilesFailing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	if _, err := (FS{}).RemoveFiles(dir, []string{"sub"}); err == nil {
		t.Error("a directory was removed as a file")
	}
	must(t, os.Remove(filepath.Join(dir, "sub")))
	for fail := range 2 {
		must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
		r := &recorder{fail: fail, as: errInjected}
		if _, err := r.fs().RemoveFiles(dir, []string{"a"}); !errors.Is(err, errInjected) {
			t.Errorf("step %d: got %v", fail, err)
		}
	}
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := (FS{}).RemoveFiles(file, nil); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("of a file: got %v", err)
	}
}

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		dir = nobodyDir(t, 0o755)
	}
	name, remove, err := FS{}.Probe(dir)
	must(t, err)
	other, removeOther, err := FS{}.Probe(dir)
	must(t, err)
	if !strings.HasPrefix(name, ProbePrefix) || name == other {
		t.Errorf("got %s and %s", name, other)
	}
	got, want := ownerAndMode(t, filepath.Join(dir, name)), ownerAndMode(t, dir)
	if owner, _, _ := strings.Cut(want, " "); got != owner+" 644" && os.Geteuid() == 0 {
		t.Errorf("got %s, want %s 644", got, owner)
	}
	must(t, remove(), removeOther())
	for _, op := range []string{"create", "close", "chown"} {
		if op == "chown" && os.Geteuid() != 0 {
			continue
		}
		s := FS{Fault: func(o, _ string) error {
			if o == op {
				return errInjected
			}
			return nil
		}}
		if _, _, err := s.Probe(dir); !errors.Is(err, errInjected) {
			t.Errorf("step %s: got %v", op, err)
		}
	}
	if got := listNames(t, dir); len(got) != 0 {
		t.Errorf("left %v", got)
	}
}

func TestVolume(t *testing.T) {
	dir := t.TempDir()
	r := &recorder{fail: -1}
	v, err := r.fs().OpenVolume(dir)
	must(t, err)
	defer v.Close()
	must(t, os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o600))
	if err := v.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if want := []string{"open", "syncfs"}; !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	for fail := range 2 {
		r := &recorder{fail: fail, as: unix.EIO}
		v, err := r.fs().OpenVolume(dir)
		if err == nil {
			err = v.Sync()
			v.Close()
		}
		if !errors.Is(err, unix.EIO) {
			t.Errorf("step %d: got %v", fail, err)
		}
	}
}

func TestSyncFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	must(t, os.WriteFile(path, []byte("a"), 0o400), os.Symlink("a", path+"link"))
	r := &recorder{fail: -1}
	must(t, r.fs().SyncFile(path))
	if want := []string{"open", "sync"}; !slices.Equal(r.steps, want) {
		t.Errorf("steps: got %v, want %v", r.steps, want)
	}
	for fail := range 2 {
		r := &recorder{fail: fail, as: unix.EIO}
		if err := r.fs().SyncFile(path); !errors.Is(err, unix.EIO) {
			t.Errorf("step %d: got %v", fail, err)
		}
	}
	if err := (FS{}).SyncFile(path + "link"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link: got %v", err)
	}
}

func TestSyncfsReports(t *testing.T) {
	for release, want := range map[string]bool{
		"5.8.0": true, "5.15.0-91-generic": true, "6.1": true, "5.8-rc1": true, "10.0.1": true,
		"5.7.19": false, "5.4.0-150-generic": false, "4.18.0-372.el8": false, "": false, "x.y": false, "5": false,
	} {
		if got := syncfsReports(release); got != want {
			t.Errorf("%q: got %v, want %v", release, got, want)
		}
	}
}

// DropIn removes a link and not what it points to, and goes nowhere through one.
func TestDropIn(t *testing.T) {
	dir := t.TempDir()
	store, outside := filepath.Join(dir, "store"), filepath.Join(dir, "outside")
	for _, d := range []string{store, outside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "file"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"dir", "link"} {
		if err := os.Symlink(outside, filepath.Join(store, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(store)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var steps []string
	s := FS{Fault: func(op, path string) error { steps = append(steps, op+" "+path); return nil }}
	for path, ok := range map[string]bool{"dir/file": false, "../outside/file": false, outside + "/file": false, "link": true, "file": true} {
		if err := s.DropIn(root, path); (err == nil) != ok {
			t.Errorf("%s: %v, want ok %t", path, err, ok)
		}
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(store); err != nil || len(left) != 1 || len(steps) != 5 {
		t.Errorf("left are %v (%v), after %v", left, err, steps)
	}
}
