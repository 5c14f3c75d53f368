package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

// Every sector of all four stores, split and upgraded ones too.
func TestEverySector(t *testing.T) {
	for _, test := range []struct {
		name           string
		keep, across   bool
		verify         Verify
		renamed, bytes bool
		hashes         bool
	}{
		{name: "copy", keep: true, bytes: true},
		{name: "copy with hash", keep: true, verify: VerifyHash, bytes: true, hashes: true},
		{name: "move", renamed: true},
		{name: "copy across", keep: true, across: true, bytes: true},
		{name: "move across", across: true, bytes: true, hashes: true},
		{name: "move across with size", across: true, verify: VerifySize, bytes: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := t.TempDir()
			if test.verify == VerifyHash {
				src = quick(t)
			}
			target := filepath.Join(src, "new", "store")
			if test.across {
				target = filepath.Join(second(t), "store")
			}
			w := newWorld(t, src, target)
			opt := Options{Keep: test.keep, Verify: test.verify, Progress: &Progress{}}
			rep := w.good(opt)
			w.checkArrived(test.keep)
			n := len(w.sectors)
			if rep.Total != n || rep.Done != n || rep.There != 0 || len(w.known) != n {
				t.Errorf("got %+v and %d known, want %d", rep, len(w.known), n)
			}
			if (rep.Renamed == n) != test.renamed || (rep.Bytes > 0) != test.bytes {
				t.Errorf("got %d renamed, %d bytes", rep.Renamed, rep.Bytes)
			}
			if s := opt.Progress.Snapshot(); s.Sectors != s.SectorsTotal || s.Bytes != rep.Bytes || s.BytesTotal != s.Bytes || len(s.Running) > 0 {
				t.Errorf("progress: got %+v", s)
			}
			if test.hashes {
				if out := sha256sumCheck(t, target); strings.Count(out, ": OK\n") != int(rep.Files) {
					t.Errorf("sha256sum -c saw %d of %d files", strings.Count(out, ": OK\n"), rep.Files)
				}
			}
			before := tree(t, target)
			rep = w.good(Options{Keep: test.keep, Verify: test.verify})
			if rep.There != n || rep.Done != 0 || rep.Bytes != 0 || len(w.noted) != 0 {
				t.Errorf("again: got %+v, %d noted", rep, len(w.noted))
			}
			if got := tree(t, target); got != before {
				t.Error("again: the target has changed")
			}
			for _, ev := range w.events {
				if ev.Type == FileEvent && ev.Action != ActionSkip {
					t.Errorf("again: %s %s", ev.Action, ev.To)
				}
			}
			w.checkArrived(test.keep)
		})
	}
}

