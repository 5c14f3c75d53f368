package migrate

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

func openOrigins(t *testing.T, dir string, write bool) *Origins {
	t.Helper()
	o, err := OpenOrigins(dir, write, durable.FS{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func closeOrigins(t *testing.T, o *Origins) {
	t.Helper()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}

func origin(system System, id sector.ID, value string) *Origin {
	return &Origin{System: system, ID: id, Fingerprint: sha256.Sum256([]byte(value)), Value: []byte(value)}
}

func checkOrigin(t *testing.T, o *Origins, system System, id sector.ID, want *Origin) {
	t.Helper()
	if got, err := o.Get(system, id); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s %s: got %+v, %v, want %+v", system, id, got, err, want)
	}
}

func TestOriginsKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	one, ten := numberID(1), numberID(10)
	other := sector.ID{Miner: 100, Number: 1}
	kept := []*Origin{
		origin(Lotus, one, "lotus 1"), origin(Damocles, one, "damocles 1"), origin(Lotus, ten, "lotus 10"),
		origin(Lotus, other, "another miner"), origin(Damocles, ten, ""),
	}
	var steps []*Step
	for _, k := range kept {
		steps = append(steps, &Step{ID: k.ID, Origin: k})
	}
	o := openOrigins(t, dir, true)
	if err := o.Put(append(steps, &Step{ID: numberID(3)})); err != nil {
		t.Fatal(err)
	}
	closeOrigins(t, o)
	for _, write := range []bool{false, true} {
		o := openOrigins(t, dir, write)
		for _, k := range kept {
			checkOrigin(t, o, k.System, k.ID, k)
		}
		checkOrigin(t, o, Lotus, numberID(3), nil)
		checkOrigin(t, o, Lotus, sector.ID{Miner: 10, Number: 1}, nil) // 10/1 is not 100/1, nor 1000/1
		if write {
			newer := origin(Lotus, one, "newer")
			if err := o.Put([]*Step{{Origin: newer}}); err != nil {
				t.Fatal(err)
			}
			checkOrigin(t, o, Lotus, one, newer)
		}
		closeOrigins(t, o)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the store is %v, %v", info, err)
	}
}

// Where there is no store nothing is found, and nothing made.
func TestNoOrigins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	for _, o := range []*Origins{nil, openOrigins(t, dir, false)} {
		checkOrigin(t, o, Lotus, numberID(1), nil)
		if err := o.Put([]*Step{{Origin: origin(Lotus, numberID(1), "x")}}); err != nil {
			t.Error(err)
		}
		closeOrigins(t, o)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("reading made the store")
	}
	// as a kill leaves it that came while it was made
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"", "LOCK", "LOG", "MANIFEST-000000"} {
		if file != "" {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := openOrigins(t, dir, false)
		checkOrigin(t, o, Lotus, numberID(1), nil)
		closeOrigins(t, o)
	}
	o := openOrigins(t, dir, true)
	if err := o.Put([]*Step{{Origin: origin(Lotus, numberID(1), "x")}}); err != nil {
		t.Error(err)
	}
	closeOrigins(t, o)
}

func refusedWith(t *testing.T, what string, err error, texts ...string) {
	t.Helper()
	if fault.KindOf(err) != fault.Refused || fault.HintOf(err) == "" {
		t.Errorf("%s: got %v (kind %v, hint %q), want a refusal with a hint", what, err, fault.KindOf(err), fault.HintOf(err))
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q in it", what, err, text)
		}
	}
}

// Two commands at once: the second is refused, whichever way it opens.
func TestOriginsInUse(t *testing.T) {
	dir := t.TempDir()
	first := openOrigins(t, dir, true)
	for _, write := range []bool{false, true} {
		_, err := OpenOrigins(dir, write, durable.FS{})
		refusedWith(t, "open", err, dir, "in use by another damocles-manager")
	}
	closeOrigins(t, first)
	first = openOrigins(t, dir, false)
	closeOrigins(t, openOrigins(t, dir, false)) // readers do not mind each other
	_, err := OpenOrigins(dir, true, durable.FS{})
	refusedWith(t, "beside a reader", err, "in use")
	closeOrigins(t, first)
	closeOrigins(t, openOrigins(t, dir, true))
}

// A damaged store is named; nothing is taken from it, and nothing mended behind
// the user's back.
func TestOriginsCorrupt(t *testing.T) {
	damage := map[string]func(dir string) error{
		"CURRENT": func(dir string) error { return os.WriteFile(filepath.Join(dir, "CURRENT"), []byte("x"), 0o600) },
		"its table": func(dir string) error {
			return rewrite(dir, "*.ldb", func(b []byte) []byte { clear(b[:len(b)/2]); return b })
		},
		"no CURRENT": func(dir string) error { return os.Remove(filepath.Join(dir, "CURRENT")) },
		"no table":   func(dir string) error { return rewrite(dir, "*.ldb", func([]byte) []byte { return nil }) },
		"MANIFEST": func(dir string) error {
			return rewrite(dir, "MANIFEST-*", func(b []byte) []byte { clear(b); return b })
		},
	}
	for what, harm := range damage {
		dir := t.TempDir()
		o := openOrigins(t, dir, true)
		big := strings.Repeat("x", 1<<20)
		for n := range uint64(6) {
			if err := o.Put([]*Step{{Origin: origin(Lotus, numberID(n), big)}}); err != nil {
				t.Fatal(err)
			}
		}
		closeOrigins(t, o)
		closeOrigins(t, openOrigins(t, dir, true)) // moves all into tables
		if err := harm(dir); err != nil {
			t.Fatal(err)
		}
		for _, write := range []bool{false, true} {
			o, err := OpenOrigins(dir, write, durable.FS{})
			for n := uint64(0); err == nil && n < 6; n++ {
				_, err = o.Get(Lotus, numberID(n))
			}
			refusedWith(t, what, err, dir, "corrupt")
			if o != nil {
				_ = o.Close() // it may complain again
			}
		}
	}
	// a value that is none of ours
	dir := t.TempDir()
	o := openOrigins(t, dir, true)
	if err := o.db.Put(originKey(Lotus, numberID(1)), []byte("short"), nil); err != nil {
		t.Fatal(err)
	}
	_, err := o.Get(Lotus, numberID(1))
	refusedWith(t, "a short value", err, "s-t01000-1", dir)
	closeOrigins(t, o)
}

// rewrite changes the files that match.
func rewrite(dir, pattern string, change func([]byte) []byte) error {
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		return os.ErrNotExist
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(f, change(b), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func TestOriginsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, write := range []bool{false, true} {
		if _, err := OpenOrigins(file, write, durable.FS{}); err == nil || !strings.Contains(err.Error(), file) || fault.HintOf(err) == "" {
			t.Errorf("a file in its place: got %v, hint %q", err, fault.HintOf(err))
		}
	}
}
