package lotus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

const fixtureRepo = "../../testdata/fixtures/switch-2k/lotusminer"

// noError ends the test at the first error.
func noError(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// copyRepo copies the fixture repo, which opening it would change.
func copyRepo(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lotusminer")
	if err := os.CopyFS(dir, os.DirFS(fixtureRepo)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openRepo(t testing.TB, dir string, o Options) *Repo {
	t.Helper()
	r, err := OpenRepo(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// snapshot describes everything in dir: names, modes, times, contents.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		var content []byte
		if fi.Mode().IsRegular() {
			content, err = os.ReadFile(path)
		}
		all[path] = fmt.Sprint(fi.Mode(), fi.ModTime(), string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadingChangesNothing(t *testing.T) {
	dir := copyRepo(t)
	noError(t, os.Mkdir(filepath.Join(dir, "keystore"), 0o700))
	before := snapshot(t, dir)
	r := openRepo(t, dir, Options{})
	if got, err := r.Miner(); got != 1000 || err != nil {
		t.Errorf("miner: got %d, %v", got, err)
	}
	if _, err := r.Numbers(t.Context()); err != nil {
		t.Error(err)
	}
	second := openRepo(t, dir, Options{}) // two may look at once
	if _, err := Running(dir); err != nil {
		t.Error(err)
	}
	if err := errors.Join(second.Close(), r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	if after := snapshot(t, dir); !reflect.DeepEqual(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
}

func TestSectors(t *testing.T) {
	dir := copyRepo(t)
	w := openRepo(t, dir, Options{Write: true})
	tx, err := w.Begin()
	if err != nil {
		t.Fatal(err)
	}
	bad := []string{"/sectors/007", "/sectors/x", "/sectors/", "/sectors/1/2", "/sectors/9223372036854775808"}
	for _, key := range bad {
		if err := tx.Put(key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var good, wrong []string
	err = w.Sectors(t.Context(), func(kv SectorKV) error {
		if kv.KeyErr != nil {
			wrong = append(wrong, kv.Key)
			return nil //nolint:nilerr // one bad key does not stop the others
		}
		good = append(good, kv.Key)
		want, err := os.ReadFile(sectorFixture(t, kv.Number))
		if err != nil || string(want) != string(kv.Raw) {
			t.Errorf("sector %d: record differs from its fixture (%v)", kv.Number, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(bad)
	if len(good) != 32 || !slices.IsSorted(good) || !slices.Equal(wrong, bad) {
		t.Errorf("got %v and %v", good, wrong)
	}
	if raw, found, err := w.Sector(31); len(raw) == 0 || !found || err != nil {
		t.Errorf("sector 31: got %d bytes, %t, %v", len(raw), found, err)
	}
	if _, found, err := w.Sector(32); found || err != nil {
		t.Errorf("sector 32: got %t, %v", found, err)
	}
	stop := errors.New("stop")
	if err := w.Sectors(t.Context(), func(SectorKV) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("fn's error: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Sectors(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func sectorFixture(t *testing.T, number uint64) string {
	t.Helper()
	found, err := filepath.Glob(fmt.Sprintf("../../testdata/fixtures/lotus-sectorinfo/%03d-*.cbor", number))
	if err != nil || len(found) != 1 {
		t.Fatalf("fixture of sector %d: %v, %v", number, found, err)
	}
	return found[0]
}

func TestMiner(t *testing.T) {
	dir := copyRepo(t)
	w := openRepo(t, dir, Options{Write: true})
	for _, test := range []struct{ value, want string }{
		{"", "names no miner"},
		{"\xff", "miner address ff"},
		{"\x02aaaaaaaaaaaaaaaaaaaa", "has no actor ID"},
	} {
		tx, _ := w.Begin()
		noError(t, tx.Put(minerKey, []byte(test.value)))
		if test.value == "" {
			noError(t, tx.Delete(minerKey))
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		_, err := w.Miner()
		if err == nil || !strings.Contains(err.Error(), test.want) || fault.HintOf(err) == "" {
			t.Errorf("%q: got %v, want %q", test.value, err, test.want)
		}
	}
}

func TestOpenRepoMissingParts(t *testing.T) {
	for _, test := range []struct {
		name    string
		breakIt func(dir string) error
		want    string
		kind    fault.Kind
	}{
		{"no repo", os.RemoveAll, "no lotus-miner repo at", fault.Failed},
		{"no datastore", func(dir string) error { return os.RemoveAll(filepath.Join(dir, "datastore")) },
			"no lotus-miner repo at", fault.Failed},
		{"no metadata", func(dir string) error { return os.RemoveAll(filepath.Join(dir, metadataName)) },
			"has no metadata", fault.Failed},
		{"no LOCK", func(dir string) error { return os.Remove(filepath.Join(dir, metaLockName)) },
			"no lock file", fault.Failed},
		{"no CURRENT", func(dir string) error { return os.Remove(filepath.Join(dir, metadataName, "CURRENT")) },
			"is corrupt", fault.Refused},
		{"no manifest", func(dir string) error { return os.Remove(filepath.Join(dir, metadataName, "MANIFEST-000000")) },
			"MANIFEST-000000: no such file", fault.Refused},
	} {
		dir := copyRepo(t)
		if err := test.breakIt(dir); err != nil {
			t.Fatal(err)
		}
		noError(t, os.MkdirAll(dir, 0o755))
		before := snapshot(t, dir)
		for _, write := range []bool{false, true} {
			_, err := OpenRepo(t.Context(), dir, Options{Write: write})
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				fault.HintOf(err) == "" || fault.KindOf(err) != test.kind {
				t.Errorf("%s: got %v (hint %q, kind %d)", test.name, err, fault.HintOf(err), fault.KindOf(err))
			}
		}
		if !reflect.DeepEqual(before, snapshot(t, dir)) {
			t.Errorf("%s: the repo was changed", test.name)
		}
	}
}

func TestFilesBelongToTheRepo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: giving files away can only be tried as root")
	}
	dir := copyRepo(t)
	var created []string
	noError(t,
		filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error { return os.Chown(path, 65534, 65534) }),
		os.Chmod(filepath.Join(dir, metadataName), 0o700))
	check := func(when string) {
		t.Helper()
		noError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if uid := ownerOf(t, path); uid != 65534 {
				t.Errorf("%s: %s belongs to %d", when, path, uid)
			}
			return err
		}))
	}
	w := openRepo(t, dir, Options{Write: true, FS: durable.FS{Fault: func(op, path string) error {
		if op == "create" {
			created = append(created, filepath.Base(path))
		}
		return nil
	}}})
	check("opened")
	tx, err := w.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		noError(t, tx.Put(fmt.Sprint("/x/", i), make([]byte, 1<<20))) // some tables
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	check("committed")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	check("closed")
	if len(created) < 5 || created[0] != "repo.lock" {
		t.Errorf("created %v", created)
	}
	if _, err := os.Stat(filepath.Join(dir, repoLockName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("repo.lock is still there: %v", err)
	}
}