// Mode, times and owner come along, of files and directories.
func TestAttributes(t *testing.T) {
	w := newWorld(t, t.TempDir(), filepath.Join(second(t), "store"), 100)
	cache := w.sectors[0].Objects[1]
	file := filepath.Join(cache.From, "p_aux")
	old := time.Date(2021, 3, 4, 5, 6, 7, 8900, time.UTC)
	must(t, os.Chmod(file, 0o440), os.Chtimes(file, old, old), os.Chmod(cache.From, 0o750), os.Chtimes(cache.From, old, old))
	if os.Geteuid() == 0 {
		must(t, os.Chown(file, 1234, 2345), os.Chown(cache.From, 1234, 2345))
	}
	want := describe(t, file) + describe(t, cache.From)
	w.good(Options{})
	if got := describe(t, filepath.Join(cache.To, "p_aux")) + describe(t, cache.To); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func describe(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	st := statOf(info)
	return fmt.Sprintln(filepath.Base(path), info.Mode(), info.ModTime().UTC(), st.Uid, st.Gid)
}

// The lines of a sector are the guide's, and come together.
func TestEvents(t *testing.T) {
	w := newWorld(t, t.TempDir(), filepath.Join(second(t), "store"), 110, 103, 5)
	w.good(Options{Jobs: 3})
	var got []string
	open := sector.ID{}
	for _, ev := range w.events {
		switch ev.Type {
		case SectorStart:
			open = ev.Sector.ID
		case FileEvent:
			if ev.Sector.ID != open {
				t.Errorf("a file of %s among those of %s", ev.Sector.ID, open)
			}
			if ev.Sector.ID.Number == 110 {
				rel, _ := filepath.Rel(w.target, ev.To)
				got = append(got, string(ev.Action)+" "+rel)
			}
		}
	}
	tree := []string{"p_aux", "sc-02-data-tree-r-last.dat", "t_aux"}
	var want []string
	for _, o := range w.sectors[slices.IndexFunc(w.sectors, func(s Sector) bool { return s.ID.Number == 110 })].Objects {
		rel, _ := filepath.Rel(w.target, o.To)
		if !o.Kind.IsDir() {
			want = append(want, "move "+rel)
			continue
		}
		for _, name := range tree {
			want = append(want, "move "+filepath.Join(rel, name))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDryRun(t *testing.T) {
	for _, keep := range []bool{false, true} {
		dir := quick(t)
		w := newWorld(t, dir, filepath.Join(dir, "new"))
		before := tree(t, dir)
		w.good(Options{Keep: true, Verify: VerifySize})
		must(t, os.RemoveAll(filepath.Join(dir, "new", "cache")))
		partly := tree(t, dir)
		rep := w.good(Options{Keep: keep, DryRun: true})
		if got := tree(t, dir); got != partly || got == before {
			t.Error("a dry run has changed something")
		}
		actions := map[Action]int{}
		for _, ev := range w.events {
			if ev.Type == FileEvent {
				actions[ev.Action]++
			}
		}
		would := ActionWouldMove
		if keep {
			would = ActionWouldCopy
		}
		if actions[would] == 0 || actions[ActionSkip] == 0 || len(actions) != 2 || !rep.DryRun {
			t.Errorf("got %v, %+v", actions, rep)
		}
		if len(w.known)+len(w.noted) != 0 {
			t.Error("a dry run made something known")
		}
	}
}

// What is partly there is completed, with Keep and without.
func TestPartlyThere(t *testing.T) {
	for _, keep := range []bool{true, false} {
		for _, across := range []bool{false, true} {
			src := t.TempDir()
			target := filepath.Join(src, "store")
			if across {
				target = filepath.Join(second(t), "store")
			}
			w := newWorld(t, src, target, 100, 101, 103, 110, 5)
			for i, s := range w.sectors {
				o := s.Objects[i%2]
				copyTree(t, o.From, o.To)
				if o.Kind.IsDir() {
					must(t, os.Remove(filepath.Join(o.To, "t_aux")))
				}
			}
			w.good(Options{Keep: keep, Verify: VerifyHash})
			w.checkArrived(keep)
			if across {
				sha256sumCheck(t, target)
			}
		}
	}
}

func TestExistingTarget(t *testing.T) {
	setup := func(t *testing.T) (*world, Object) {
		src := t.TempDir()
		w := newWorld(t, src, filepath.Join(src, "store"), 100)
		o := w.sectors[0].Objects[0]
		copyTree(t, o.From, o.To)
		return w, o
	}
	t.Run("equal is hashed and taken", func(t *testing.T) {
		w, o := setup(t)
		reads := map[string]bool{}
		w.good(Options{FS: durable.FS{Fault: func(op, path string) error {
			if op == "read" {
				reads[path] = true
			}
			return nil
		}}, Jobs: 1})
		if !reads[o.From] || !reads[o.To] {
			t.Error("it was not read on both sides")
		}
		w.checkArrived(false)
	})
	t.Run("trusted by size", func(t *testing.T) {
		w, o := setup(t)
		w.good(Options{TrustSize: true, FS: durable.FS{Fault: func(op, path string) error {
			if op == "read" && (path == o.From || path == o.To) {
				return errors.New("read")
			}
			return nil
		}}, Jobs: 1})
		w.checkArrived(false)
	})
	t.Run("different stays", func(t *testing.T) {
		w, o := setup(t)
		b, err := os.ReadFile(o.To)
		b[100] ^= 1
		must(t, err, os.WriteFile(o.To, b, 0o644))
		for _, opt := range []Options{{}, {Keep: true}} {
			rep, err := w.run(opt)
			must(t, err)
			wantFailure(t, rep, "differs")
			if got, _ := os.ReadFile(o.To); string(got) != string(b) {
				t.Error("it was overwritten")
			}
			if !maps.Equal(content(t, o.From), w.before[o.From]) || len(w.known) > 0 {
				t.Error("the source was touched, or made known")
			}
		}
	})
	t.Run("another size is not trusted", func(t *testing.T) {
		w, o := setup(t)
		must(t, os.Truncate(o.To, 2000))
		rep, err := w.run(Options{TrustSize: true})
		must(t, err)
		wantFailure(t, rep, "2000 bytes")
	})
	t.Run("a hash is wanted where only sizes were compared", func(t *testing.T) {
		w, o := setup(t)
		w.good(Options{Keep: true, TrustSize: true})
		b := []byte(w.before[o.From][""])
		info, err := os.Stat(o.To)
		b[7] ^= 1
		must(t, err, os.WriteFile(o.To, b, 0o644), os.Chtimes(o.To, info.ModTime(), info.ModTime()))
		rep, err := w.run(Options{})
		must(t, err)
		wantFailure(t, rep, "differs")
		w.t = t
		if content(t, o.From) == nil {
			t.Error("the source is gone")
		}
	})
	// As rsync --inplace --times restores a file from a backup, after both were copied bad.
	t.Run("a source that was restored in place is hashed", func(t *testing.T) {
		src := t.TempDir()
		w := newWorld(t, src, filepath.Join(src, "store"), 100)
		o := w.sectors[0].Objects[0]
		w.good(Options{Keep: true, Verify: VerifyHash})
		b := []byte(w.before[o.From][""])
		b[7] ^= 1
		from, err := os.Stat(o.From)
		to, err2 := os.Stat(o.To)
		must(t, err, err2)
		for now := from; durable.Changed(now) <= durable.Changed(to); { // the system's clock ticks slowly
			must(t, os.WriteFile(o.From, b, 0o644), os.Chtimes(o.From, from.ModTime(), from.ModTime()))
			now, err = os.Stat(o.From)
			must(t, err)
		}
		rep, err := w.run(Options{})
		must(t, err)
		wantFailure(t, rep, "differs")
		if got, _ := os.ReadFile(o.From); string(got) != string(b) {
			t.Error("the restored source is gone")
		}
	})
	t.Run("second names in a cache", func(t *testing.T) {
		w, o := setup(t)
		cache := w.sectors[0].Objects[1]
		must(t, os.Remove(o.To), os.MkdirAll(cache.To, 0o755))
		for name := range w.before[cache.From] {
			must(t, os.Link(filepath.Join(cache.From, name), filepath.Join(cache.To, name)))
		}
		rep, err := w.run(Options{})
		must(t, err)
		wantFailure(t, rep, "is the source itself")
	})
	t.Run("a second name of the source", func(t *testing.T) {
		w, o := setup(t)
		must(t, os.Remove(o.To), os.Link(o.From, o.To))
		rep, err := w.run(Options{Keep: true})
		must(t, err)
		wantFailure(t, rep, "is the source itself")
		// A move that a file system does by linking may stop there.
		w.good(Options{})
		w.checkArrived(false)
	})
}

// wantFailure checks that all sectors of the report have failed with a hint.
func wantFailure(t *testing.T, rep *Report, want string) {
	t.Helper()
	if rep.Failed != rep.Total || rep.Failed == 0 || len(rep.Failures) != rep.Failed {
		t.Fatalf("got %+v, want failures", rep)
	}
	for _, f := range rep.Failures {
		if !strings.Contains(f.Err.Error(), want) || fault.HintOf(f.Err) == "" {
			t.Errorf("got %v (hint %q), want %q", f.Err, fault.HintOf(f.Err), want)
		}
	}
}

func TestJSONStays(t *testing.T) {
	w := newWorld(t, t.TempDir(), filepath.Join(second(t), "store"), 100)
	cache := w.sectors[0].Objects[1]
	must(t, os.WriteFile(filepath.Join(cache.From, "notes.json"), []byte("{}"), 0o644))
	for range 2 {
		rep := w.good(Options{})
		want := []string{filepath.Join(cache.From, "notes.json")}
		if rep.LeftCount == 1 && !slices.Equal(rep.Left, want) {
			t.Errorf("left: got %v, want %v", rep.Left, want)
		}
		if _, err := os.Stat(filepath.Join(cache.To, "notes.json")); !errors.Is(err, fs.ErrNotExist) {
			t.Error("it was copied")
		}
		if _, err := os.Stat(filepath.Join(cache.From, "notes.json")); err != nil {
			t.Error("it is gone")
		}
		if got := content(t, cache.From); len(got) != 0 {
			t.Errorf("at the source: %v", slices.Collect(maps.Keys(got)))
		}
	}
}

func TestBadSources(t *testing.T) {
	for _, test := range []struct {
		name, want string
		spoil      func(replica, cache string) error
		keepGood   bool // with Keep it is none
	}{
		{"directory for a replica", "is a directory, and should be a file", func(r, _ string) error {
			return errors.Join(os.Remove(r), os.Mkdir(r, 0o755))
		}, false},
		{"file for a cache", "is a file, and should be a directory", func(_, c string) error {
			return errors.Join(os.RemoveAll(c), os.WriteFile(c, nil, 0o644))
		}, false},
		{"directory in a cache", "has only files", func(_, c string) error { return os.Mkdir(filepath.Join(c, "d"), 0o755) }, false},
		{"no tree", "has no sc-02-data-tree-r-last.dat", func(_, c string) error {
			return os.Remove(filepath.Join(c, "sc-02-data-tree-r-last.dat"))
		}, false},
		{"short replica", "has 2000 bytes, and should have 2048", func(r, _ string) error { return os.Truncate(r, 2000) }, false},
		{"no replica", "is not there", func(r, _ string) error { return os.Remove(r) }, false},
		{"link for a replica", "is a symbolic link", func(r, _ string) error {
			return errors.Join(os.Rename(r, r+".real"), os.Symlink(r+".real", r))
		}, true},
		{"link in a cache", "is a symbolic link", func(_, c string) error {
			return errors.Join(os.Rename(c+"/p_aux", c+"/../real"), os.Symlink("../real", c+"/p_aux"))
		}, true},
		{"link for a cache", "is a symbolic link", func(_, c string) error {
			return errors.Join(os.Rename(c, c+".real"), os.Symlink(c+".real", c))
		}, true},
		{"pipe", "is neither a file nor a directory", func(_, c string) error { return mkfifo(filepath.Join(c, "pipe")) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			src := quick(t)
			w := newWorld(t, src, filepath.Join(src, "store"), 100)
			o := w.sectors[0].Objects
			must(t, test.spoil(o[0].From, o[1].From))
			before := tree(t, filepath.Join(src, "damocles-1"))
			for _, keep := range []bool{false, true} {
				rep, err := w.run(Options{Keep: keep})
				must(t, err)
				if tree(t, filepath.Join(src, "damocles-1")) != before {
					t.Error("the source has changed")
				}
				if keep && test.keepGood {
					if rep.Failed != 0 {
						t.Errorf("with Keep: %v", rep.Failures[0].Err)
					}
					w.checkArrived(true)
					continue
				}
				wantFailure(t, rep, test.want)
				if len(content(t, o[0].To)) > 0 || len(content(t, o[1].To)) > 0 {
					t.Error("something was carried")
				}
			}
		})
	}
}

// A bad sector stops no other one of its batch.
func TestOneBadSector(t *testing.T) {
	for _, across := range []bool{false, true} {
		src := quick(t)
		if across {
			src = t.TempDir()
		}
		w := newWorld(t, src, filepath.Join(quick(t), "store"))
		bad := w.sectors[3].Objects[0]
		must(t, os.Truncate(bad.From, 1))
		rep, err := w.run(Options{})
		must(t, err)
		if rep.Failed != 1 || rep.Done != len(w.sectors)-1 || rep.Failures[0].Sector.Index != 3 {
			t.Errorf("got %+v", rep)
		}
	}
}

func TestKnownFailing(t *testing.T) {
	for _, across := range []bool{false, true} {
		src := quick(t)
		if across {
			src = t.TempDir()
		}
		w := newWorld(t, src, filepath.Join(quick(t), "store"))
		failing := errors.New("no index")
		failed, removed := false, 0
		_, err := w.run(Options{
			Jobs:  3,
			Known: func(context.Context, []Sector) error { failed = true; return failing },
			FS: durable.FS{Fault: func(op, path string) error {
				if op == "remove" && strings.HasPrefix(path, src) {
					removed++
				}
				return nil
			}},
		})
		if !errors.Is(err, failing) || !failed || removed > 0 {
			t.Errorf("across %v: got %v, %d removed", across, err, removed)
		}
		w.checkInvariant(false)
		w.good(Options{})
		w.checkArrived(false)
		if len(w.known) != len(w.sectors) {
			t.Errorf("known: got %d", len(w.known))
		}
	}
}

type badJournal struct{}

func (badJournal) Intend(context.Context, []Sector) error { return errors.New("journal full") }

// A manifest that cannot be written, as on a full disk, ends the run. What is at the
// target then is made known all the same: where it was renamed, it is nowhere else.
func TestManifestFailing(t *testing.T) {
	for _, across := range []bool{false, true} {
		src := quick(t)
		if across {
			src = t.TempDir()
		}
		w := newWorld(t, src, filepath.Join(quick(t), "store"))
		full := durable.FS{Fault: func(op, path string) error {
			if op == "write" && path == filepath.Join(w.target, ManifestName) {
				return unix.ENOSPC
			}
			return nil
		}}
		var known []sector.ID
		for range 2 {
			_, err := w.run(Options{FS: full, Jobs: 3})
			known = append(known, w.known...)
			if !errors.Is(err, unix.ENOSPC) || fault.HintOf(err) == "" {
				t.Errorf("across %v: got %v", across, err)
			}
			w.checkInvariant(false)
			for _, s := range w.sectors {
				there := !slices.ContainsFunc(s.Objects, func(o Object) bool { return content(t, o.To) == nil })
				if there && !slices.Contains(known, s.ID) {
					t.Errorf("across %v: %s is at the target, and not known", across, s.ID)
				}
				for _, o := range s.Objects {
					if across && !maps.Equal(content(t, o.From), w.before[o.From]) {
						t.Errorf("%s was removed", o.From)
					}
				}
			}
		}
		w.good(Options{})
		w.checkArrived(false)
	}
}

func TestJournalFailing(t *testing.T) {
	src := quick(t)
	w := newWorld(t, src, filepath.Join(src, "store"), 100, 101)
	before := [2]string{tree(t, w.sources[2]), tree(t, w.sources[3])}
	_, err := w.run(Options{Journal: badJournal{}})
	if err == nil || !strings.Contains(err.Error(), "journal full") {
		t.Errorf("got %v", err)
	}
	if before != [2]string{tree(t, w.sources[2]), tree(t, w.sources[3])} {
		t.Error("something was moved")
	}
}

func TestListFailing(t *testing.T) {
	src := quick(t)
	w := newWorld(t, src, filepath.Join(src, "store"), 100, 101, 102)
	calls := 0
	_, err := Run(t.Context(), w.options(Options{}), func() iter.Seq2[Sector, error] {
		calls++
		return func(yield func(Sector, error) bool) {
			if yield(w.sectors[0], nil) && calls == 2 {
				yield(Sector{}, errors.New("list broken"))
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), "list broken") {
		t.Errorf("got %v", err)
	}
	w.checkInvariant(false)
}

// What is where it should go stays there, and what an interrupted run has left
// beside it goes.
func TestWhatStays(t *testing.T) {
	target := filepath.Join(t.TempDir(), "damocles-1")
	noErr(t, os.CopyFS(target, os.DirFS(testkit.Fixture(t, "switch-2k/storage/damocles-1"))))
	id := sector.ID{Miner: 1000, Number: 100}
	s := Sector{ID: id, Size: 2048}
	for _, kind := range []sector.FileKind{sector.Sealed, sector.Cache} {
		at := filepath.Join(target, kind.String(), id.String())
		s.Objects = append(s.Objects, Object{Kind: kind, From: at, To: at})
	}
	fetching := filepath.Join(target, "sealed", "fetching")
	noErr(t, os.Mkdir(fetching, 0o755))
	noErr(t, os.WriteFile(filepath.Join(fetching, stagePrefix+id.String()), []byte("half"), 0o600))
	rep, err := Run(t.Context(), Options{Target: target}, func() iter.Seq2[Sector, error] {
		return func(yield func(Sector, error) bool) { yield(s, nil) }
	})
	noErr(t, err)
	if rep.There != 1 || rep.Failed+rep.Done != 0 {
		t.Errorf("counted %+v", rep)
	}
	if _, err := os.Stat(fetching); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what an interrupted run left is still there: %v", err)
	}
	if raw, err := os.ReadFile(s.Objects[0].To); err != nil || len(raw) != 2048 {
		t.Errorf("the replica has %d bytes, %v", len(raw), err)
	}
	noErr(t, os.Remove(s.Objects[0].To))
	rep, err = Run(t.Context(), Options{Target: target}, func() iter.Seq2[Sector, error] {
		return func(yield func(Sector, error) bool) { yield(s, nil) }
	})
	noErr(t, err)
	if rep.Failed != 1 {
		t.Errorf("a replica that is gone: %+v", rep)
	}
}
