package storetest

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
)

// values come back byte for byte, and an empty one is not none.
func values(t *testing.T, k Kind) {
	h := k.home(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	cases := map[string][]byte{
		"empty": {}, "every byte": every, "zero": {0}, "no text": {0xff, 0xfe, 0xc0}, "json": []byte(`{"a":1}`),
		"just in the tables": bytes.Repeat([]byte{7}, 1023), "in the value log": bytes.Repeat([]byte{8}, 5000),
	}
	for key, value := range cases {
		apply(t, h, damocles.Change{Store: damocles.CollectionCommon, Key: key, After: value})
	}
	for key, value := range cases {
		wantValue(t, h, key, value)
	}
	wantValue(t, h, "none", nil)
	// From empty to full, back, and to nothing: each is a change of its own.
	apply(t, h, damocles.Change{Store: damocles.CollectionCommon, Key: "empty", Before: []byte{}, After: []byte("x")})
	apply(t, h, damocles.Change{Store: damocles.CollectionCommon, Key: "empty", Before: []byte("x"), After: []byte{}})
	wantValue(t, h, "empty", []byte{})
	if err := h.Apply(t.Context(), []damocles.Change{put("empty", "x")}); err == nil {
		t.Error("an empty value was taken for none")
	}
	apply(t, h, damocles.Change{Store: damocles.CollectionCommon, Key: "empty", Before: []byte{}})
	wantValue(t, h, "empty", nil)
	err := h.Apply(t.Context(), []damocles.Change{{Store: damocles.CollectionCommon, Key: "empty", Before: []byte{}, After: []byte("x")}})
	if err == nil {
		t.Error("no value was taken for an empty one")
	}
}

// notShared: what the caller does with its slices changes nothing in the home.
func notShared(t *testing.T, k Kind) {
	h := k.home(t)
	mine := []byte("value")
	apply(t, h, damocles.Change{Store: damocles.CollectionCommon, Key: "k", After: mine})
	mine[0] = 'X'
	got, _, err := h.Value(t.Context(), damocles.CollectionCommon, "k")
	if err != nil {
		t.Fatal(err)
	}
	got[1] = 'Y'
	err = h.Scan(t.Context(), damocles.CollectionCommon, "", func(_ string, v []byte) error { v[2] = 'Z'; return nil })
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, h, "k", []byte("value"))
}

// keys that differ in anything are different keys.
func keys(t *testing.T, k Kind) {
	h := k.home(t)
	names := []string{"a", "A", "ä", "a ", " a", "a/", "a//", "a\x00", "a.b", "$set", "_id", "ａ", "1", "01"}
	want := make(map[string]string)
	var changes []damocles.Change
	for _, name := range names {
		want[name] = "of " + name
		changes = append(changes, put(name, "of "+name))
	}
	apply(t, h, changes...)
	for _, name := range names {
		wantValue(t, h, name, []byte("of "+name))
	}
	wantAll(t, h, "", want)
	apply(t, h, damocles.Change{Store: damocles.CollectionCommon, Key: "A", Before: []byte("of A")})
	wantValue(t, h, "A", nil)
	wantValue(t, h, "a", []byte("of a"))
}

// prefixes mean themselves, and no other case and no pattern.
func prefixes(t *testing.T, k Kind) {
	h := k.home(t)
	names := []string{
		"m-1.*", "m-1.*x", "m-1", "m-10", "m-1xx", "M-1.*", "m-1.", "xm-1.*", "m-1.+", "(", "((", "[a]", "a", "^m", "\\", "\\d", "7",
		"é", "éa", "ê", "\U0010ffff", "\U0010ffff1", "\ue000", "z",
	}
	var changes []damocles.Change
	for _, name := range names {
		changes = append(changes, put(name, "x"))
	}
	apply(t, h, changes...)
	for _, prefix := range append([]string{"", "m-1.*y", "m-", ".", ".*"}, names...) {
		want := make(map[string]string)
		for _, name := range names {
			if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
				want[name] = "x"
			}
		}
		wantAll(t, h, prefix, want)
	}
	// The miner f01 is not the miner f010, and states are not numbers.
	for _, key := range []string{
		damocles.StateKey(damocles.Offline, 1, 5), damocles.StateKey(damocles.Offline, 10, 5),
		"Sector-States-Offline/M-1-N-7",
	} {
		apply(t, h, damocles.Change{Store: damocles.CollectionOffline, Key: key, After: []byte("{}")})
	}
	miner := abi.ActorID(1)
	var got []string
	err := h.Each(t.Context(), damocles.Offline, &miner, func(kv damocles.KV) error { got = append(got, kv.Key); return nil })
	if want := []string{damocles.StateKey(damocles.Offline, 1, 5)}; err != nil || !slices.Equal(got, want) {
		t.Errorf("of f01: got %q, %v, want %q", got, err, want)
	}
}

