package chain_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func dial(t *testing.T, s *testkit.Server) *chain.Node {
	t.Helper()
	at, err := chain.ParseEndpoint(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return chain.Dial(at, rpc.Options{Retry: rpc.Retry{Base: time.Millisecond, Cap: 2 * time.Millisecond}})
}

func miner(t *testing.T, n uint64) address.Address {
	t.Helper()
	a, err := address.NewIDAddress(n)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSectorInfo(t *testing.T) {
	ctx := context.Background()
	n := dial(t, testkit.Chain(t, testkit.ChainOptions{}))
	s, err := n.SectorInfo(ctx, miner(t, 1000), 20)
	if err != nil || s.Number != 20 || s.SealProof != 5 || s.Activation != 5000 || s.Expiration != 1500000 ||
		s.SealedCID.String() != "bagboea4b5abcaio4ac54zb3pvwnbxlz6yxmfsx4h52ymltor54e6ztssufadkpck" ||
		s.SectorKeyCID == nil || s.SectorKeyCID.String() != "bagboea4b5abcbhtdl6tznc6v5szuzrhwu4leesytayeaucwrxlh4adilf5g4gyis" {
		t.Errorf("upgraded: %+v, %v", s, err)
	}
	if s, err = n.SectorInfo(ctx, miner(t, 1000), 0); err != nil || s.SectorKeyCID != nil {
		t.Errorf("CC: %+v, %v", s, err)
	}
	for number, of := range map[abi.SectorNumber]uint64{25: 1000, 9999: 1000, 0: 1001} {
		if s, err = n.SectorInfo(ctx, miner(t, of), number); err != nil || s != nil {
			t.Errorf("not on chain: %+v, %v", s, err)
		}
	}
	if s, err = n.SectorInfo(ctx, miner(t, 1001), 120); err != nil || s == nil {
		t.Errorf("other miner: %+v, %v", s, err)
	}
}

// Every captured sector, as the node of another version might tell it, too.
func TestSectorInfoDecodesEveryFixture(t *testing.T) {
	n := dial(t, testkit.Chain(t, testkit.ChainOptions{}))
	found := 0
	for _, path := range testkit.Glob(t, "rpc/chain/StateSectorGetInfo-*.json") {
		x := testkit.ReadExchange(t, path)
		var addr address.Address
		var number abi.SectorNumber
		if err := errors.Join(json.Unmarshal(x.Request.Params[0], &addr), json.Unmarshal(x.Request.Params[1], &number)); err != nil {
			t.Fatal(err)
		}
		s, err := n.SectorInfo(context.Background(), addr, number)
		if err != nil || (s == nil) != (string(x.Result) == "null") {
			t.Errorf("%s: %+v, %v", path, s, err)
		}
		if s != nil {
			found++
		}
	}
	if found != 48 {
		t.Errorf("%d sectors on chain, want 48", found)
	}
}

func TestSectorInfoIsLenientButNotBlind(t *testing.T) {
	const cid = "bagboea4b5abcans42hjmxwku6psfkpcce43fa4jde43rqagypp5ukjbfjdfibzan"
	replies := map[uint64]string{
		1: `{"SectorNumber":1,"SealProof":5,"SealedCID":{"/":"` + cid + `"},"DealIDs":[7],"DealWeight":"<nil>","DailyFee":"\u003cnil\u003e","SimpleQAPower":false}`,
		2: `{"SectorNumber":3,"SealedCID":{"/":"` + cid + `"}}`,
		4: `{"SectorNumber":4,"SealedCID":null}`,
	}
	n := dial(t, testkit.Chain(t, testkit.ChainOptions{Sector: func(_, number uint64) (json.RawMessage, bool) {
		raw, ok := replies[number]
		return json.RawMessage(raw), ok
	}}))
	if s, err := n.SectorInfo(context.Background(), miner(t, 1000), 1); err != nil || s.SealedCID.String() != cid || s.SectorKeyCID != nil {
		t.Errorf("%+v, %v", s, err)
	}
	for _, number := range []abi.SectorNumber{2, 4} {
		if s, err := n.SectorInfo(context.Background(), miner(t, 1000), number); err == nil || fault.HintOf(err) == "" {
			t.Errorf("%d: accepted %+v", number, s)
		}
	}
}

func TestHeadFixesTheTipset(t *testing.T) {
	ctx := context.Background()
	s := testkit.Chain(t, testkit.ChainOptions{})
	n := dial(t, s)
	if _, err := n.Allocated(ctx, miner(t, 1000)); err != nil {
		t.Fatal(err)
	}
	if got := string(s.LastParams("Filecoin.StateMinerAllocated")); got != `["f01000",[]]` {
		t.Errorf("at the newest tipset: %s", got)
	}
	head, err := n.Head(ctx)
	if err != nil || head.Height != 100000 || len(head.Key) != 1 {
		t.Fatalf("%+v, %v", head, err)
	}
	if _, err := n.At(head).SectorInfo(ctx, miner(t, 1000), 3); err != nil {
		t.Fatal(err)
	}
	want := `["f01000",3,[{"/":"bafy2bzacebe3n4urfbzydexhwh2h2dsgdkquqzxqdbcpvaeuauxqaxil4dnbm"}]]`
	if got := string(s.LastParams("Filecoin.StateSectorGetInfo")); got != want {
		t.Errorf("at the head: %s", got)
	}
	if got := s.LastHeader().Get("X-VENUS-API-NAMESPACE"); got != "v1.FullNode" {
		t.Errorf("namespace header %q", got)
	}
}

func TestAllocated(t *testing.T) {
	n := dial(t, testkit.Chain(t, testkit.ChainOptions{}))
	used, err := n.Allocated(context.Background(), miner(t, 1000))
	if err != nil {
		t.Fatal(err)
	}
	count, err := used.Count()
	if err != nil || count != 26+5+20+3 {
		t.Errorf("%d numbers, %v", count, err)
	}
	if last, err := used.Last(); err != nil || last != 123 {
		t.Errorf("last %d, %v", last, err)
	}
	null := testkit.Chain(t, testkit.ChainOptions{Options: testkit.Options{
		Results: map[string]json.RawMessage{"Filecoin.StateMinerAllocated": json.RawMessage("null")}}})
	if _, err := dial(t, null).Allocated(context.Background(), miner(t, 1000)); err == nil {
		t.Error("null was taken for no numbers")
	}
}

func TestDeal(t *testing.T) {
	x := testkit.ReadExchange(t, testkit.Fixture(t, "rpc/lotus-miner/SectorsStatus-08.json"))
	var sector struct {
		Pieces []struct {
			DealInfo struct{ DealProposal json.RawMessage }
		}
	}
	// The second piece's DealInfo is null, which leaves it empty.
	if err := json.Unmarshal(x.Result, &sector); err != nil {
		t.Fatal(err)
	}
	n := dial(t, testkit.Chain(t, testkit.ChainOptions{Deals: map[uint64]json.RawMessage{7008: sector.Pieces[0].DealInfo.DealProposal}}))
	p, err := n.Deal(context.Background(), 7008)
	if err != nil || p.Client.String() != "f02008" || p.PieceSize != 1024 || p.EndEpoch != 600000 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err = n.Deal(context.Background(), 1); !errors.Is(err, chain.ErrNoDeal) || !strings.Contains(err.Error(), "deal 1") {
		t.Errorf("%v", err)
	}
}

func TestLookupID(t *testing.T) {
	key := "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za"
	n := dial(t, testkit.Chain(t, testkit.ChainOptions{IDs: map[string]string{key: "f02000"}}))
	addr, err := address.NewFromString(key)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := n.LookupID(context.Background(), addr); err != nil || id != 2000 {
		t.Errorf("%d, %v", id, err)
	}
	if id, err := n.LookupID(context.Background(), miner(t, 7)); err != nil || id != 7 {
		t.Errorf("an ID address: %d, %v", id, err)
	}
	other, err := address.NewSecp256k1Address([]byte("someone"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.LookupID(context.Background(), other); err == nil || !strings.Contains(err.Error(), "actor not found") {
		t.Errorf("%v", err)
	}
}

func TestMinerInfoAndNetwork(t *testing.T) {
	ctx := context.Background()
	n := dial(t, testkit.Chain(t, testkit.ChainOptions{}))
	info, err := n.MinerInfo(ctx, miner(t, 1000))
	if err != nil || info.SectorSize != 2048 || info.Owner.String() != "f0100" || info.Worker.String() != "f0101" || info.WindowPoStProofType != 10 {
		t.Errorf("%+v, %v", info, err)
	}
	if name, err := n.NetworkName(ctx); err != nil || name != "2k-devnet" {
		t.Errorf("%q, %v", name, err)
	}
}

func TestOldEndpointIsExplained(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{})
	_, err := dial(t, s).Allocated(context.Background(), miner(t, 1000))
	e, ok := errors.AsType[*rpc.RPCError](err)
	if !ok || e.Code != rpc.MethodNotFound || !strings.Contains(fault.HintOf(err), "another program") {
		t.Errorf("%v, %s", err, fault.HintOf(err))
	}
}
