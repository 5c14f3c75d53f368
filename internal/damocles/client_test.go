package damocles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func dialTest(t *testing.T, s *testkit.DamoclesServer) *Client {
	t.Helper()
	at, err := ParseEndpoint(s.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	return Dial(at, rpc.Options{Retry: rpc.Retry{Base: time.Millisecond, Cap: 2 * time.Millisecond}})
}

func id(number uint64) abi.SectorID {
	return abi.SectorID{Miner: 1000, Number: abi.SectorNumber(number)}
}

func TestClientReads(t *testing.T) {
	ctx := context.Background()
	c := dialTest(t, testkit.Damocles(t, testkit.DamoclesOptions{}))
	if v, err := c.Version(ctx); err != nil || v != "v0.13.1-fake-" {
		t.Errorf("Version: %q, %v", v, err)
	}
	info, err := c.GetInfo(ctx, 1000)
	if err != nil || info.ID != 1000 || info.Addr.String() != "f01000" || info.SectorSize != 2048 || info.WindowPoStProofType != 10 || info.SealProofType != 5 {
		t.Errorf("GetInfo: %+v, %v", info, err)
	}
	want := testkit.ReadExchange(t, testkit.Fixture(t, "rpc/damocles-manager/FindSector.json")).Result
	if got, found, err := c.FindSector(ctx, Offline, id(106)); err != nil || !found || string(got) != string(want) {
		t.Errorf("FindSector: %v, %v, %s", found, err, got)
	}
	want = testkit.ReadExchange(t, testkit.Fixture(t, "rpc/damocles-manager/FindSectorInAllStates.json")).Result
	if got, found, err := c.FindSectorInAllStates(ctx, id(118)); err != nil || !found || string(got) != string(want) {
		t.Errorf("FindSectorInAllStates: %v, %v, %s", found, err, got)
	}
}

func TestNotFoundIsNoError(t *testing.T) {
	ctx := context.Background()
	c := dialTest(t, testkit.Damocles(t, testkit.DamoclesOptions{}))
	if raw, found, err := c.FindSector(ctx, Offline, id(999)); err != nil || found || raw != nil {
		t.Errorf("%s, %v, %v", raw, found, err)
	}
	if raw, found, err := c.FindSectorInAllStates(ctx, id(999)); err != nil || found || raw != nil {
		t.Errorf("%s, %v, %v", raw, found, err)
	}
	_, found, err := c.FindSector(ctx, "sideways", id(100))
	if e, ok := errors.AsType[*rpc.RPCError](err); !ok || found || e.Message != "load: kv for worker state sideways does not exist" {
		t.Errorf("%v, %v", found, err)
	}
}

func listNumbers(c *Client, ws Workspace) ([]uint64, error) {
	var numbers []uint64
	err := c.ListSectors(context.Background(), ws, func(raw json.RawMessage) error {
		var s struct{ ID abi.SectorID }
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		numbers = append(numbers, uint64(s.ID.Number))
		return nil
	})
	return numbers, err
}

func TestListSectors(t *testing.T) {
	d := testkit.Damocles(t, testkit.DamoclesOptions{Offline: []json.RawMessage{
		json.RawMessage(`{"ID":{"Miner":1000,"Number":2}}`), json.RawMessage(`{"ID":{"Miner":1000,"Number":1000}}`)}})
	c := dialTest(t, d)
	got, err := listNumbers(c, Offline)
	want := "[100 1000 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 119 121 122 123 2 120]"
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("offline: %v, %v\nwant %s", got, err, want)
	}
	if got, err = listNumbers(c, Online); err != nil || fmt.Sprint(got) != "[117 118]" {
		t.Errorf("online: %v, %v", got, err)
	}
	if _, err = listNumbers(c, "sideways"); err == nil || !strings.Contains(err.Error(), "kv for worker state sideways does not exist") {
		t.Errorf("%v", err)
	}
	if got := string(d.LastParams("Venus.ListSectors")); got != `["sideways",0]` {
		t.Errorf("params %s", got)
	}
}

func TestImportSector(t *testing.T) {
	ctx := context.Background()
	d := testkit.Damocles(t, testkit.DamoclesOptions{})
	c := dialTest(t, d)
	state := json.RawMessage(`{"ID":{"Miner":1000,"Number":7},"AbortReason":"a \u003c b"}`)
	for _, tt := range []struct {
		ws       Workspace
		override bool
		want     bool
	}{{Offline, false, true}, {Offline, false, false}, {Offline, true, true}, {Online, false, true}} {
		got, err := c.ImportSector(ctx, tt.ws, state, tt.override)
		if err != nil || got != tt.want {
			t.Errorf("%+v: %v, %v", tt, got, err)
		}
	}
	if got := d.State("offline", 1000, 7); string(got) != string(state) {
		t.Errorf("stored %s", got)
	}
	for _, none := range []json.RawMessage{nil, json.RawMessage("null")} {
		if _, err := c.ImportSector(ctx, Offline, none, true); err == nil {
			t.Errorf("%q imported", none)
		}
	}
}

// An answer that is lost after the work was done: the second try says false, and
// the state is there.
func TestImportSectorAfterALostAnswer(t *testing.T) {
	d := testkit.Damocles(t, testkit.DamoclesOptions{Options: testkit.Options{Fail: func(_ string, n int) testkit.Failure {
		if n == 1 {
			return testkit.Truncated
		}
		return testkit.Pass
	}}})
	state := json.RawMessage(`{"ID":{"Miner":1000,"Number":7}}`)
	done, err := dialTest(t, d).ImportSector(context.Background(), Offline, state, false)
	if err != nil || done || string(d.State("offline", 1000, 7)) != string(state) {
		t.Errorf("%v, %v", done, err)
	}
}

func TestFinalizeSector(t *testing.T) {
	ctx := context.Background()
	d := testkit.Damocles(t, testkit.DamoclesOptions{})
	c := dialTest(t, d)
	if err := c.FinalizeSector(ctx, id(117)); err != nil || d.State("online", 1000, 117) != nil {
		t.Errorf("117: %v", err)
	}
	for number, want := range map[uint64]error{118: ErrNotOnChain, 100: ErrNotOnline} {
		if err := c.FinalizeSector(ctx, id(number)); !errors.Is(err, want) || fault.HintOf(err) == "" ||
			!strings.Contains(err.Error(), fmt.Sprintf("s-t01000-%d", number)) {
			t.Errorf("%d: %v, want %v", number, err, want)
		}
	}
}

// A second finalize would fail although the first did the work.
func TestFinalizeSectorIsCalledOnce(t *testing.T) {
	d := testkit.Damocles(t, testkit.DamoclesOptions{Options: testkit.Options{Fail: func(_ string, n int) testkit.Failure { return testkit.Truncated }}})
	if err := dialTest(t, d).FinalizeSector(context.Background(), id(117)); !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	if n := d.Calls("Venus.FinalizeSector"); n != 1 || d.State("offline", 1000, 117) == nil {
		t.Errorf("%d calls", n)
	}
}
