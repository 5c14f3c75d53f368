package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

// reserve lets the home have room reserved for sectors.
func (w *world) reserve(summary string) {
	w.t.Helper()
	before, err := w.home.Reserved(w.t.Context())
	if err == nil {
		err = w.home.Apply(w.t.Context(), []damocles.Change{{Store: damocles.CollectionCommon, Key: damocles.ReserveKey, Before: before, After: []byte(summary)}})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

const summary = `{"Stats":{"t01000_01":{"ReservedSize":7,"Reserved":{"s-t01000-117":{"By":"s-t01000-117","Size":4,"At":9},"s-t01000-9":{"By":"s-t01000-9","Size":3,"At":8}}}}}`

func TestFinalize(t *testing.T) {
	w := newWorld(t, worldOptions{chain: testkit.Chain(t, testkit.ChainOptions{})})
	w.reserve(summary)
	list := w.call("StoreList")
	if want := `"Reserved":7,"ReservedBy":[{"By":"s-t01000-9","Size":3,"At":8},{"By":"s-t01000-117","Size":4,"At":9}]}`; !strings.Contains(list.result, want) {
		t.Errorf("StoreList says %s", list.result)
	}
	before := w.stored(damocles.Online, 117)
	w.refuses("sector {1000 118} for miner f01000 not found", "FinalizeSector", sid(118))
	if got := w.call("FinalizeSector", sid(100)); got.err == nil || code(got.err) != 11001 || got.err.Error() != "error code 11001: sector state not found" {
		t.Errorf("one that is offline: %v", got.err)
	}
	w.is("void", "FinalizeSector", sid(117))
	if w.stored(damocles.Online, 117) != nil {
		t.Error("it is still online")
	}
	if got, want := string(w.stored(damocles.Offline, 117)), strings.Replace(string(before), `"Finalized":false`, `"Finalized":true`, 1); got != want {
		t.Errorf("offline is %s", got)
	}
	if left, err := w.home.Reserved(t.Context()); err != nil || string(left) != `{"Stats":{"t01000_01":{"ReservedSize":3,"Reserved":{"s-t01000-9":{"By":"s-t01000-9","Size":3,"At":8}}}}}` {
		t.Errorf("reserved is %s, %v", left, err)
	}
	w.is("true", "StoreReleaseReserved", sid(9))
	w.is("false", "StoreReleaseReserved", sid(9))
}

// What the chain does not confirm, or what is no finished sector, stays online.
func TestFinalizeRefuses(t *testing.T) {
	const other = "bagboea4b5abcbanw5r22grt3vtksd4l42s5wl6wu5qjq47c4nekripa2526hmljq"
	on := testkit.OnChain(117, other, "")
	w := newWorld(t, worldOptions{chain: testkit.Chain(t, testkit.ChainOptions{
		Sector: func(_, number uint64) (json.RawMessage, bool) {
			if number == 118 {
				return testkit.OnChain(118, other, ""), true
			}
			return on, number == 117
		},
	})})
	w.refuses("the chain's CommR is "+other, "FinalizeSector", sid(117))
	on = testkit.OnChain(117, other, "bagboea4b5abca6csvohmgmslkavas7bkb6axnk3waktqse6cfmberj5cce2hgn2n")
	w.refuses("its metadata says upgraded false, the chain true", "FinalizeSector", sid(117))
	w.refuses("it has no CommR: its sealing never came so far", "FinalizeSector", sid(118))
}

// What a stop between the two writes of a move leaves behind is finished by the next
// call; two states that differ are nobody's to decide.
func TestMoveAfterAStop(t *testing.T) {
	w := newWorld(t, worldOptions{chain: testkit.Chain(t, testkit.ChainOptions{})})
	online := w.stored(damocles.Online, 117)
	final := []byte(strings.Replace(string(online), `"Finalized":false`, `"Finalized":true`, 1))
	key := damocles.StateKey(damocles.Offline, 1000, 117)
	put := func(before, after []byte) {
		if err := w.home.Apply(t.Context(), []damocles.Change{{Store: damocles.CollectionOffline, Key: key, Before: before, After: after}}); err != nil {
			t.Fatal(err)
		}
	}
	other := []byte(strings.Replace(string(final), `"Imported":false`, `"Imported":true`, 1))
	put(nil, other)
	w.refuses("the two differ", "FinalizeSector", sid(117))
	w.refuses("the two differ", "RestoreSector", sid(117), true)
	put(other, final)
	w.is("void", "FinalizeSector", sid(117))
	if w.stored(damocles.Online, 117) != nil || string(w.stored(damocles.Offline, 117)) != string(final) {
		t.Error("the move was not finished")
	}
	w.is("null", "RestoreSector", sid(117), true)
	if w.stored(damocles.Offline, 117) != nil || string(w.stored(damocles.Online, 117)) != string(online) {
		t.Error("it did not come back as it was")
	}
}

func TestRestore(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.refuses("load from offline store: load state from offline: key not found", "RestoreSector", sid(999), false)
	w.refuses("callback failed before restore: sector is not aborted, can not be normally restored", "RestoreSector", sid(100), false)
	for _, number := range []int{104, 106} { // Deals, Pieces
		w.refuses("callback failed before restore: sector with deals can not be normally restored", "RestoreSector", sid(number), false)
	}
	w.refuses("delete its first replica", "RestoreSector", sid(110), true)
	aborted := string(w.stored(damocles.Offline, 114))
	w.is("null", "RestoreSector", sid(114), false)
	want := strings.NewReplacer(`"Finalized":true`, `"Finalized":false`, `"AbortReason":"aborted via CLI"`, `"AbortReason":""`).Replace(aborted)
	if got := string(w.stored(damocles.Online, 114)); got != want || w.stored(damocles.Offline, 114) != nil {
		t.Errorf("online is %s", got)
	}
	// Offline, NeedSend does nothing; online, it would send.
	raw := strings.Replace(string(fixtureState(t, "100-offline-cc")), `"NeedSend":false`, `"NeedSend":true`, 1)
	w.is("true", "ImportSector", "offline", json.RawMessage(raw), true)
	w.refuses("damocles would send", "RestoreSector", sid(100), true)
}
