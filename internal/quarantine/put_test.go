package quarantine

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// A sector that is split over two stores goes into an entry in each, and comes
// back as it was.
func TestPutAndRestore(t *testing.T) {
	w := newWorld(t)
	before := tree(t, w.dir)
	w.put()
	if here := w.invariant("put"); here != 4 {
		t.Errorf("%d objects are in the quarantine, want 4", here)
	}
	for s, want := range map[store.Store][]sector.FileKind{
		w.a: {sector.Sealed, sector.Update, sector.UpdateCache}, w.b: {sector.Cache},
	} {
		e := w.only(s)
		if e.Err != nil || e.Sector != id5 || !e.Time.Equal(start) || e.Why != "RemoveSector" || e.Who == "" || e.Size() == 0 {
			t.Errorf("the entry is %+v", e)
		}
		if len(e.Objects) != len(want) {
			t.Fatalf("it has %d objects, want %v", len(e.Objects), want)
		}
		for i, o := range e.Objects {
			if o.Kind != want[i] || !o.Here || o.Back || o.Wrong != "" {
				t.Errorf("object %d is %+v, want %s", i, o, want[i])
			}
		}
	}
	must(t, w.restoreAll(t.Context(), w.q(durable.FS{})))
	must(t, os.Remove(filepath.Join(w.a.Dir, DirName)), os.Remove(filepath.Join(w.b.Dir, DirName))) // empty
	if tree(t, w.dir) != before {
		t.Error("it did not come back as it was")
	}
}

// The manifest says for people, too, where the files belong.
func TestManifestOnDisk(t *testing.T) {
	w := newWorld(t)
	w.put()
	raw, err := os.ReadFile(filepath.Join(w.a.Dir, DirName, "s-t01000-5-20261122T100000.000000007Z", "manifest.json"))
	must(t, err)
	var doc struct {
		Version           int
		Sector, Why, Time string
		Objects           []struct {
			Kind, Path string
			Files      []struct {
				Name string
				Size int64
			}
		}
	}
	must(t, json.Unmarshal(raw, &doc))
	if doc.Version != 1 || doc.Sector != "s-t01000-5" || doc.Time != "2026-11-22T10:00:00.000000007Z" || len(doc.Objects) != 3 {
		t.Fatalf("got %s", raw)
	}
	if o := doc.Objects[2]; o.Kind != "update-cache" || o.Path != "update-cache/s-t01000-5" || len(o.Files) != 3 || o.Files[0].Name != "p_aux" {
		t.Errorf("got %+v", o)
	}
}

// Neither we nor lotus-miner or damocles, which look into the type directories
// alone, see a sector in the quarantine.
func TestNotTakenForSectorFiles(t *testing.T) {
	w := newWorld(t)
	w.put()
	for _, s := range w.stores() {
		census, err := s.Census(t.Context())
		must(t, err)
		if len(census.Sectors) != 1 || census.Sectors[1000] != 1 {
			t.Errorf("the census of %s is %v, want sector 50 alone", s.Dir, census.Sectors)
		}
		must(t, s.BadNames(t.Context(), func(b store.BadName) error { t.Errorf("a bad name: %s", b); return nil }))
		for _, kind := range sector.FileKinds() {
			must(t, s.Each(t.Context(), kind, func(e store.Entry) error {
				if e.ID != other {
					t.Errorf("%s lists %+v", kind, e)
				}
				return nil
			}))
			if _, err := (store.Check{}).Replica(s, kind, id5); err == nil {
				t.Errorf("%s still has a replica", kind)
			}
		}
	}
	// also where somebody looks at all names, as find does
	must(t, filepath.WalkDir(filepath.Join(w.a.Dir, DirName), func(path string, _ fs.DirEntry, err error) error {
		if _, ok := sector.ParseFileName(filepath.Base(path)); ok {
			t.Errorf("%s has the name of a sector's file", path)
		}
		return err
	}))
}

// What is not there is passed over, a second removal is an entry of its own, and
// nothing at all is nothing to do.
func TestPutAgain(t *testing.T) {
	w := newWorld(t)
	w.put()
	w.put()
	if n := len(w.entries()); n != 2 {
		t.Fatalf("there are %d entries, want 2", n)
	}
	w.make(w.a, sector.Sealed, id5)
	w.put() // in the same nanosecond
	w.make(w.a, sector.Sealed, id5)
	w.now = w.now.Add(time.Hour)
	w.put()
	names := map[string]bool{}
	for _, e := range w.entries() {
		names[e.Name] = e.Err == nil && e.Size() > 0
	}
	for _, want := range []string{"20261122T100000.000000007Z", "20261122T100000.000000008Z", "20261122T110000.000000007Z"} {
		if !names["s-t01000-5-"+want] {
			t.Errorf("there is no entry of %s: %v", want, names)
		}
	}
}

