package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// object returns one of the objects of a decoded manifest.
func object(doc map[string]any, kind string) map[string]any {
	for _, o := range doc["objects"].([]any) {
		if o.(map[string]any)["kind"] == kind {
			return o.(map[string]any)
		}
	}
	return nil
}

func member(doc map[string]any, i int) map[string]any {
	return object(doc, "update-cache")["files"].([]any)[i].(map[string]any)
}

// Whoever can write to a store can write manifests. None of them makes a restore
// or a purge touch anything.
func TestHostileManifest(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *world, doc map[string]any)
		says   string
	}{
		{"out of the store", func(_ *world, doc map[string]any) { object(doc, "sealed")["path"] = "../../victim" }, "belongs to"},
		{"out of the kind", func(_ *world, doc map[string]any) { object(doc, "sealed")["path"] = "sealed/../victim" }, "belongs to"},
		{"absolute", func(w *world, doc map[string]any) { object(doc, "sealed")["path"] = w.dir + "/victim" }, "belongs to"},
		{"another store", func(w *world, doc map[string]any) {
			object(doc, "sealed")["path"] = "../b/sealed/s-t01000-5"
		}, "belongs to"},
		{"another store, absolute", func(w *world, doc map[string]any) {
			object(doc, "sealed")["path"] = w.b.Path(sector.Sealed, id5)
		}, "belongs to"},
		{"another sector's place", func(_ *world, doc map[string]any) { object(doc, "sealed")["path"] = "sealed/s-t01000-50" }, "belongs to"},
		{"another kind's place", func(_ *world, doc map[string]any) { object(doc, "sealed")["path"] = "unsealed/s-t01000-5" }, "belongs to"},
		{"another sector", func(_ *world, doc map[string]any) { doc["sector"] = "s-t01000-50" }, "its name says"},
		{"no kind", func(_ *world, doc map[string]any) { object(doc, "sealed")["kind"] = "../sealed" }, "unknown kind"},
		{"a kind twice", func(_ *world, doc map[string]any) {
			doc["objects"] = append(doc["objects"].([]any), object(doc, "sealed"))
		}, "twice"},
		{"a member above", func(_ *world, doc map[string]any) { member(doc, 0)["name"] = "../../../victim" }, "not the name of a file"},
		{"a member that is absolute", func(w *world, doc map[string]any) { member(doc, 0)["name"] = w.dir + "/victim" }, "not the name of a file"},
		{"a member ..", func(_ *world, doc map[string]any) { member(doc, 0)["name"] = ".." }, "not the name of a file"},
		{"a member without a name", func(_ *world, doc map[string]any) { member(doc, 0)["name"] = "" }, "not the name of a file"},
		{"a member with a zero", func(_ *world, doc map[string]any) { member(doc, 0)["name"] = "p\x00aux" }, "not the name of a file"},
		{"a member twice", func(_ *world, doc map[string]any) { member(doc, 0)["name"] = member(doc, 1)["name"] }, "twice"},
		{"a negative size", func(_ *world, doc map[string]any) { member(doc, 0)["size"] = -1 }, "the size -1"},
		{"a replica with a name", func(_ *world, doc map[string]any) {
			object(doc, "sealed")["files"] = []any{map[string]any{"name": "../../victim", "size": 1}}
		}, "other files in sealed"},
		{"a replica with members", func(_ *world, doc map[string]any) {
			object(doc, "sealed")["files"] = object(doc, "update-cache")["files"]
		}, "other files in sealed"},
		{"a later version", func(_ *world, doc map[string]any) { doc["version"] = 2 }, "version 2"},
		{"no version", func(_ *world, doc map[string]any) { delete(doc, "version") }, "version 0"},
		{"a time that no manifest can have", func(_ *world, doc map[string]any) { doc["time"] = "9999-12-31T23:59:59-01:00" }, "when it was made"},
		{"no time", func(_ *world, doc map[string]any) { delete(doc, "time") }, "when it was made"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			must(t, os.WriteFile(filepath.Join(w.dir, "victim"), []byte("v"), 0o644))
			w.put()
			e := w.only(w.a)
			raw, err := os.ReadFile(e.manifest())
			must(t, err)
			var doc map[string]any
			must(t, json.Unmarshal(raw, &doc))
			test.change(w, doc)
			raw, err = json.Marshal(doc)
			must(t, err, os.WriteFile(e.manifest(), raw, 0o644))
			noHarm(t, w, test.says)
		})
	}
}

