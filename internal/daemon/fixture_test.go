package daemon_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"damocles-manager/internal/testkit"
)

// Every captured request gets the answer that the original gave, byte for byte, but for
// the paths of the stores and the sizes of the disk.
func TestAnswersAsTheOriginal(t *testing.T) {
	w := newWorld(t, worldOptions{chain: testkit.Chain(t, testkit.ChainOptions{})})
	disk := regexp.MustCompile(`"Type":"[^"]*","Total":\d+,"Free":\d+,"Used":\d+,"UsedPercent":[0-9.]+`)
	seen := 0
	for _, path := range testkit.Glob(t, "rpc/damocles-manager/*.json") {
		x := testkit.ReadExchange(t, path)
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, known := w.methods[x.Request.Method]
			if !known {
				if x.Request.Method != "Venus.NoSuchMethod" {
					t.Fatalf("there is no method %s", x.Request.Method)
				}
				return // the server answers it
			}
			if m.Params != len(x.Request.Params) {
				t.Fatalf("it takes %d parameters, the original %d", m.Params, len(x.Request.Params))
			}
			seen++
			var params []any
			for _, p := range x.Request.Params {
				params = append(params, p)
			}
			got := w.call(strings.TrimPrefix(x.Request.Method, "Venus."), params...)
			if x.Error != nil {
				if got.err == nil || got.err.Error() != x.Error.Message || code(got.err) != x.Error.Code {
					t.Fatalf("got %s, %v; want %v", got.result, got.err, x.Error)
				}
				return
			}
			want := strings.ReplaceAll(string(x.Result), `"/storage/`, `"`+w.storage+`/`)
			if got.err != nil || disk.ReplaceAllString(got.result, "disk") != disk.ReplaceAllString(want, "disk") {
				t.Errorf("got  %s, %v\nwant %s", got.result, got.err, want)
			}
		})
	}
	if seen < 17 {
		t.Errorf("only %d requests were tried", seen)
	}
}

// A chain node that leaves keys out, adds some, or writes blanks is handed on as it is.
func TestProvingSectorInfoKeepsTheChainsWords(t *testing.T) {
	odd := json.RawMessage(`{ "SectorNumber": 100, "New":"<nil>", "SealedCID":{"/":"bagboea4b5abcbanw5r22grt3vtksd4l42s5wl6wu5qjq47c4nekripa2526hmljq"}, "SectorKeyCID":null,"DailyFee":"\u003cnil\u003e"}`)
	w := newWorld(t, worldOptions{chain: testkit.Chain(t, testkit.ChainOptions{
		Sector: func(_, number uint64) (json.RawMessage, bool) { return odd, number == 100 },
	})})
	got := w.call("ProvingSectorInfo", sid(100))
	want := `{"OnChain":{"SectorNumber":100,"New":"\u003cnil\u003e","SealedCID":{"/":"bagboea4b5abcbanw5r22grt3vtksd4l42s5wl6wu5qjq47c4nekripa2526hmljq"},"SectorKeyCID":null,"DailyFee":"\u003cnil\u003e"},"Private":`
	if got.err != nil || !strings.HasPrefix(got.result, want) {
		t.Errorf("got %s, %v", got.result, got.err)
	}
	w.refuses("get sector info: sector s-t01000-115 is not on chain", "ProvingSectorInfo", sid(115))
}

func TestMethods(t *testing.T) {
	w := newWorld(t, worldOptions{})
	admin := 0
	for name, m := range w.methods {
		if m.Perm.String() == "admin" {
			admin++
			if !regexp.MustCompile(`^Venus\.(Import|Restore|Finalize|Remove|StoreReleaseReserved)`).MatchString(name) {
				t.Errorf("%s needs the permission admin", name)
			}
		}
		if m.Perm.String() == "none" {
			t.Errorf("%s needs no permission", name)
		}
	}
	if admin != 5 {
		t.Errorf("%d methods need the permission admin", admin)
	}
	want := "Venus.TerminateSector is not supported here: this manager sends no messages to the chain; do it with the original damocles-manager over the same home, while this one is stopped"
	if got := w.call("TerminateSector", sid(1)); got.err == nil || got.err.Error() != want || code(got.err) != 1 {
		t.Errorf("got %v", got.err)
	}
	w.is(`{"Actor":1000}`, "GetMinerConfig", 1000)
	w.refuses("config for miner actor 7 not found", "GetMinerConfig", 7)
}

// Without a chain node the methods that need one say so, and how to give one.
func TestWithoutChain(t *testing.T) {
	w := newWorld(t, worldOptions{})
	for _, call := range [][]any{
		{"FinalizeSector", sid(117)}, {"RemoveSector", sid(115)}, {"ProvingSectorInfo", sid(100)}, {"GetInfo", 1000},
		{"CheckProvable", 1000, 10, json.RawMessage(`[]`), true, true},
	} {
		w.refuses("this damocles-manager has no chain node; give one as Chain", call[0].(string), call[1:]...)
	}
}

func TestGetInfo(t *testing.T) {
	s := testkit.Chain(t, testkit.ChainOptions{Options: testkit.Options{Results: map[string]json.RawMessage{
		"Filecoin.StateMinerInfo": json.RawMessage(`{"Owner":"f02","Worker":"f02","WindowPoStProofType":8,"SectorSize":34359738368}`),
	}}})
	w := newWorld(t, worldOptions{chain: s})
	for range 2 {
		w.is(`{"ID":7,"Addr":"f07","SectorSize":34359738368,"WindowPoStProofType":8,"SealProofType":8}`, "GetInfo", 7)
	}
	if n := s.Calls("Filecoin.StateMinerInfo"); n != 1 {
		t.Errorf("the chain was asked %d times", n)
	}
}
