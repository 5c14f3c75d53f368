package damocles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-state-types/abi"
)

func apply(t *testing.T, h *Home, changes ...Change) {
	t.Helper()
	if err := h.Apply(context.Background(), changes); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, h *Home, store, key string, want []byte) {
	t.Helper()
	got, found, err := h.Value(t.Context(), store, key)
	if err != nil || found != (want != nil) || !bytes.Equal(got, want) {
		t.Errorf("%s %s: got %q, %v, %v, want %q", store, key, got, found, err, want)
	}
}

func TestApply(t *testing.T) {
	home := copyHome(t)
	h := openHome(t, home, Options{Write: true})
	key := StateKey(Offline, 1000, 100)
	before, _, err := h.Get(t.Context(), Offline, 1000, 100)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, h,
		Change{CollectionOffline, key, before, []byte("changed")},
		Change{CollectionOffline, StateKey(Offline, 1000, 101), fixture(t, "101"), nil},
		Change{CollectionIndex, "m-1000-n-100", []byte("t01000_01"), []byte("elsewhere")},
		Change{CollectionMeta, NumberKey(1000), nil, EncodeNumber(123)},
		Change{CollectionCommon, "made", nil, []byte{}},
	)
	check := func() {
		wantValue(t, h, CollectionOffline, key, []byte("changed"))
		wantValue(t, h, CollectionOffline, StateKey(Offline, 1000, 101), nil)
		wantValue(t, h, CollectionIndex, "m-1000-n-100", []byte("elsewhere"))
		wantValue(t, h, CollectionCommon, "made", []byte{})
		if n, found, err := h.LastNumber(t.Context(), 1000); n != 123 || !found || err != nil {
			t.Errorf("last number: got %d, %v, %v", n, found, err)
		}
	}
	check()
	closeHome(t, h)
	for _, name := range []string{"meta", "offline_meta", "sector-index", "common"} {
		plain(t, filepath.Join(home, name), true, func(*badger.DB) {})
		plain(t, filepath.Join(home, name), false, func(*badger.DB) {})
	}
	h = openHome(t, home, Options{})
	check()
	if got := allKeys(t, h); len(got) != 21 {
		t.Errorf("got %d sectors, want 21", len(got))
	}
}