// noHarm tries everything with the entry of store a, as it is listed and as it
// was before, and checks that nothing has changed.
func noHarm(t *testing.T, w *world, says string) {
	t.Helper()
	before := tree(t, w.dir)
	e := w.only(w.a)
	wantError(t, e.Err, says)
	// somebody who has listed it before the manifest was changed
	stale := e
	stale.Err = nil
	for _, e := range []Entry{e, stale} {
		_, err := w.q(durable.FS{}).Restore(t.Context(), e)
		wantError(t, err, says)
		freed, _, err := w.q(durable.FS{}).Purge(t.Context(), e)
		wantError(t, err, says)
		if freed != 0 {
			t.Errorf("%d bytes were freed", freed)
		}
	}
	if tree(t, w.dir) != before {
		t.Error("something has changed")
	}
}

func TestBrokenEntry(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *world, e Entry)
		says   string
	}{
		{"no JSON", func(w *world, e Entry) { must(w.t, os.WriteFile(e.manifest(), []byte("{"), 0o644)) }, "not what we write"},
		{"an empty manifest", func(w *world, e Entry) { must(w.t, os.WriteFile(e.manifest(), nil, 0o644)) }, "not what we write"},
		{"two documents", func(w *world, e Entry) {
			raw, err := os.ReadFile(e.manifest())
			must(w.t, err, os.WriteFile(e.manifest(), append(raw, raw...), 0o644))
		}, "behind its end"},
		{"a huge manifest", func(w *world, e Entry) { must(w.t, os.Truncate(e.manifest(), maxManifest+1)) }, "bytes"},
		{"no manifest", func(w *world, e Entry) { must(w.t, os.Remove(e.manifest())) }, "no manifest"},
		{"a manifest that is a link", func(w *world, e Entry) {
			at := filepath.Join(w.dir, "m")
			must(w.t, os.Rename(e.manifest(), at), os.Symlink(at, e.manifest()))
		}, "symbolic links"},
		{"a manifest that is a pipe", func(w *world, e Entry) {
			must(w.t, os.Remove(e.manifest()), unix.Mkfifo(e.manifest(), 0o644))
		}, "no regular file"},
		{"an entry that is a link", func(w *world, e Entry) {
			at := filepath.Join(w.dir, "e")
			must(w.t, os.Rename(e.Dir(), at), os.Symlink(at, e.Dir()))
		}, "no directory"},
		{"an entry of another name", func(w *world, e Entry) {
			must(w.t, os.Rename(e.Dir(), filepath.Join(w.a.Dir, DirName, "junk")))
		}, "not put here by this program"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.put()
			test.change(w, w.only(w.a))
			noHarm(t, w, test.says)
			if b := w.only(w.b); b.Err != nil {
				t.Errorf("it stops the others: %v", b.Err)
			}
		})
	}
}

// A link in the place of what was quarantined is not followed, whatever it points
// to has the right names and sizes.
func TestPurgeFollowsNoLink(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *world, e Entry)
	}{
		{"a cache directory", func(w *world, e Entry) {
			must(w.t, os.RemoveAll(e.path(sector.UpdateCache)),
				os.Symlink(w.a.Path(sector.UpdateCache, other), e.path(sector.UpdateCache)))
		}},
		{"a replica", func(w *world, e Entry) {
			must(w.t, os.Remove(e.path(sector.Sealed)), os.Symlink(w.a.Path(sector.Sealed, other), e.path(sector.Sealed)))
		}},
		{"a member", func(w *world, e Entry) {
			path := filepath.Join(e.path(sector.UpdateCache), "p_aux")
			must(w.t, os.Remove(path), os.Symlink(filepath.Join(w.a.Path(sector.UpdateCache, other), "p_aux"), path))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.put()
			e := w.only(w.a)
			test.change(w, e)
			before := w.hashes(func(f File) string { return f.Store.Path(f.Kind, other) })
			_, left, err := w.q(durable.FS{}).Purge(t.Context(), w.only(w.a))
			must(t, err)
			if len(left) != 1 {
				t.Errorf("left are %v, want the link", left)
			}
			for key, was := range w.hashes(func(f File) string { return f.Store.Path(f.Kind, other) }) {
				if before[key] != was {
					t.Errorf("%s of the other sector has changed", key)
				}
			}
			if len(before) != 4 || w.only(w.a).Err != nil {
				t.Error("the entry cannot be read any more")
			}
		})
	}
}

