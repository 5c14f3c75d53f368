package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sample"
	"damocles-manager/internal/testkit"
)

// sealed is a home with real sectors: 1 is CC, 2 is an upgraded one, 3 is CC with its
// cache directory in another store.
type sealed struct {
	*world
	chain map[uint64]json.RawMessage // what the chain has
	infos map[int]map[string]any     // what a caller has from the chain
}

func newSealed(t *testing.T, onChain bool) *sealed {
	t.Helper()
	dir := t.TempDir()
	b, err := sample.Network{Dir: filepath.Join(dir, "stores"), Miner: 1000, Stores: 2,
		Sectors: []sample.Wanted{{Number: 1}, {Number: 2, Snap: true}, {Number: 3, Split: true}}}.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: filepath.Join(dir, "home"), storage: filepath.Join(dir, "stores"), log: &lockedBuffer{}, jail: &jail{dir: t.TempDir()}}
	if err := b.WriteHome(t.Context(), w.dir); err != nil {
		t.Fatal(err)
	}
	s := &sealed{world: w, chain: map[uint64]json.RawMessage{}, infos: map[int]map[string]any{}}
	for _, m := range b.Members {
		n, live, key := uint64(m.Record.ID.Number), m.Record.Live().CommR, ""
		var keyCID *cid.Cid
		if m.Record.Upgraded {
			key, keyCID = m.Record.Original.CommR.String(), &m.Record.Original.CommR
		}
		s.chain[n] = testkit.OnChain(n, live.String(), key)
		s.infos[int(n)] = map[string]any{"SealProof": 5, "SectorNumber": n, "SectorKey": keyCID, "SealedCID": live}
	}
	o := worldOptions{}
	if onChain {
		o.chain = testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) { return s.chain[n], true }})
	}
	w.open(o)
	return s
}

// reasons asks for all three sectors.
func (s *sealed) reasons(strict, stateCheck bool) map[string]string {
	s.t.Helper()
	got := s.call("CheckProvable", 1000, 10, []any{s.infos[1], s.infos[2], s.infos[3]}, strict, stateCheck)
	if got.err != nil {
		s.t.Fatal(got.err)
	}
	var out map[string]string
	if err := json.Unmarshal([]byte(got.result), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *sealed) bad(strict, stateCheck bool, number int, want string) {
	s.t.Helper()
	got := s.reasons(strict, stateCheck)
	if len(got) != 1 || !strings.Contains(got[strconv.Itoa(number)], want) {
		s.t.Errorf("got %q; want %d: %q", got, number, want)
	}
}

func TestProvable(t *testing.T) {
	for _, onChain := range []bool{true, false} {
		s := newSealed(t, onChain)
		s.is("{}", "CheckProvable", 1000, 10, []any{}, true, onChain)
		for _, strict := range []bool{false, true} {
			if got := s.reasons(strict, onChain); len(got) != 0 {
				t.Errorf("chain %t, strict %t: %q", onChain, strict, got)
			}
		}
	}
}

// Each kind of damage shows for the sector that has it, and for no other.
func TestNotProvable(t *testing.T) {
	s := newSealed(t, true)
	replica := filepath.Join(s.storage, "store-1/sealed/s-t01000-1")
	good, err := os.ReadFile(replica)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(replica, make([]byte, len(good)))
	s.bad(true, false, 1, "generate vanilla proof of s-t01000-1 failed: ")
	if got := s.reasons(false, false); len(got) != 0 {
		t.Errorf("not strict: %q", got)
	}
	write(replica, good[1:])
	s.bad(true, false, 1, "sealed/s-t01000-1 for sealed file with wrong size (got 2047, expect 2048)")
	if err := os.Remove(replica); err != nil {
		t.Fatal(err)
	}
	s.bad(false, false, 1, "stat object sealed/s-t01000-1 for sealed file: ")
	write(replica, good)
	aux := filepath.Join(s.storage, "store-1/cache/s-t01000-3/p_aux")
	if _, err := os.Stat(aux); err != nil {
		aux = filepath.Join(s.storage, "store-2/cache/s-t01000-3/p_aux")
	}
	other, err := os.ReadFile(aux)
	if err != nil {
		t.Fatal(err)
	}
	// The cache of another sector, which the provers of the original take.
	mine, err := os.ReadFile(filepath.Join(s.storage, "store-1/cache/s-t01000-1/p_aux"))
	if err != nil {
		t.Fatal(err)
	}
	write(aux, mine)
	s.bad(true, false, 3, "generate vanilla proof of s-t01000-3 failed: ")
	if err := os.Remove(aux); err != nil {
		t.Fatal(err)
	}
	s.bad(false, false, 3, "stat object cache/s-t01000-3/p_aux for cache dir: ")
	write(aux, other)
	s.setIndex(1, "")
	s.bad(false, false, 1, "get private info: get private info: get location for s-t01000-1: object not found")
	s.setIndex(1, "elsewhere")
	s.bad(false, false, 1, "get objstore instance elsewhere for sealed file: instance not found: elsewhere")
	s.setIndex(1, "store-1")
	s.infos[2]["SealProof"] = 99
	s.bad(false, false, 2, "get sector size: ")
}

// The record is held against the chain, and one that lacks something crashes nothing.
func TestProvableState(t *testing.T) {
	s := newSealed(t, true)
	set := func(number int, old, new string) {
		raw := s.stored(damocles.Offline, sid(number).Number)
		changed := []byte(strings.Replace(string(raw), old, new, 1))
		if string(changed) == string(raw) {
			t.Fatalf("%s has no %s", raw, old)
		}
		s.apply(damocles.Change{Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, sid(number).Number), Before: raw, After: changed})
	}
	set(2, `"UpgradedInfo":{`, `"UpgradedInfo":null,"X":{`)
	s.bad(true, true, 2, "the local state has no UpgradedInfo")
	set(2, `"UpgradedInfo":null,"X":{`, `"UpgradedInfo":{`)
	set(1, `"Pre":{`, `"X":{`)
	s.bad(true, true, 1, "the local state has no Pre")
	set(1, `"X":{`, `"Pre":{`)
	right := s.chain[3]
	s.chain[3] = nil
	s.bad(true, true, 3, "sector s-t01000-3 is not on chain")
	s.chain[3] = testkit.OnChain(3, s.infos[1]["SealedCID"].(cid.Cid).String(), "")
	s.bad(true, true, 3, "the SealedCID on the local and the chain is inconsistent")
	s.chain[3] = right
	s.apply(damocles.Change{Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, 3), Before: s.stored(damocles.Offline, 3)})
	s.bad(true, true, 3, "not exist in Offline, maybe in Online: load state from offline: key not found")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.callCtx(ctx, "CheckProvable", 1000, 10, []any{s.infos[1]}, true, false); !errors.Is(got.err, context.Canceled) {
		t.Errorf("a caller who is gone: %s, %v", got.result, got.err)
	}
}