func allKeys(t *testing.T, h *Home) []string {
	t.Helper()
	var keys []string
	err := h.Each(context.Background(), Offline, nil, func(kv KV) error { keys = append(keys, kv.Key); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// A transaction is written whole or not at all, and the error names the key
// that is not as expected. The home stays usable.
func TestApplyUnexpectedValue(t *testing.T) {
	h := openHome(t, copyHome(t), Options{Write: true})
	changes := newStates(1, 3)
	changes[2] = Change{CollectionOffline, StateKey(Offline, 1000, 100), nil, []byte("x")}
	err := h.Apply(context.Background(), changes)
	if err == nil || !strings.Contains(err.Error(), changes[2].Key) {
		t.Fatalf("got %v, want an error with the key", err)
	}
	wantValue(t, h, CollectionOffline, changes[0].Key, nil)
	apply(t, h, changes[:2]...)
	apply(t, h, changes[:2]...) // again, as after an interruption
	wantValue(t, h, CollectionOffline, changes[0].Key, changes[0].After)
}

func TestApplyOneKeyTwice(t *testing.T) {
	h := openHome(t, copyHome(t), Options{Write: true})
	apply(t, h,
		Change{CollectionCommon, "k", nil, []byte("1")},
		Change{CollectionCommon, "k", []byte("1"), []byte("2")},
		Change{CollectionCommon, "k", []byte("2"), nil},
		Change{CollectionCommon, "k", nil, []byte("3")},
	)
	wantValue(t, h, CollectionCommon, "k", []byte("3"))
}

func TestApplyRefuses(t *testing.T) {
	h := openHome(t, copyHome(t), Options{Write: true})
	for _, c := range []Change{{Store: "../meta", Key: "k", After: []byte("x")}, {Store: CollectionMeta, After: []byte("x")}} {
		if err := h.Apply(context.Background(), []Change{c}); err == nil {
			t.Errorf("%+v was written", c)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	changes := newStates(1, 1)
	if err := h.Apply(ctx, changes); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	wantValue(t, h, CollectionOffline, changes[0].Key, nil)
}

// Values below 1 KiB count in full against Badger's limit for a transaction.
func TestApplyManySmall(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	h := openHome(t, home, Options{Write: true, Create: true})
	var changes []Change
	for i := range 10_000 {
		key := StateKey(Offline, 1000, abi.SectorNumber(i))
		changes = append(changes, Change{CollectionOffline, key, nil, fmt.Appendf(nil, "%0900d", i)})
	}
	apply(t, h, changes...)
	if got := len(numbers(t, h, Offline, nil)); got != 10_000 {
		t.Errorf("got %d sectors", got)
	}
	closeHome(t, h)
	plain(t, filepath.Join(home, "offline_meta"), true, func(db *badger.DB) {
		got := 0
		_ = db.View(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.IteratorOptions{})
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				got++
			}
			return nil
		})
		if got != 10_000 {
			t.Errorf("damocles finds %d sectors", got)
		}
	})
}

// A transaction is as large as it may be: 4,000 records, or 4 MiB.
func TestFill(t *testing.T) {
	h := openHome(t, copyHome(t), Options{Write: true})
	db, err := h.engine.(*badgerEngine).db(CollectionOffline)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name        string
		count, size int
		min, max    int
	}{
		{"by count", 5000, 10, maxRecords, maxRecords},
		{"by bytes", 5000, 2048, maxBytes / 2048, maxBytes / 2048},
		{"by Badger's limit", 5000, 1000, 1000, 1500},
		{"one that is larger than all", 2, maxBytes + 1, 1, 1},
		{"all", 7, 2048, 7, 7},
	} {
		var changes []Change
		for i := range test.count {
			changes = append(changes, Change{CollectionOffline, fmt.Sprint(i), nil, make([]byte, test.size)})
		}
		txn := db.NewTransaction(true)
		n, err := fill(txn, portion(changes))
		txn.Discard()
		if err != nil || n < test.min || n > test.max {
			t.Errorf("%s: got %d, %v, want %d to %d", test.name, n, err, test.min, test.max)
		}
	}
}

// What is written during a walk is not part of it.
func TestApplyDuringEach(t *testing.T) {
	h := openHome(t, copyHome(t), Options{Write: true})
	calls := 0
	err := h.Each(context.Background(), Offline, nil, func(kv KV) error {
		calls++
		key := StateKey(Offline, 1000, kv.Number+1000)
		return h.Apply(context.Background(), []Change{{CollectionOffline, key, nil, bytes.Clone(kv.Value)}})
	})
	if err != nil || calls != 22 {
		t.Errorf("got %d calls, %v", calls, err)
	}
	if got := allKeys(t, h); len(got) != 44 {
		t.Errorf("got %d sectors, want 44", len(got))
	}
}

func TestNoSpace(t *testing.T) {
	h := &badgerEngine{base: t.TempDir()}
	free, known := freeSpace(h.base)
	if !known || free == 0 {
		t.Skipf("no room to be told of in %s", h.base)
	}
	// The same megabyte many times over: nothing is written.
	piece := make([]byte, 1<<20)
	changes := make([]Change, free>>20+1)
	for i := range changes {
		changes[i].After = piece
	}
	if err := h.checkSpace(changes); err == nil || !strings.Contains(err.Error(), h.base) {
		t.Errorf("got %v", err)
	}
}

func TestIndex(t *testing.T) {
	h := openHome(t, copyHome(t), Options{Write: true})
	id := func(n abi.SectorNumber) abi.SectorID { return abi.SectorID{Miner: 1000, Number: n} }
	want := func(id abi.SectorID, upgrade bool, want ...any) {
		t.Helper()
		sealed, cache, found, err := h.Index(t.Context(), id, upgrade)
		if got := []any{sealed, cache, found}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v %v: got %v, %v, want %v", id, upgrade, got, err, want)
		}
	}
	want(id(103), false, "t01000_01", "t01000_02", true)
	want(id(110), false, "", "", false) // has a cache entry alone
	want(id(110), true, "t01000_01", "t01000_01", true)
	want(id(999), false, "", "", false)

	change := func(id abi.SectorID, upgrade bool, sealed, cache string) []Change {
		t.Helper()
		changes, err := h.IndexChanges(t.Context(), id, upgrade, sealed, cache)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, h, changes...)
		return changes
	}
	if got := change(id(103), false, "t01000_01", "t01000_02"); len(got) != 0 {
		t.Errorf("what is there already: got %v", got)
	}
	wantChanges := []Change{
		{CollectionIndex, "m-1000-n-103", []byte("t01000_01"), []byte("new")},
		{CollectionIndex, "cache/m-1000-n-103", []byte("t01000_02"), []byte("new")},
	}
	if got := change(id(103), false, "new", "new"); !reflect.DeepEqual(got, wantChanges) {
		t.Errorf("got %v, want %v", got, wantChanges)
	}
	want(id(103), false, "new", "new", true)
	change(id(103), false, "new", "")
	want(id(103), false, "new", "new", true)
	change(id(103), false, "", "")
	want(id(103), false, "", "", false)
	change(id(999), true, "a", "b")
	want(id(999), true, "a", "b", true)
	want(id(999), false, "", "", false)
}

func TestLastNumberDamaged(t *testing.T) {
	h := openHome(t, copyHome(t), Options{Write: true})
	apply(t, h, Change{CollectionMeta, NumberKey(1000), nil, []byte{0x80}})
	if _, _, err := h.LastNumber(t.Context(), 1000); err == nil || !strings.Contains(err.Error(), NumberKey(1000)) {
		t.Errorf("got %v", err)
	}
}
