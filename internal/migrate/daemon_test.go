package migrate

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

// rpcOptions are those of the command line, with less patience.
func rpcOptions() rpc.Options {
	return rpc.Options{Jobs: 4, Retry: rpc.Retry{Attempts: 3, Base: time.Millisecond, Cap: time.Millisecond}}
}

// A damocles that refuses one, or keeps something else than was sent, is found
// out for that sector alone.
func TestDaemonThatLies(t *testing.T) {
	server := testkit.Damocles(t, testkit.DamoclesOptions{Keep: func(n uint64, state json.RawMessage) (json.RawMessage, error) {
		switch n {
		case 5001:
			return nil, errors.New("no space left on device")
		case 5002:
			return json.RawMessage(strings.Replace(string(state), `"Imported":true`, `"Imported":false`, 1)), nil
		case 5003: // the same, said in another way
			return json.RawMessage(strings.Replace(string(state), `,"Imported":true`, ` , "Imported" : true`, 1)), nil
		}
		return state, nil
	}})
	d := openDaemon(t, server, t.TempDir())
	var steps []*Step
	for n := uint64(5000); n < 5004; n++ {
		steps = append(steps, stateStep(t, d, n))
	}
	if err := d.Write(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	for i, want := range []Action{Write, Failed, Failed, Write} {
		if steps[i].Action != want {
			t.Errorf("%s: %s (%s), want %s", steps[i].ID, steps[i].Action, steps[i].Reason, want)
		}
	}
	if !strings.Contains(steps[1].Reason, "no space left on device") || !strings.Contains(steps[2].Reason, "does not hold what was written") {
		t.Errorf("the reasons are %q and %q", steps[1].Reason, steps[2].Reason)
	}
}

// A sector that damocles has by now, and that the plan does not know, is not
// written over.
func TestDaemonHasItByNow(t *testing.T) {
	server := testkit.Damocles(t, testkit.DamoclesOptions{})
	d := openDaemon(t, server, "")
	mine, theirs := stateStep(t, d, 5000), stateStep(t, d, 5000)
	for _, s := range []*Step{theirs, mine} {
		if err := d.Write(t.Context(), []*Step{s}); err != nil {
			t.Fatal(err)
		}
	}
	if mine.Action != Failed || !holds(t, d, theirs) {
		t.Errorf("%s: %s", mine.Action, mine.Reason)
	}
}

// A connection that is lost for good ends the batch with an error.
func TestDaemonIsLost(t *testing.T) {
	server := testkit.Damocles(t, testkit.DamoclesOptions{Options: testkit.Options{Fail: func(method string, _ int) testkit.Failure {
		if method == "Venus.ImportSector" {
			return testkit.Close
		}
		return testkit.Pass
	}}})
	journals := t.TempDir()
	d := openDaemon(t, server, journals)
	err := d.Write(t.Context(), []*Step{stateStep(t, d, 5000)})
	if !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if err := d.Abandon(); err != nil || openJournal(t, journals) == "" {
		t.Errorf("no open journal: %v", err)
	}
}

// A sector that damocles finalizes between the two lists is seen in both, and
// never in none.
func TestDaemonSeesWhatMoves(t *testing.T) {
	var server *testkit.DamoclesServer
	server = testkit.Damocles(t, testkit.DamoclesOptions{Options: testkit.Options{Fail: func(method string, n int) testkit.Failure {
		if method == "Venus.ListSectors" && n > 1 {
			at, err := damocles.ParseEndpoint(server.URL)
			if err != nil {
				t.Error(err)
				return testkit.Pass
			}
			err = damocles.Dial(at, rpcOptions()).FinalizeSector(t.Context(), abi.SectorID{Miner: miner, Number: 117})
			if err != nil && !errors.Is(err, damocles.ErrNotOnline) {
				t.Error(err)
			}
		}
		return testkit.Pass
	}}})
	d := openDaemon(t, server, "")
	seen := map[string]bool{}
	err := d.Each(t.Context(), sector.Numbers{}, func(r Raw) error {
		seen[nameOf(r)] = true
		return nil
	})
	if err != nil || !seen["online s-t01000-117"] || !seen["s-t01000-117"] {
		t.Errorf("%v: online %v, offline %v", err, seen["online s-t01000-117"], seen["s-t01000-117"])
	}
}