// A directory that becomes a link between two steps of a purge: what the link
// leads to has the right names and sizes, and stays.
func TestPurgeWhileLinksAppear(t *testing.T) {
	for name, swap := range map[string]func(w *world, e Entry) error{
		"the cache directory": func(w *world, e Entry) error {
			if err := os.Rename(e.path(sector.UpdateCache), filepath.Join(w.dir, "aside")); err != nil {
				return err
			}
			to, _ := filepath.Rel(e.Dir(), w.a.Path(sector.UpdateCache, other))
			return os.Symlink(to, e.path(sector.UpdateCache))
		},
		"the entry": func(w *world, e Entry) error {
			if err := os.Rename(e.Dir(), filepath.Join(w.dir, "aside")); err != nil {
				return err
			}
			fake := filepath.Join(w.a.Dir, "fake")
			if err := os.Mkdir(fake, 0o755); err != nil {
				return err
			}
			for _, k := range []sector.FileKind{sector.UpdateCache, sector.Sealed} {
				to, _ := filepath.Rel(fake, w.a.Path(k, other))
				if err := os.Symlink(to, filepath.Join(fake, k.String())); err != nil {
					return err
				}
			}
			return os.Symlink("../fake", e.Dir())
		},
	} {
		t.Run(name, func(t *testing.T) {
			swapped := 0
			for at := 0; ; at++ {
				w := newWorld(t)
				w.put()
				e := w.only(w.a)
				before := w.hashes(func(f File) string { return f.Store.Path(f.Kind, other) })
				s := &stepper{at: at, call: func() {
					if swap(w, e) == nil {
						swapped++
					}
				}}
				_, _, _ = w.q(s.fs()).Purge(t.Context(), e)
				if s.what == "" {
					break
				}
				for key, was := range before {
					if now := w.hashes(func(f File) string { return f.Store.Path(f.Kind, other) }); now[key] != was {
						t.Errorf("swapped at %s: %s of another sector has changed", s.what, key)
					}
				}
			}
			if swapped < 3 {
				t.Errorf("only %d steps were disturbed", swapped)
			}
		})
	}
}

// The whole quarantine behind a link: nobody goes there.
func TestQuarantineIsALink(t *testing.T) {
	w := newWorld(t)
	w.put()
	e := w.only(w.a)
	at := filepath.Join(w.dir, "q")
	must(t, os.Rename(filepath.Join(w.a.Dir, DirName), at), os.Symlink(at, filepath.Join(w.a.Dir, DirName)))
	before := tree(t, w.dir)
	if broken := w.only(w.a); broken.Name != "" || broken.Err == nil {
		t.Errorf("got %+v", broken)
	}
	_, err := w.q(durable.FS{}).Restore(t.Context(), e)
	wantRefusal(t, err, "symbolic link")
	_, _, err = w.q(durable.FS{}).Purge(t.Context(), e)
	wantRefusal(t, err, "symbolic link")
	if tree(t, w.dir) != before {
		t.Error("something has changed")
	}
}