// badKeys: a record whose key names no sector is given as such and stops nothing.
func badKeys(t *testing.T, k Kind) {
	h := k.home(t)
	good := damocles.StateKey(damocles.Offline, 1000, 2)
	for _, key := range []string{
		"sector-states-offline/m-1000-n-1x", "sector-states-offline/", "sector-states-offline/m-1000-n-03", good,
	} {
		apply(t, h, damocles.Change{Store: damocles.CollectionOffline, Key: key, After: []byte(key)})
	}
	bad := 0
	var seen []abi.SectorNumber
	err := h.Each(t.Context(), damocles.Offline, nil, func(kv damocles.KV) error {
		if kv.ValueErr != nil || string(kv.Value) != kv.Key {
			t.Errorf("got %+v", kv)
		}
		if kv.KeyErr != nil {
			bad++
		} else {
			seen = append(seen, kv.Number)
		}
		return nil
	})
	if err != nil || bad != 3 || !slices.Equal(seen, []abi.SectorNumber{2}) {
		t.Errorf("got %d bad and %v, %v", bad, seen, err)
	}
	seen = nil
	err = h.EachNumber(t.Context(), damocles.Offline, nil, func(n abi.SectorNumber) { seen = append(seen, n) })
	if err != nil || !slices.Equal(seen, []abi.SectorNumber{2}) {
		t.Errorf("numbers: got %v, %v", seen, err)
	}
}

// order is that of the keys' bytes.
func order(t *testing.T, k Kind) {
	h := k.home(t)
	var changes []damocles.Change
	for n := range 120 {
		key := damocles.StateKey(damocles.Online, 1000, abi.SectorNumber(n))
		changes = append(changes, damocles.Change{Store: damocles.CollectionMeta, Key: key, After: []byte(key)})
	}
	apply(t, h, changes...)
	var got []string
	err := h.Each(t.Context(), damocles.Online, nil, func(kv damocles.KV) error {
		if string(kv.Value) != kv.Key {
			t.Errorf("%s holds %s", kv.Key, kv.Value)
		}
		got = append(got, kv.Key)
		return nil
	})
	if err != nil || len(got) != 120 || !slices.IsSorted(got) {
		t.Errorf("got %d keys, %v, sorted %v", len(got), err, slices.IsSorted(got))
	}
}

func numbers(t *testing.T, k Kind) {
	h := k.home(t)
	highest := func(want uint64, known bool) {
		t.Helper()
		if got, is, err := h.HighestNumber(t.Context(), 1000); got != want || is != known || err != nil {
			t.Errorf("highest: got %d, %v, %v, want %d, %v", got, is, err, want, known)
		}
	}
	highest(0, false)
	state := func(ws damocles.Workspace, miner abi.ActorID, n abi.SectorNumber) damocles.Change {
		return damocles.Change{Store: ws.Collection(), Key: damocles.StateKey(ws, miner, n), After: []byte("{}")}
	}
	apply(t, h, state(damocles.Offline, 1000, 9), state(damocles.Offline, 10001, 80), state(damocles.Online, 1000, 10))
	highest(10, true)
	apply(t, h, damocles.Change{Store: damocles.CollectionMeta, Key: damocles.NumberKey(1000), After: damocles.EncodeNumber(300)})
	highest(300, true)
	if n, known, err := h.LastNumber(t.Context(), 1000); n != 300 || !known || err != nil {
		t.Errorf("last: got %d, %v, %v", n, known, err)
	}
	if got, found, err := h.Get(t.Context(), damocles.Online, 1000, 10); string(got) != "{}" || !found || err != nil {
		t.Errorf("get: got %s, %v, %v", got, found, err)
	}
	if got, err := h.Reserved(t.Context()); got != nil || err != nil {
		t.Errorf("reserved: got %s, %v", got, err)
	}
	apply(t, h, put(damocles.ReserveKey, `{"Stats":{}}`))
	if got, err := h.Reserved(t.Context()); string(got) != `{"Stats":{}}` || err != nil {
		t.Errorf("reserved: got %s, %v", got, err)
	}
}

func index(t *testing.T, k Kind) {
	h := k.home(t)
	id := abi.SectorID{Miner: 1000, Number: 7}
	want := func(want ...any) {
		t.Helper()
		sealed, cache, found, err := h.Index(t.Context(), id, false)
		if got := []any{sealed, cache, found}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	set := func(sealed, cache string) {
		t.Helper()
		changes, err := h.IndexChanges(t.Context(), id, false, sealed, cache)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, h, changes...)
	}
	want("", "", false)
	set("one", "")
	want("one", "one", true)
	set("one", "two")
	want("one", "two", true)
	if changes, err := h.IndexChanges(t.Context(), id, false, "one", "two"); len(changes) != 0 || err != nil {
		t.Errorf("what is there already: got %v, %v", changes, err)
	}
	set("", "")
	want("", "", false)
	if got := all(t, h, damocles.CollectionIndex, ""); !maps.Equal(got, map[string]string{}) {
		t.Errorf("left: %v", got)
	}
}
