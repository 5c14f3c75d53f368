package transfer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/fault"
)

func TestVerifyOnly(t *testing.T) {
	setup := func(t *testing.T) *world {
		src := quick(t)
		w := newWorld(t, src, filepath.Join(src, "store"), 100, 101, 110)
		w.good(Options{Keep: true, Verify: VerifyHash})
		return w
	}
	verify := func(t *testing.T, w *world) *Report {
		t.Helper()
		before := tree(t, w.target)
		w.events = nil
		rep, err := VerifyOnly(t.Context(), w.options(Options{}), w.list)
		must(t, err)
		if tree(t, w.target) != before {
			t.Error("it has changed something")
		}
		return rep
	}
	t.Run("good", func(t *testing.T) {
		w := setup(t)
		rep := verify(t, w)
		if rep.Done != 3 || rep.Total != 3 || rep.Files != 15 || rep.Bytes == 0 {
			t.Errorf("got %+v", rep)
		}
	})
	for _, test := range []struct {
		name, want string
		spoil      func(path string, old time.Time) error
	}{
		{"flipped bit", "SHA-256", func(path string, old time.Time) error {
			b, err := os.ReadFile(path)
			b[5] ^= 4
			must(t, err, os.WriteFile(path, b, 0o644))
			return os.Chtimes(path, old, old)
		}},
		{"cut short", "has 63 bytes, and had 64", func(path string, _ time.Time) error { return os.Truncate(path, 63) }},
		{"gone", "is missing", func(path string, _ time.Time) error { return os.Remove(path) }},
		{"touched", "was modified at", func(path string, old time.Time) error { return os.Chtimes(path, old, old.Add(time.Hour)) }},
		{"link", "not a regular file", func(path string, _ time.Time) error {
			must(t, os.Rename(path, path+".real"))
			return os.Symlink(path+".real", path)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := setup(t)
			path := filepath.Join(w.sectors[0].Objects[1].To, "p_aux")
			info, err := os.Stat(path)
			must(t, err, test.spoil(path, info.ModTime()))
			rep := verify(t, w)
			if rep.Failed != 1 || rep.Done != 2 || !strings.Contains(rep.Failures[0].Err.Error(), test.want) {
				t.Fatalf("got %+v", rep)
			}
			if fault.HintOf(rep.Failures[0].Err) == "" || !strings.Contains(rep.Failures[0].Err.Error(), path) {
				t.Errorf("got %v", rep.Failures[0].Err)
			}
			bad := 0
			for _, ev := range w.events {
				if ev.Action == ActionBad && ev.To == path && ev.Err != nil {
					bad++
				}
			}
			if bad != 1 {
				t.Errorf("got %d events of it", bad)
			}
		})
	}
	t.Run("not in the manifest", func(t *testing.T) {
		w := setup(t)
		more := newWorld(t, filepath.Join(filepath.Dir(w.target), "more"), w.target, 102)
		w.sectors = append(w.sectors, more.sectors...)
		if rep := verify(t, w); rep.Unknown != 1 || rep.Done != 3 {
			t.Errorf("got %+v", rep)
		}
	})
	t.Run("no manifest", func(t *testing.T) {
		w := setup(t)
		must(t, os.Remove(filepath.Join(w.target, ManifestName)))
		_, err := VerifyOnly(t.Context(), w.options(Options{}), w.list)
		wantRefusal(t, err, "there is no manifest")
	})
	t.Run("renamed ones have no hash", func(t *testing.T) {
		src := quick(t)
		w := newWorld(t, src, filepath.Join(src, "store"), 100)
		w.good(Options{})
		if rep := verify(t, w); rep.Done != 1 || rep.Bytes != 0 {
			t.Errorf("got %+v", rep)
		}
	})
}
