package testkit

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// post sends a captured request and returns the reply as it came.
func post(t *testing.T, url string, x Exchange) (int, string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": x.Request.Method, "params": x.Request.Params})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

// The stand-ins have to answer byte for byte what the real programs answered.
func TestRepliesAreThoseOfTheRealPrograms(t *testing.T) {
	servers := map[string]string{
		"lotus-miner":      Lotus(t, LotusOptions{}).URL,
		"damocles-manager": Damocles(t, DamoclesOptions{}).URL,
		"chain":            Chain(t, ChainOptions{}).ServeHead(time.Unix(1700000000, 0)).URL,
	}
	// What the stand-ins do not serve.
	skip := map[string]bool{
		"bad-token.json": true, "SectorsListInStates.json": true, "StorageFindSector.json": true,
		"StoreList.json": true, "StoreBasicInfo.json": true,
	}
	compared := 0
	for dir, url := range servers {
		for _, path := range Glob(t, "rpc/"+dir+"/*.json") {
			name := filepath.Base(path)
			if skip[name] || strings.HasPrefix(name, "SectorIndexerFind") || strings.HasPrefix(name, "ProvingSectorInfo") {
				continue
			}
			x := ReadExchange(t, path)
			_, got := post(t, url, x)
			if want := string(x.Response); got != unescape(want) && got != want {
				t.Errorf("%s/%s:\n got %s\nwant %s", dir, name, got, want)
			}
			compared++
		}
	}
	if compared < 100 {
		t.Errorf("compared only %d exchanges", compared)
	}
}

// unescape: the capture tool wrote < and > plainly, the programs escape them.
func unescape(s string) string {
	return strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(s)
}

// Sectors that the running lotus-miner did not move on must look the same when
// they are made from the repo's records.
func TestFromRepoJSONHasTheShapeOfTheAPI(t *testing.T) {
	url := Lotus(t, LotusOptions{FromRepoJSON: true}).URL
	moved := map[string]bool{"22": true, "26": true, "29": true}
	for _, path := range Glob(t, "rpc/lotus-miner/SectorsStatus-[0-9][0-9]*.json") {
		x := ReadExchange(t, path)
		_, got := post(t, url, x)
		if same := got == string(x.Response); same == moved[string(x.Request.Params[0])] {
			t.Errorf("%s: same %v:\n got %s\nwant %s", filepath.Base(path), same, got, x.Response)
		}
	}
	for number, state := range map[string]string{"22": "ReleaseSectorKey", "23": "FinalizeReplicaUpdate", "26": "WaitDeals", "29": "TerminateFinality"} {
		x := Exchange{}
		x.Request.Method = "Filecoin.SectorsStatus"
		x.Request.Params = []json.RawMessage{json.RawMessage(number), json.RawMessage("false")}
		if _, got := post(t, url, x); !strings.Contains(got, `"State":"`+state+`"`) {
			t.Errorf("sector %s is not %s: %s", number, state, got)
		}
	}
}

func TestProtocolErrorsAreHTTP500(t *testing.T) {
	x := ReadExchange(t, Fixture(t, "rpc/damocles-manager/method-missing.json"))
	if status, _ := post(t, Damocles(t, DamoclesOptions{}).URL, x); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
}

func TestFinalizeMovesTheState(t *testing.T) {
	d := Damocles(t, DamoclesOptions{})
	x := Exchange{}
	x.Request.Method = "Venus.FinalizeSector"
	for number, want := range map[string]string{
		"117": `{"jsonrpc":"2.0","id":1}`,
		"118": `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"sector {1000 118} for miner f01000 not found"}}`,
		"100": `{"jsonrpc":"2.0","id":1,"error":{"code":11001,"message":"error code 11001: sector state not found"}}`,
	} {
		x.Request.Params = []json.RawMessage{json.RawMessage(`{"Miner":1000,"Number":` + number + `}`)}
		if _, got := post(t, d.URL, x); got != want {
			t.Errorf("finalize %s:\n got %s\nwant %s", number, got, want)
		}
	}
	if d.State("online", 1000, 117) != nil || !strings.Contains(string(d.State("offline", 1000, 117)), `"Finalized":true`) {
		t.Error("117 did not move to the offline workspace as finalized")
	}
}

func TestCopyDir(t *testing.T) {
	src := Fixture(t, "damocles-states")
	dst := CopyDir(t, src)
	want, err := os.ReadDir(src)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadDir(dst)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d entries (%v), want %d", len(got), err, len(want))
	}
	if err := os.WriteFile(filepath.Join(dst, got[0].Name()), nil, 0o600); err != nil {
		t.Errorf("the copy cannot be written: %v", err)
	}
}
