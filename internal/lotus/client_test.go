package lotus

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func dialTest(t *testing.T, s *testkit.Server, notices func(string)) *Client {
	t.Helper()
	at, err := ParseEndpoint(s.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	return Dial(at, rpc.Options{Notice: notices, Retry: rpc.Retry{Base: time.Millisecond, Cap: 2 * time.Millisecond}})
}

// A decoded sector marshals to what lotus sent: no field is lost, none is changed.
func TestAPISectorKeepsEverything(t *testing.T) {
	for _, path := range testkit.Glob(t, "rpc/lotus-miner/SectorsStatus-[0-9][0-9]*.json") {
		x := testkit.ReadExchange(t, path)
		s, err := DecodeAPISector(x.Result)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		got, err := json.Marshal(s)
		if err != nil || string(got) != string(x.Result) {
			t.Errorf("%s: %v\n got %s\nwant %s", filepath.Base(path), err, got, x.Result)
		}
	}
}

func TestAPISectorFields(t *testing.T) {
	c := dialTest(t, testkit.Lotus(t, testkit.LotusOptions{}), nil)
	get := func(n abi.SectorNumber, onChain bool) *APISector {
		s, err := c.SectorsStatus(context.Background(), n, onChain)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	deal := get(8, true)
	if d := deal.Pieces[0].DealInfo; deal.State != "Proving" || deal.Deals[0] != 7008 || d.DealID != 7008 || !d.PublishCid.Defined() ||
		d.DealProposal.PieceSize != 1024 || d.DealProposal.Client.String() != "f02008" || d.DealSchedule.EndEpoch != 600000 ||
		d.DealProposal.ProviderCollateral.String() != "8" || !d.KeepUnsealed || d.PieceActivationManifest != nil {
		t.Errorf("built-in deal: %+v", d)
	}
	if label, err := deal.Pieces[0].DealInfo.DealProposal.Label.ToString(); err != nil || label != "label-8" {
		t.Errorf("label %q, %v", label, err)
	}
	if deal.Pieces[1].DealInfo != nil || deal.Activation != 5000 || deal.Expiration != 1500000 || deal.InitialPledge.String() != "12345" {
		t.Errorf("sector 8: %+v", deal)
	}
	ddo := get(12, false).Pieces[0].DealInfo
	if m := ddo.PieceActivationManifest; ddo.PublishCid != nil || m.VerifiedAllocationKey.ID != 9012 || m.VerifiedAllocationKey.Client != 3012 ||
		m.Notify[0].Address.String() != "f01000" || string(m.Notify[0].Payload) != "\x01\x02\x03" {
		t.Errorf("DDO: %+v", ddo)
	}
	if snap := get(20, false); snap.ReplicaUpdateMessage == nil || len(snap.Proof) != 192 || len(snap.Ticket.Value) != 32 || snap.Seed.Epoch != 4220 {
		t.Errorf("snap: %+v", snap)
	}
	if young := get(26, false); young.CommR != nil || young.PreCommitMsg != nil || young.Ticket.Value != nil || len(young.Log) != 5 {
		t.Errorf("unfinished: %+v", young)
	}
}

func TestDecodeAPISectorIsLenient(t *testing.T) {
	for _, v := range []string{`"\u003cnil\u003e"`, `"<nil>"`, `null`, `""`} {
		s, err := DecodeAPISector([]byte(`{"SectorID":1,"State":"Proving","New":{"x":[1]},"DealWeight":` + v + `,"InitialPledge":"99"}`))
		if err != nil || s.DealWeight.Sign() != 0 || s.InitialPledge.Int64() != 99 {
			t.Errorf("%s: %v", v, err)
		}
	}
	for _, bad := range []string{``, `[]`, `{"CommR":{}}`, `{"DealWeight":"x"}`, `{"SectorID":-1}`, `{"Pieces":[{"Piece":{"PieceCID":{"/":""}}}]}`} {
		if _, err := DecodeAPISector([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

func FuzzDecodeAPISector(f *testing.F) {
	for _, path := range testkit.Glob(f, "rpc/lotus-miner/SectorsStatus-*.json") {
		f.Add([]byte(testkit.ReadExchange(f, path).Result))
	}
	f.Fuzz(func(_ *testing.T, raw []byte) { _, _ = DecodeAPISector(raw) })
}

func TestClientCalls(t *testing.T) {
	ctx := context.Background()
	c := dialTest(t, testkit.Lotus(t, testkit.LotusOptions{}), nil)
	if v, err := c.Version(ctx); err != nil || v.Version != "1.36.2+mainnet" || v.APIVersion != 66816 {
		t.Errorf("Version: %+v, %v", v, err)
	}
	miner, err := c.ActorAddress(ctx)
	if err != nil || miner.String() != "f01000" {
		t.Errorf("ActorAddress: %v, %v", miner, err)
	}
	if size, err := c.ActorSectorSize(ctx, miner); err != nil || size != 2048 {
		t.Errorf("ActorSectorSize: %v, %v", size, err)
	}
	n, err := c.SectorNumAssignerMeta(ctx)
	if err != nil || n.Next != 32 {
		t.Errorf("SectorNumAssignerMeta: %+v, %v", n, err)
	}
	if last, err := n.InUse.Last(); err != nil || last != 123 {
		t.Errorf("last number in use: %d, %v", last, err)
	}
	if empty, err := n.Reserved.IsEmpty(); err != nil || !empty {
		t.Errorf("reserved: %v", err)
	}
	if r, err := c.SectorNumReservations(ctx); err != nil || len(r) != 0 {
		t.Errorf("SectorNumReservations: %v, %v", r, err)
	}
}

func TestReservationsAreBitfields(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Results: map[string]json.RawMessage{
		"Filecoin.SectorNumReservations": json.RawMessage(`{"boost":[40,10]}`)}}})
	r, err := dialTest(t, s, nil).SectorNumReservations(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	boost := r["boost"]
	if last, err := boost.Last(); err != nil || last != 49 {
		t.Errorf("last reserved %d, %v", last, err)
	}
}

// Engines merge two lists by the order of the keys, so the order must not be
// that of the numbers, whatever the server gives.
func TestSectorsListHasTheOrderOfTheKeys(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Results: map[string]json.RawMessage{
		"Filecoin.SectorsList": json.RawMessage(`[1,2,3,10,11,100,18446744073709551615,9,9]`)}}})
	got, err := dialTest(t, s, nil).SectorsList(context.Background())
	want := []abi.SectorNumber{1, 10, 100, 11, 18446744073709551615, 2, 3, 9}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v (%v)", got, want, err)
	}
	if got, err = dialTest(t, testkit.Lotus(t, testkit.LotusOptions{}), nil).SectorsList(context.Background()); err != nil || len(got) != 32 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSectorsStatusErrors(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Sectors: map[uint64]json.RawMessage{
		40: json.RawMessage(`{"SectorID":41,"State":"Proving"}`),
		42: json.RawMessage(`{"SectorID":42,"State":""}`),
		43: json.RawMessage(`{"SectorID":43,"State":"Proving","CommR":7}`),
		44: json.RawMessage(`null`),
	}})
	c := dialTest(t, s, nil)
	for n, want := range map[abi.SectorNumber]string{
		40:  "answered about sector 41",
		42:  "instead of sector 42",
		43:  "sector 43: decode the sector's status",
		44:  "nothing about sector 44",
		999: "has no sector 999",
	} {
		_, err := c.SectorsStatus(context.Background(), n, false)
		if err == nil || !strings.Contains(err.Error(), want) || fault.HintOf(err) == "" {
			t.Errorf("sector %d: %v", n, err)
		}
		if errors.Is(err, ErrNoSector) != (n == 999) {
			t.Errorf("sector %d: %v", n, err)
		}
	}
}

func TestHintsNameLotus(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Token: "right"}})
	at, err := ParseEndpoint("wrong:" + s.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	_, err = Dial(at, rpc.Options{}).Version(context.Background())
	if !errors.Is(err, rpc.ErrUnauthorized) || !strings.Contains(fault.HintOf(err), "lotus-miner auth") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("%v, %s", err, fault.HintOf(err))
	}
	miner, _ := address.NewIDAddress(1000)
	at.Token = ""
	if _, err = Dial(at, rpc.Options{}).ActorSectorSize(context.Background(), miner); err != nil {
		t.Errorf("reading without a token: %v", err)
	}
}
