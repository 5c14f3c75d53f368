package testkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// DamoclesOptions say what the stand-in of damocles-manager holds: the states of
// the fixtures, unless said otherwise.
type DamoclesOptions struct {
	Options
	// Empty leaves out the states of the fixtures.
	Empty bool
	// Online and Offline are further states, as JSON.
	Online, Offline []json.RawMessage
	// OnChain answers for the chain node that finalize asks. If nil, sectors 25,
	// 26, 27, 29, 114 to 116 and 118 are not on chain, as in the fixtures.
	OnChain func(miner, number uint64) bool
	// Keep, if set, says what is kept of a state that is imported, or with which
	// error it is refused.
	Keep func(number uint64, state json.RawMessage) (json.RawMessage, error)
}

// DamoclesServer is a damocles-manager that keeps its states in memory.
type DamoclesServer struct {
	*Server
	onChain func(miner, number uint64) bool
	keep    func(number uint64, state json.RawMessage) (json.RawMessage, error)
	info    json.RawMessage

	mu     sync.Mutex
	states map[string]map[string]json.RawMessage // workspace, key
}

// Damocles runs a stand-in of damocles-manager.
func Damocles(t testing.TB, opts DamoclesOptions) *DamoclesServer {
	t.Helper()
	d := &DamoclesServer{
		onChain: opts.OnChain,
		keep:    opts.Keep,
		info:    result(t, "rpc/damocles-manager/GetInfo.json"),
		states:  map[string]map[string]json.RawMessage{"online": {}, "offline": {}},
	}
	if d.onChain == nil {
		d.onChain = fixtureOnChain
	}
	if !opts.Empty {
		for _, path := range Glob(t, "damocles-states/*.json") {
			d.put(t, strings.Split(path[strings.LastIndex(path, "/")+1:], "-")[1], readFile(t, path))
		}
	}
	for ws, states := range map[string][]json.RawMessage{"online": opts.Online, "offline": opts.Offline} {
		for _, raw := range states {
			d.put(t, ws, raw)
		}
	}
	version := result(t, "rpc/damocles-manager/Version.json")
	d.Server = newServer(t, opts.Options, "/rpc/v0", damoclesStyle, map[string]method{
		"Venus.Version":               {call: func([]json.RawMessage) (any, error) { return version, nil }},
		"Venus.ListSectors":           {params: 2, call: d.list},
		"Venus.FindSector":            {params: 2, call: d.find},
		"Venus.FindSectorInAllStates": {params: 1, call: d.findAll},
		"Venus.ImportSector":          {params: 3, call: d.importSector},
		"Venus.FinalizeSector":        {params: 1, call: d.finalize},
		"Venus.GetInfo":               {params: 1, call: d.getInfo},
	})
	return d
}

func fixtureOnChain(_, number uint64) bool {
	return !slices.Contains([]uint64{25, 26, 27, 29, 114, 115, 116, 118}, number)
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

type sectorID struct{ Miner, Number uint64 }

func (id sectorID) key() string { return fmt.Sprintf("m-%d-n-%d", id.Miner, id.Number) }

func idOf(state []byte) (sectorID, error) {
	var s struct{ ID sectorID }
	err := json.Unmarshal(state, &s)
	return s.ID, err
}

func (d *DamoclesServer) put(t testing.TB, ws string, raw []byte) {
	t.Helper()
	id, err := idOf(raw)
	if err != nil {
		t.Fatal(err)
	}
	d.states[ws][id.key()] = compact(t, raw)
}

// State returns what a workspace ("online", "offline") holds of a sector; nil if
// nothing.
func (d *DamoclesServer) State(ws string, miner, number uint64) json.RawMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.states[ws][sectorID{miner, number}.key()]
}

// Count returns how many sectors a workspace holds.
func (d *DamoclesServer) Count(ws string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.states[ws])
}

func (d *DamoclesServer) workspace(param json.RawMessage) (map[string]json.RawMessage, string, error) {
	var ws string
	if err := json.Unmarshal(param, &ws); err != nil {
		return nil, "", err
	}
	states, ok := d.states[ws]
	if !ok {
		return nil, ws, fmt.Errorf("kv for worker state %s does not exist", ws)
	}
	return states, ws, nil
}

func (d *DamoclesServer) list(params []json.RawMessage) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	states, _, err := d.workspace(params[0])
	if err != nil {
		return nil, fmt.Errorf("get iter for All: get iter: %w", err)
	}
	all := []json.RawMessage{}
	for _, key := range slices.Sorted(maps.Keys(states)) {
		if matchesJob(states[key], string(params[1])) {
			all = append(all, states[key])
		}
	}
	return all, nil
}

func matchesJob(state json.RawMessage, job string) bool {
	var s struct{ Upgraded, NeedRebuild, Unsealing bool }
	if err := json.Unmarshal(state, &s); err != nil {
		return false
	}
	switch job {
	case "0":
		return true
	case "1":
		return !s.Upgraded && !s.NeedRebuild && !s.Unsealing
	case "2":
		return s.Upgraded && !s.NeedRebuild && !s.Unsealing
	case "3":
		return s.NeedRebuild
	}
	return job == "4" && s.Unsealing
}

func (d *DamoclesServer) find(params []json.RawMessage) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	states, ws, err := d.workspace(params[0])
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	var id sectorID
	if err := json.Unmarshal(params[1], &id); err != nil {
		return nil, err
	}
	state, ok := states[id.key()]
	if !ok {
		return nil, fmt.Errorf("load state from %s: key not found", ws)
	}
	return state, nil
}

func (d *DamoclesServer) findAll(params []json.RawMessage) (any, error) {
	for _, ws := range []string{`"online"`, `"offline"`} {
		if state, err := d.find([]json.RawMessage{json.RawMessage(ws), params[0]}); err == nil {
			return state, nil
		}
	}
	return nil, fmt.Errorf("key not found")
}

func (d *DamoclesServer) importSector(params []json.RawMessage) (any, error) {
	if string(params[1]) == "null" {
		return false, nil
	}
	id, err := idOf(params[1])
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	states, _, err := d.workspace(params[0])
	if err != nil {
		return nil, fmt.Errorf("save: %w", err)
	}
	if _, exists := states[id.key()]; exists && string(params[2]) != "true" {
		return false, nil
	}
	state := params[1]
	if d.keep != nil {
		if state, err = d.keep(id.Number, state); err != nil {
			return nil, err
		}
	}
	states[id.key()] = bytes.Clone(state)
	return true, nil
}

func (d *DamoclesServer) finalize(params []json.RawMessage) (any, error) {
	var id sectorID
	if err := json.Unmarshal(params[0], &id); err != nil {
		return nil, err
	}
	if !d.onChain(id.Miner, id.Number) {
		return nil, fmt.Errorf("sector {%d %d} for miner f0%d not found", id.Miner, id.Number, id.Miner)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	state, ok := d.states["online"][id.key()]
	if !ok {
		return nil, &Error{11001, "error code 11001: sector state not found"}
	}
	d.states["offline"][id.key()] = bytes.Replace(state, []byte(`"Finalized":false`), []byte(`"Finalized":true`), 1)
	delete(d.states["online"], id.key())
	return void{}, nil
}

func (d *DamoclesServer) getInfo(params []json.RawMessage) (any, error) {
	if string(params[0]) != "1000" {
		return nil, fmt.Errorf("get miner info: actor not found")
	}
	return d.info, nil
}