// What an interrupted run has begun is gone on with, and counts as new.
func TestPutFinishes(t *testing.T) {
	w := newWorld(t)
	w.put()
	e := w.only(w.a)
	must(t, os.Rename(e.path(sector.Update), e.origin(sector.Update)))
	w.now = w.now.Add(240 * time.Hour)
	w.put()
	e = w.only(w.a)
	if w.invariant("put") != 4 || !e.Time.Equal(w.now) || e.Why != "RemoveSector" {
		t.Errorf("got %+v", e)
	}
}

// An entry of which a purge began is not added to: the purge would take it.
func TestPutKeepsOutOfPurge(t *testing.T) {
	w := newWorld(t)
	w.put()
	e := w.only(w.a)
	must(t, os.Rename(e.path(sector.Update), e.origin(sector.Update)))
	e.Purging = w.now
	must(t, w.q(durable.FS{}).rewrite(&e))
	w.put()
	if n := len(w.entries()); n != 3 {
		t.Errorf("there are %d entries, want 3", n)
	}
	if _, err := os.Lstat(e.path(sector.Update)); err == nil {
		t.Error("it was put into the entry that is being purged")
	}
}

func TestPutRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *world)
		says   string
	}{
		{"a store that is not ours", func(w *world) {
			w.files = append(w.files, File{store.Store{Dir: w.dir}, sector.Sealed})
		}, "none of the stores"},
		{"a replica that is a link", func(w *world) { relink(w, sector.Sealed) }, "no regular file"},
		{"a replica that is a directory", func(w *world) {
			path := w.a.Path(sector.Sealed, id5)
			must(w.t, os.Remove(path), os.Mkdir(path, 0o755))
		}, "no regular file"},
		{"a cache directory that is a link", func(w *world) { relink(w, sector.UpdateCache) }, "no directory"},
		{"a link in a cache directory", func(w *world) {
			must(w.t, os.Symlink("/etc/passwd", filepath.Join(w.b.Path(sector.Cache, id5), "x")))
		}, "no regular file"},
		{"a directory in a cache directory", func(w *world) {
			must(w.t, os.Mkdir(filepath.Join(w.b.Path(sector.Cache, id5), "x"), 0o755))
		}, "no regular file"},
		{"a name that is no text", func(w *world) {
			must(w.t, os.WriteFile(filepath.Join(w.b.Path(sector.Cache, id5), "p\xff"), nil, 0o644))
		}, "no manifest can hold"},
		{"too many files", func(w *world) {
			for i := range 3000 {
				name := fmt.Sprintf("%0200d", i)
				must(w.t, os.WriteFile(filepath.Join(w.b.Path(sector.Cache, id5), name), nil, 0o644))
			}
		}, "too many for a manifest"},
		{"a quarantine that is a link", func(w *world) {
			must(w.t, os.Symlink(w.a.Dir, filepath.Join(w.b.Dir, DirName)))
		}, "symbolic link"},
		{"a quarantine that is a file", func(w *world) {
			must(w.t, os.WriteFile(filepath.Join(w.b.Dir, DirName), nil, 0o644))
		}, "no directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.change(w)
			before := tree(t, w.dir)
			wantRefusal(t, w.q(durable.FS{}).Put(t.Context(), id5, w.files, "test"), test.says)
			if tree(t, w.dir) != before {
				t.Error("something has changed")
			}
		})
	}
	w := newWorld(t)
	q := w.q(durable.FS{})
	wantError(t, q.Put(t.Context(), id5, []File{{w.a, sector.Sealed | sector.Cache}}, ""), "no kind of file")
	w.b.Dir = filepath.Join(w.dir, "gone")
	wantError(t, w.q(durable.FS{}).Put(t.Context(), id5, []File{{w.b, sector.Cache}}, ""), "there is no directory")
}

func relink(w *world, kind sector.FileKind) {
	path := w.a.Path(kind, id5)
	must(w.t, os.Rename(path, filepath.Join(w.dir, "elsewhere")), os.Symlink(filepath.Join(w.dir, "elsewhere"), path))
}

// On another file system nothing is moved, copied or deleted, whether that shows
// before the rename or by it: at the first object, a later one, or in the second
// store.
func TestPutAcrossFileSystems(t *testing.T) {
	for _, path := range []string{"/a/quarantine/*/sealed", "/a/quarantine/*/update-cache", "/b/quarantine/*/cache"} {
		w := newWorld(t)
		refused := false
		err := w.q(durable.FS{Fault: func(op, at string) error {
			if match, _ := filepath.Match(w.dir+path, at); match && op == "rename" {
				refused = true
				return unix.EXDEV
			}
			return nil
		}}).Put(t.Context(), id5, w.files, "test")
		wantRefusal(t, err, "another file system")
		if !refused || w.invariant(path) != 0 || len(w.entries()) != 0 {
			t.Errorf("%s: something stayed in the quarantine: %+v", path, w.entries())
		}
	}
}

