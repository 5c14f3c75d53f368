package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// Parameters of the wrong kind are an error of the protocol, whatever the method, and
// none of them is taken for a zero.
func TestParams(t *testing.T) {
	w := newWorld(t, worldOptions{})
	const id, ws = `{"Miner":1000,"Number":100}`, `"offline"`
	for _, tt := range []struct {
		method string
		params []string
		want   string // of which every word has to be there
	}{
		{"ListSectors", []string{`1`, `0`}, "core.SectorWorkerState|number"},
		{"ListSectors", []string{`null`, `0`}, "core.SectorWorkerState|null"},
		{"ListSectors", []string{ws, `"0"`}, "core.SectorWorkerJob|string"},
		{"ListSectors", []string{ws, `1e400`}, "core.SectorWorkerJob"},
		{"ListSectors", []string{ws, `99999999999999999999`}, "core.SectorWorkerJob"},
		{"ListSectors", []string{ws, `0.5`}, "core.SectorWorkerJob"},
		{"FindSector", []string{ws, `{"Miner":-1,"Number":1}`}, "abi.SectorID|Miner"},
		{"FindSector", []string{ws, `{"Miner":1000,"Number":-1}`}, "abi.SectorID|Number"},
		{"FindSector", []string{ws, `{"Miner":1000,"Number":18446744073709551616}`}, "abi.SectorID|Number"},
		{"FindSector", []string{ws, `{"Miner":1000,"Number":18446744073709551615}`}, "there is no sector 18446744073709551615"},
		{"FindSector", []string{ws, `{"Miner":18446744073709551615,"Number":1}`}, "of miner 18446744073709551615"},
		{"FindSector", []string{ws, `{"Miner":"f01000","Number":1}`}, "abi.SectorID|Miner|string"},
		{"FindSector", []string{ws, `{"Miner":1000}`}, "it has to have a Miner and a Number"},
		{"FindSector", []string{ws, `{}`}, "it has to have a Miner and a Number"},
		{"FindSector", []string{ws, `null`}, "abi.SectorID|null"},
		{"FindSector", []string{ws, `[1000,1]`}, "abi.SectorID|array"},
		{"FindSector", []string{ws, `"s-t01000-1"`}, "abi.SectorID|string"},
		{"FindSectorInAllStates", []string{`1`}, "abi.SectorID|number"},
		{"FindSectorsWithDeal", []string{ws, `-1`}, "abi.DealID|number"},
		{"FindSectorsWithDeal", []string{ws, `"7"`}, "abi.DealID|string"},
		{"FindSectorWithPiece", []string{ws, `"baga"`}, "cid.Cid"},
		{"FindSectorWithPiece", []string{ws, `{"/":"x"}`}, "cid.Cid"},
		{"FindSectorWithPiece", []string{ws, `null`}, "cid.Cid|null"},
		{"ImportSector", []string{ws, `[]`, `false`}, "core.SectorState"},
		{"ImportSector", []string{ws, `{"ID":{"Miner":-1}}`, `false`}, "core.SectorState|ID.Miner"},
		{"ImportSector", []string{ws, `{"Pre":{"CommR":{"/":""}}}`, `false`}, "core.SectorState|Pre.CommR"},
		{"ImportSector", []string{ws, `{}`, `"yes"`}, "bool|string"},
		{"ImportSector", []string{ws, `{}`, `null`}, "bool|null"},
		{"RestoreSector", []string{id, `1`}, "bool|number"},
		{"FinalizeSector", []string{`null`}, "abi.SectorID|null"},
		{"RemoveSector", []string{`{"Number":100}`}, "it has to have a Miner and a Number"},
		{"RemoveSector", []string{`null`}, "abi.SectorID|null"},
		{"SectorIndexerFind", []string{`1`, id}, "core.SectorIndexType|number"},
		{"ProvingSectorInfo", []string{`{"Miner":1000,"Number":1.5}`}, "abi.SectorID|Number"},
		{"CheckProvable", []string{`-1`, `10`, `[]`, `false`, `false`}, "abi.ActorID"},
		{"CheckProvable", []string{`1000`, `"10"`, `[]`, `false`, `false`}, "abi.RegisteredPoStProof"},
		{"CheckProvable", []string{`1000`, `10`, `{}`, `false`, `false`}, "[]builtin.ExtendedSectorInfo"},
		{"CheckProvable", []string{`1000`, `10`, `[{"SectorNumber":-1}]`, `false`, `false`}, "[]builtin.ExtendedSectorInfo"},
		{"CheckProvable", []string{`1000`, `10`, `[]`, `0`, `false`}, "bool"},
		{"StoreBasicInfo", []string{`7`}, "string|number"},
		{"StoreReleaseReserved", []string{`{}`}, "it has to have a Miner and a Number"},
		{"GetInfo", []string{`"f01000"`}, "abi.ActorID|string"},
		{"GetInfo", []string{`-5`}, "abi.ActorID"},
		{"GetMinerConfig", []string{`1.5`}, "abi.ActorID"},
	} {
		var params []any
		for _, p := range tt.params {
			params = append(params, json.RawMessage(p))
		}
		got := w.call(tt.method, params...)
		prefix := "(error code -32700) unmarshaling params for 'Venus." + tt.method + "' (param: *"
		if got.err == nil || code(got.err) != -32700 || !strings.HasPrefix(got.err.Error(), prefix) {
			t.Errorf("%s%s: got %s, %v", tt.method, tt.params, got.result, got.err)
			continue
		}
		for _, word := range strings.Split(tt.want, "|") {
			if !strings.Contains(got.err.Error(), word) {
				t.Errorf("%s%s: %v does not say %s", tt.method, tt.params, got.err, word)
			}
		}
	}
	w.refuses("sector indexer of type sideways is not supported", "SectorIndexerFind", "sideways", sid(100))
	w.is(`{"Found":false,"Instance":{"SealedFile":"","CacheDir":""}}`, "SectorIndexerFind", "upgrade", sid(100))
	w.is("null", "StoreBasicInfo", "none")
	w.refuses("key not found", "FindSectorInAllStates", sid(999))
}

// A store whose disk does not answer is left out; what a configuration says of one is told.
func TestStores(t *testing.T) {
	w := newWorld(t, worldOptions{config: "\n[[Common.PersistStores]]\nName = \"gone\"\nPath = \"/none/such\"\nReadOnly = true\nStrict = true\nWeight = 3\n[Common.PersistStores.Meta]\nk = \"v\"\n"})
	w.is(`{"Name":"gone","Path":"/none/such","Strict":true,"ReadOnly":true,"Weight":3,"Meta":{"k":"v"}}`, "StoreBasicInfo", "gone")
	got := w.call("StoreList")
	if got.err != nil || strings.Count(got.result, `"Name"`) != 2 || strings.Contains(got.result, "gone") {
		t.Errorf("got %s, %v", got.result, got.err)
	}
	if !strings.Contains(w.log.String(), "store=gone") {
		t.Errorf("it is not logged: %s", w.log)
	}
	w.reserve("{")
	if got := w.call("StoreList"); got.err != nil || strings.Count(got.result, `"ReservedBy":[]`) != 2 {
		t.Errorf("without what is reserved: %s, %v", got.result, got.err)
	}
	w.refuses("release reserved: read what is reserved in the stores", "StoreReleaseReserved", sid(100))
}
