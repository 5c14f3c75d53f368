package store_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// What lotus-miner does with a name was seen by running it.
func TestBadNames(t *testing.T) {
	s := copied(t, "lotus-1")
	want := map[string]string{}
	for path, takenFor := range map[string]string{
		"sealed/lost+found":      "",
		"sealed/junk":            "",
		"cache/.DS_Store":        "",
		"unsealed/s-f01000-1":    "",
		"update/s-t01000-1.tmp":  "s-t01000-1",
		"cache/s-t01000-1-copy":  "s-t01000-1",
		"update/s-t01000-007":    "s-t01000-7",
		"piece/s-t0-1":           "",
		"update-cache/s-t01000":  "",
		"sealed/xs-t01000-1":     "",
		"sealed/s-t01000-1 copy": "s-t01000-1",
	} {
		write(t, filepath.Join(s.Dir, path), 1)
		want[filepath.Join(s.Dir, path)] = takenFor
	}
	for _, fine := range []string{"sealed/fetching/junk", "unsealed/s-t01000-3", "other/junk", "junk"} {
		write(t, filepath.Join(s.Dir, fine), 1)
	}
	got := map[string]string{}
	must(t, s.BadNames(t.Context(), func(b store.BadName) error {
		got[b.Path] = ""
		if b.Taken {
			got[b.Path] = b.ID.String()
		}
		return nil
	}))
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestBadNamesFileForTypeDir(t *testing.T) {
	s := copied(t, "lotus-1")
	must(t, os.RemoveAll(s.TypeDir(sector.Update)))
	write(t, s.TypeDir(sector.Update), 1)
	var got []store.BadName
	must(t, s.BadNames(t.Context(), func(b store.BadName) error { got = append(got, b); return nil }))
	if len(got) != 1 || got[0].Path != s.TypeDir(sector.Update) || got[0].Taken {
		t.Errorf("got %v", got)
	}
}