func mount(t *testing.T, source, dir, kind string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, dir, kind, flags, ""); err != nil {
		t.Skipf("mounting is not allowed: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// The same with real ones: the type directory is a mount of its own, with a
// device number of its own and, as a bind mount, without.
func TestPutAcrossMounts(t *testing.T) {
	for _, bind := range []bool{false, true} {
		w := newWorld(t)
		if bind {
			mount(t, w.a.TypeDir(sector.Update), w.a.TypeDir(sector.Update), "", unix.MS_BIND)
		} else {
			mount(t, "quarantine", w.a.TypeDir(sector.Update), "tmpfs", 0)
			w.make(w.a, sector.Update, id5)
			w.make(w.a, sector.Update, other)
		}
		wantRefusal(t, w.q(durable.FS{}).Put(t.Context(), id5, w.files, "test"), "on another file system")
		if w.invariant("put") != 0 || len(w.entries()) != 0 {
			t.Errorf("bind %t: something stayed in the quarantine", bind)
		}
	}
}

func TestPutReadOnly(t *testing.T) {
	w := newWorld(t)
	mount(t, w.b.Dir, w.b.Dir, "", unix.MS_BIND)
	mount(t, w.b.Dir, w.b.Dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY)
	wantRefusal(t, w.q(durable.FS{}).Put(t.Context(), id5, w.files, "test"), "read-only file system")
	if w.invariant("put") != 0 || len(w.entries()) != 0 {
		t.Error("the other store was touched")
	}
}

// A store under two paths is one store: its files are not taken for missing.
func TestPutStoreUnderTwoPaths(t *testing.T) {
	w := newWorld(t)
	alias := store.Store{Name: "alias", Dir: filepath.Join(w.dir, "alias")}
	must(t, os.Symlink(w.a.Dir, alias.Dir))
	q := New(durable.FS{}, []store.Store{w.a, w.b, alias}, nil, nil)
	w.files[2].Store = alias
	must(t, q.Put(t.Context(), id5, w.files, "test"))
	if n := len(w.only(w.a).Objects); n != 3 {
		t.Errorf("the entry has %d objects, want 3", n)
	}
}

// Whoever holds the lock is waited for, until the caller gives up.
func TestLock(t *testing.T) {
	w := newWorld(t)
	must(t, os.Mkdir(filepath.Join(w.a.Dir, DirName), 0o755))
	unlock, err := lock(t.Context(), w.a)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockWait)
	defer cancel()
	wantError(t, w.q(durable.FS{}).Put(ctx, id5, w.files, "test"), "wait for the lock")
	if w.invariant("lock") != 0 {
		t.Error("something was moved")
	}
	unlock()
	w.put()
}

// The directories and the manifest belong to whom the store belongs to; here only
// the modes can be looked at.
func TestModes(t *testing.T) {
	w := newWorld(t)
	w.put()
	e := w.only(w.a)
	var got []string
	for _, path := range []string{filepath.Join(w.a.Dir, DirName), e.Dir(), e.manifest()} {
		info, err := os.Stat(path)
		must(t, err)
		got = append(got, info.Mode().String())
	}
	if want := "drwxr-xr-x drwxr-xr-x -rw-r--r--"; strings.Join(got, " ") != want {
		t.Errorf("the modes are %v, want %s", got, want)
	}
}

// What root makes in a store belongs to whom the store belongs to.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	const nobody = 65534
	w := newWorld(t)
	must(t, os.Chown(w.a.Dir, nobody, nobody))
	w.put()
	e := w.only(w.a)
	for _, path := range []string{filepath.Join(w.a.Dir, DirName), e.Dir(), e.manifest()} {
		info, err := os.Stat(path)
		must(t, err)
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != nobody || st.Gid != nobody {
			t.Errorf("%s belongs to %d:%d", path, st.Uid, st.Gid)
		}
	}
}

// Many at once, also of one sector: each object is moved once.
func TestPutAtOnce(t *testing.T) {
	w := newWorld(t)
	q := w.q(durable.FS{})
	var group sync.WaitGroup
	for i := range 32 {
		id := sector.ID{Miner: 1000, Number: abi.SectorNumber(5 + i%8)}
		if i < 8 && i > 0 {
			for _, f := range w.files {
				w.make(f.Store, f.Kind, id)
			}
		}
		group.Go(func() {
			if err := q.Put(t.Context(), id, w.files, "test"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(w.entries()); n != 16 || w.invariant("put") != 4 {
		t.Errorf("%d entries", n)
	}
}
