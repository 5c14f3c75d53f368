package damocles

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/testkit"
)

func copyHome(t *testing.T) string {
	t.Helper()
	return testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/damocles-home"))
}

func openHome(t *testing.T, dir string, opt Options) *Home {
	t.Helper()
	h, err := OpenHome(context.Background(), dir, Config{}, opt)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { closeHome(t, h) })
	return h
}

func closeHome(t *testing.T, h *Home) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// files returns a hash of each file in dir.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%d %x", len(data), sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func numbers(t *testing.T, h *Home, ws Workspace, miner *abi.ActorID) []int {
	t.Helper()
	var got []int
	err := h.Each(context.Background(), ws, miner, func(kv KV) error {
		if kv.KeyErr != nil || kv.ValueErr != nil || len(kv.Value) == 0 {
			t.Errorf("got %+v", kv)
		}
		got = append(got, int(kv.Number))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReadHome(t *testing.T) {
	dir := copyHome(t)
	before := files(t, dir)
	h := openHome(t, dir, Options{Notice: func(s string) { t.Errorf("notice: %s", s) }})
	if got, want := numbers(t, h, Online, nil), []int{117, 118}; !reflect.DeepEqual(got, want) {
		t.Errorf("online: got %v, want %v", got, want)
	}
	if got := numbers(t, h, Offline, nil); len(got) != 22 || got[0] != 100 || got[21] != 120 {
		t.Errorf("offline: got %v", got)
	}
	other := abi.ActorID(1001)
	if got, want := numbers(t, h, Offline, &other), []int{120}; !reflect.DeepEqual(got, want) {
		t.Errorf("of f01001: got %v, want %v", got, want)
	}
	prefix := abi.ActorID(100)
	if got := numbers(t, h, Offline, &prefix); got != nil {
		t.Errorf("of f0100: got %v", got)
	}
	for _, number := range []abi.SectorNumber{106, 114} { // one in the value log, one in the tables
		want := fixture(t, number.String())
		if got, found, err := h.Get(t.Context(), Offline, 1000, number); !found || err != nil || string(got) != string(want) {
			t.Errorf("get %d: got %s, %v, %v", number, got, found, err)
		}
	}
	if _, found, err := h.Get(t.Context(), Online, 1000, 100); found || err != nil {
		t.Errorf("get what is offline from online: got %v, %v", found, err)
	}
	if _, found, err := h.LastNumber(t.Context(), 1000); found || err != nil {
		t.Errorf("last number: got %v, %v", found, err)
	}
	if err := h.Apply(context.Background(), newStates(1, 1)); err == nil {
		t.Error("wrote to a home that was opened to read")
	}
	closeHome(t, h)
	if got := files(t, dir); !reflect.DeepEqual(got, before) {
		t.Errorf("reading changed the home: got %v, want %v", got, before)
	}
	if _, _, err := h.Get(t.Context(), Offline, 1000, 100); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
}

func TestEachStops(t *testing.T) {
	h := openHome(t, copyHome(t), Options{})
	stop := errors.New("stop")
	calls := 0
	err := h.Each(context.Background(), Offline, nil, func(KV) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("got %v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = h.Each(ctx, Offline, nil, func(KV) error { cancel(); calls++; return nil })
	if !errors.Is(err, context.Canceled) || calls != 2 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}

func TestEachMalformed(t *testing.T) {
	dir := copyHome(t)
	plain(t, filepath.Join(dir, "offline_meta"), false, func(db *badger.DB) {
		err := db.Update(func(txn *badger.Txn) error {
			return txn.Set([]byte("sector-states-offline/m-1000-n-1x"), []byte("{}"))
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	// One value of the value log is damaged.
	flip(t, filepath.Join(dir, "offline_meta", "000000.vlog"), 9000)

	h := openHome(t, dir, Options{})
	var keys, values, good int
	err := h.Each(context.Background(), Offline, nil, func(kv KV) error {
		switch {
		case kv.KeyErr != nil:
			keys++
		case kv.ValueErr != nil && kv.Value == nil:
			values++
		default:
			good++
		}
		return nil
	})
	if err != nil || keys != 1 || values != 1 || good != 21 {
		t.Errorf("got %d bad keys, %d bad values and %d good, %v", keys, values, good, err)
	}
}

func TestHomeMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	for _, opt := range []Options{{}, {Write: true}, {Create: true}} {
		_, err := OpenHome(context.Background(), dir, Config{}, opt)
		if err == nil || fault.KindOf(err) != fault.Failed || fault.HintOf(err) == "" {
			t.Errorf("%+v: got %v", opt, err)
		}
	}
	h := openHome(t, dir, Options{Write: true, Create: true})
	if err := h.Apply(context.Background(), newStates(1, 2)); err != nil {
		t.Fatal(err)
	}
	closeHome(t, h)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("home: got %v, %v", info.Mode(), err)
	}
	if got, want := numbers(t, openHome(t, dir, Options{}), Offline, nil), []int{1, 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestHomeEmpty(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, dir, "meta")
	h := openHome(t, dir, Options{})
	if got := append(numbers(t, h, Online, nil), numbers(t, h, Offline, nil)...); got != nil {
		t.Errorf("got %v", got)
	}
	if _, _, found, err := h.Index(t.Context(), abi.SectorID{Miner: 1000, Number: 1}, false); found || err != nil {
		t.Errorf("index: got %v, %v", found, err)
	}
	closeHome(t, h)
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("reading made files: %v", got)
	}
}

func TestHomeBaseDir(t *testing.T) {
	dir, base := t.TempDir(), filepath.Join(t.TempDir(), "db")
	cfg := Config{Found: true, Common: CommonConfig{DB: DBConfig{Badger: BadgerConfig{BaseDir: base}}}}
	h, err := OpenHome(context.Background(), dir, cfg, Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	closeHome(t, h)
	if _, err := os.Stat(filepath.Join(base, "meta", "MANIFEST")); err != nil {
		t.Error(err)
	}
}

func TestHomeOtherDriver(t *testing.T) {
	for _, driver := range []string{"plugin", "Plugin", "mysql"} {
		cfg := Config{Common: CommonConfig{DB: DBConfig{Driver: driver}}}
		_, err := OpenHome(context.Background(), copyHome(t), cfg, Options{})
		if fault.KindOf(err) != fault.Refused || !strings.Contains(fault.HintOf(err), "--listen") {
			t.Errorf("%s: got %v, hint %s", driver, err, fault.HintOf(err))
		}
	}
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := OpenHome(ctx, copyHome(t), Config{}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