// What the manifest does not name, or not so, stays, and is told of.
func TestPurgeKeepsTheUnexpected(t *testing.T) {
	w := newWorld(t)
	w.put()
	e := w.only(w.a)
	cache := e.path(sector.UpdateCache)
	must(t,
		os.WriteFile(filepath.Join(e.Dir(), "notes"), []byte("mine"), 0o644),
		os.WriteFile(filepath.Join(cache, "notes"), []byte("mine"), 0o644),
		os.Mkdir(filepath.Join(cache, "dir"), 0o755),
		os.WriteFile(filepath.Join(cache, "t_aux"), []byte("of another size"), 0o644),
		os.WriteFile(filepath.Join(e.Dir(), "cache"), []byte("not in this manifest"), 0o644))
	freed, left, err := w.q(durable.FS{}).Purge(t.Context(), w.only(w.a))
	must(t, err)
	want := []string{"cache", "notes", "update-cache/dir", "update-cache/notes", "update-cache/t_aux"}
	var got []string
	for _, path := range left {
		rel, err := filepath.Rel(e.Dir(), path)
		must(t, err)
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s has gone", rel)
		}
		got = append(got, rel)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("left are %v, want %v", got, want)
	}
	if freed == 0 {
		t.Error("nothing was freed")
	}
	for _, gone := range []string{"sealed", "update", "update-cache/p_aux"} {
		if _, err := os.Lstat(filepath.Join(e.Dir(), gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	// What is half deleted does not come back.
	_, err = w.q(durable.FS{}).Restore(t.Context(), w.only(w.a))
	wantError(t, err, "neither there nor at")
	for _, path := range left {
		must(t, os.RemoveAll(path))
	}
	_, left, err = w.q(durable.FS{}).Purge(t.Context(), w.only(w.a))
	if err != nil || len(left) > 0 || len(w.entries()) != 1 {
		t.Errorf("a second purge: %v, left %v, %d entries", err, left, len(w.entries()))
	}
}

// An entry that an interrupted run has left in two places is no purge's business.
func TestPurgeRefusals(t *testing.T) {
	w := newWorld(t)
	w.put()
	e := w.only(w.a)
	must(t, os.Rename(e.path(sector.Update), e.origin(sector.Update)))
	before := tree(t, w.dir)
	_, _, err := w.q(durable.FS{}).Purge(t.Context(), w.only(w.a))
	wantError(t, err, "only a part of it is here")

	q := New(durable.FS{}, []store.Store{w.b}, nil, nil)
	_, _, err = q.Purge(t.Context(), w.only(w.a))
	wantRefusal(t, err, "none of the stores")
	_, err = q.Restore(t.Context(), w.only(w.a))
	wantRefusal(t, err, "none of the stores")

	old := w.only(w.a)
	old.Time = old.Time.Add(-time.Hour)
	_, _, err = w.q(durable.FS{}).Purge(t.Context(), old)
	wantError(t, err, "has changed meanwhile")
	if tree(t, w.dir) != before {
		t.Error("something has changed")
	}
}

func TestRestoreRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(w *world, e Entry)
		says   string
	}{
		{"a file stands there", func(w *world, _ Entry) { w.make(w.a, sector.Update, id5) }, "there is something at"},
		{"a directory stands there", func(w *world, _ Entry) { w.make(w.a, sector.UpdateCache, id5) }, "there is something at"},
		{"a link to nowhere stands there", func(w *world, e Entry) {
			must(w.t, os.Symlink("/nowhere", e.origin(sector.Sealed)))
		}, "there is something at"},
		{"a member is missing", func(w *world, e Entry) {
			must(w.t, os.Remove(filepath.Join(e.path(sector.UpdateCache), "p_aux")))
		}, "not whole"},
		{"a replica was cut", func(w *world, e Entry) { must(w.t, os.Truncate(e.path(sector.Sealed), 3)) }, "not whole"},
		{"a replica is nowhere", func(w *world, e Entry) { must(w.t, os.Remove(e.path(sector.Sealed))) }, "neither there nor at"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.put()
			test.change(w, w.only(w.a))
			before := tree(t, w.dir)
			_, err := w.q(durable.FS{}).Restore(t.Context(), w.only(w.a))
			wantError(t, err, test.says)
			if tree(t, w.dir) != before {
				t.Error("something has changed")
			}
		})
	}
}

// Somebody makes the target between the look and the rename.
func TestRestoreTargetAppears(t *testing.T) {
	w := newWorld(t)
	w.put()
	e := w.only(w.a)
	_, err := w.q(durable.FS{Fault: func(op, path string) error {
		if op == "rename" && path == e.origin(sector.Update) {
			return os.WriteFile(path, []byte("new"), 0o644)
		}
		return nil
	}}).Restore(t.Context(), e)
	wantError(t, err, "appeared meanwhile")
	if raw, _ := os.ReadFile(e.origin(sector.Update)); string(raw) != "new" {
		t.Error("it was replaced")
	}
	must(t, os.Remove(e.origin(sector.Update)))
	must(t, w.restoreAll(t.Context(), w.q(durable.FS{})))
	w.invariant("restore")
}

