package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/serve"
)

func count(list string) int { return strings.Count(list, `"SectorType"`) }

func TestListJobs(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for job, want := range map[int]int{0: 22, 1: 16, 2: 4, 3: 1, 4: 1, 5: 0, -1: 0} {
		if got := w.call("ListSectors", "offline", job); got.err != nil || count(got.result) != want {
			t.Errorf("job %d: %d sectors, %v; want %d", job, count(got.result), got.err, want)
		}
	}
	w.is("[]", "ListSectors", "online", 3)
}

// A record that cannot be read is left out, logged and counted; the others are listed.
// Asked for by its number, it is an error that names what is wrong.
func TestUnreadableRecord(t *testing.T) {
	w := newWorld(t, worldOptions{})
	before := w.stored(damocles.Offline, 100)
	w.apply(
		damocles.Change{Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, 100), Before: before, After: []byte(`{"ID":{"Miner":"x"}}`)},
		damocles.Change{Store: damocles.CollectionOffline, Key: "sector-states-offline/m-1000-n-05", After: []byte(`{`)},
	)
	if got := w.call("ListSectors", "offline", 0); got.err != nil || count(got.result) != 21 {
		t.Errorf("%d sectors, %v", count(got.result), got.err)
	}
	for _, key := range []string{"m-1000-n-100 ", "m-1000-n-05 "} {
		if !strings.Contains(w.log.String(), "key=sector-states-offline/"+key) {
			t.Errorf("%s is not logged: %s", key, w.log)
		}
	}
	w.refuses("load state from offline: decode sector state: ID.Miner", "FindSector", "offline", sid(100))
	w.refuses("load state from offline: decode sector state: ID.Miner", "FindSectorInAllStates", sid(100))
	w.refuses("decode sector state", "RestoreSector", sid(100), true)
}

// A list is given in portions, stops when its reader does, and sees nothing that is
// written meanwhile.
func TestListStops(t *testing.T) {
	w := newWorld(t, worldOptions{})
	m := w.methods["Venus.ListSectors"]
	list := func(ctx context.Context, emit func(json.RawMessage) error) error {
		result, err := m.Call(ctx, []json.RawMessage{json.RawMessage(`"offline"`), json.RawMessage(`0`)})
		if err != nil {
			t.Fatal(err)
		}
		return result.(serve.Elements)(ctx, emit)
	}
	n, broken := 0, errors.New("the connection is gone")
	if err := list(t.Context(), func(json.RawMessage) error {
		if n++; n == 3 {
			return broken
		}
		return nil
	}); !errors.Is(err, broken) || n != 3 {
		t.Errorf("%d were given, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	if err := list(ctx, func(json.RawMessage) error {
		n++
		cancel()
		return nil
	}); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%d were given, %v", n, err)
	}
	n = 0
	err := list(t.Context(), func(json.RawMessage) error {
		if n++; n == 1 {
			w.is("true", "ImportSector", "offline", json.RawMessage(byTheOriginal), false)
		}
		return nil
	})
	if err != nil || n != 22 {
		t.Errorf("%d were given, %v", n, err)
	}
}

// null, not [], is the original's answer where nothing is found.
func TestFindDeals(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for deal, number := range map[int]int{7106: 106, 7104: 104} { // Pieces, Deals
		got := w.call("FindSectorsWithDeal", "offline", deal)
		if want := "[" + w.call("FindSector", "offline", sid(number)).result + "]"; got.err != nil || got.result != want {
			t.Errorf("deal %d: %s, %v", deal, shorten(got.result), got.err)
		}
	}
	w.is("null", "FindSectorsWithDeal", "offline", 4106) // an epoch of 106
	w.is("null", "FindSectorsWithDeal", "online", 7106)
	w.refuses("empty deal id", "FindSectorsWithDeal", "offline", 0)
	w.refuses("iterate sectors: get iter for ForEach: get iter: kv for worker state x does not exist", "FindSectorsWithDeal", "x", 1)
	w.refuses("iterate sectors: get iter for ForEach: get iter: kv for worker state x does not exist", "FindSectorWithPiece", "x",
		json.RawMessage(`{"/":"baga6ea4seaqfasr4zipifni3mps6britjuukdwiqq2i56jwipwroncvsrwk7qpq"}`))
}

func TestFindPiece(t *testing.T) {
	w := newWorld(t, worldOptions{})
	piece := json.RawMessage(`{"/":"baga6ea4seaqfasr4zipifni3mps6britjuukdwiqq2i56jwipwroncvsrwk7qpq"}`)
	w.is(w.call("FindSector", "offline", sid(106)).result, "FindSectorWithPiece", "offline", piece)
	w.is("null", "FindSectorWithPiece", "online", piece)
	// The CommD of a sector is no piece of it.
	w.is("null", "FindSectorWithPiece", "offline", json.RawMessage(`{"/":"baga6ea4seaqo7i52bkiwloueolim4rqaxoeb7eaykt7dfaasjwecocxjg6zwwda"}`))
	legacy, err := damocles.DecodeState(w.stored(damocles.Offline, 104))
	if err != nil {
		t.Fatal(err)
	}
	w.is(w.call("FindSector", "offline", sid(104)).result, "FindSectorWithPiece", "offline", legacy.Deals[0].Piece.Cid)
	// Of several, the last one.
	raw := strings.Replace(w.call("FindSector", "offline", sid(106)).result, `"Number":106`, `"Number":99`, 1)
	w.is("true", "ImportSector", "offline", json.RawMessage(raw), false)
	w.is(raw, "FindSectorWithPiece", "offline", piece)
}