// A restored entry whose directory holds something else stays, so that nothing of
// it is lost.
func TestRestoreLeavesTheUnexpected(t *testing.T) {
	w := newWorld(t)
	w.put()
	e := w.only(w.a)
	must(t, os.WriteFile(filepath.Join(e.Dir(), "notes"), []byte("mine"), 0o644))
	left, err := w.q(durable.FS{}).Restore(t.Context(), e)
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "notes" {
		t.Errorf("left are %v, %v", left, err)
	}
	if e := w.only(w.a); e.Err != nil || e.Size() != 0 {
		t.Errorf("got %+v", e)
	}
}

func TestListStops(t *testing.T) {
	w := newWorld(t)
	w.put()
	stop := errors.New("stop")
	if err := List(t.Context(), w.stores(), func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := List(ctx, w.stores(), func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// twice the same store, and one that is gone
	w.a.Dir = w.b.Dir + "/."
	n := 0
	must(t, List(t.Context(), append(w.stores(), store.Store{Dir: w.dir + "/gone"}), func(e Entry) error {
		if n++; (e.Err != nil) != (n == 2) {
			t.Errorf("entry %d is %+v", n, e)
		}
		return nil
	}))
	if n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

// FuzzDecode checks that whatever a manifest says, it leads nowhere but to the
// places of its own sector in its own store, and is read again as it is written.
func FuzzDecode(f *testing.F) {
	e := Entry{Sector: id5, Time: start, Why: "why", Who: "who", Objects: []Object{
		{Kind: sector.Sealed, Files: []Member{{Size: 2048}}}, {Kind: sector.Cache, Files: []Member{{"p_aux", 64}, {"t_aux", 7}}},
	}}
	raw, err := e.encode()
	must(f, err)
	f.Add(raw)
	f.Add([]byte(strings.Replace(string(raw), "cache/s-t01000-5", "../cache/s-t01000-5", 1)))
	f.Add([]byte(strings.Replace(string(raw), "p_aux", "../p_aux", 1)))
	f.Add([]byte(`{"version":1,"sector":"s-t01000-5","time":"2026-11-22T10:00:00Z","purging":"2026-11-22T10:00:01Z","objects":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := Entry{Store: store.Store{Dir: "/store"}, Sector: id5, Name: entryName(id5, start)}
		if e.decode(raw) != nil {
			if len(e.Objects) > 0 {
				t.Error("an entry that cannot be read has objects")
			}
			return
		}
		for _, o := range e.Objects {
			for _, m := range o.Files {
				at := filepath.Join(e.path(o.Kind), m.Name)
				if o.Kind.IsDir() != (filepath.Dir(at) == e.path(o.Kind)) || !o.Kind.IsDir() && at != e.path(o.Kind) {
					t.Errorf("%q is %s", m.Name, at)
				}
			}
			if e.origin(o.Kind) != "/store/"+o.Kind.String()+"/s-t01000-5" {
				t.Errorf("it belongs to %s", e.origin(o.Kind))
			}
		}
		again, err := e.encode()
		must(t, err)
		back := Entry{Sector: id5}
		must(t, back.decode(again))
		if last, err := back.encode(); err != nil || string(last) != string(again) {
			t.Errorf("%s\nis read as\n%s", again, last)
		}
	})
}

func TestEntryNames(t *testing.T) {
	for name, want := range map[string]bool{
		"s-t01000-5-20261122T100000.000000007Z":   true,
		"s-t01000-5":                              false,
		"s-t01000-5-20261122T100000Z":             false,
		"s-t01000-05-20261122T100000.000000007Z":  false,
		"s-t01000-5-20261322T100000.000000007Z":   false,
		"../s-t01000-5-20261122T100000.00000000Z": false,
		"": false, "-": false, "junk": false, "lost+found": false,
	} {
		id, at, ok := parseEntryName(name)
		if ok != want || (ok && (id != id5 || !at.Equal(start))) {
			t.Errorf("%q: %v %v %t, want %t", name, id, at, ok, want)
		}
	}
}
