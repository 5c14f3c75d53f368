package migrate

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/sector"
)

// toldChain answers what it is told to, and counts what it is asked.
type toldChain struct {
	on    sector.OnChain
	deals map[abi.DealID]*market.DealProposal
	ids   map[address.Address]address.Address
	err   error // of all but Sector
	fails error // of Sector
	asked int
}

func (c *toldChain) Sector(context.Context, sector.ID) (sector.OnChain, error) {
	c.asked++
	return c.on, c.fails
}

func (c *toldChain) Deal(_ context.Context, id abi.DealID) (*market.DealProposal, error) {
	return c.deals[id], c.err
}

func (c *toldChain) LookupID(_ context.Context, a address.Address) (address.Address, error) {
	return c.ids[a], c.err
}

func (c *toldChain) HighestAllocated(context.Context, abi.ActorID) (uint64, bool, error) {
	return 0, false, c.err
}

func testCID(t *testing.T, text string) cid.Cid {
	t.Helper()
	c, err := cid.NewPrefixV1(cid.Raw, 0x12).Sum([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func noteCodes(notes []sector.Note) []string {
	var out []string
	for _, n := range notes {
		out = append(out, n.Code)
	}
	return out
}

// Every status against every answer of the chain.
func TestSettleStatus(t *testing.T) {
	sealed := testCID(t, "sealed")
	there, gone := sector.OnChain{SealedCID: sealed, Activation: 5, Expiration: 9}, sector.OnChain{Absent: true}
	type outcome struct {
		status sector.Status
		gone   bool
		notes  []string
	}
	missing := []string{"not-on-chain"}
	tests := []struct {
		status  sector.Status
		asks    bool
		absent  outcome
		present outcome
	}{
		{sector.Unknown, false, outcome{status: sector.Unknown}, outcome{status: sector.Unknown}},
		{sector.Finished, true, outcome{sector.Finished, false, missing}, outcome{status: sector.Finished}},
		{sector.Lost, true, outcome{sector.Lost, false, missing}, outcome{status: sector.Lost}},
		{sector.InDoubt, true, outcome{sector.InDoubt, true, nil}, outcome{status: sector.Finished}},
		{sector.Committing, true, outcome{status: sector.Sealing}, outcome{status: sector.Finished}},
		{sector.Sealing, false, outcome{status: sector.Sealing}, outcome{status: sector.Sealing}},
		{sector.Failed, true, outcome{status: sector.Failed}, outcome{status: sector.Finished}},
		{sector.Terminated, false, outcome{status: sector.Terminated}, outcome{status: sector.Terminated}},
		{sector.Removed, false, outcome{status: sector.Removed}, outcome{status: sector.Removed}},
	}
	if len(tests) != int(sector.Removed)+1 {
		t.Errorf("%d statuses are tried, there are %d", len(tests), sector.Removed+1)
	}
	for _, tt := range tests {
		for _, answer := range []struct {
			name string
			on   sector.OnChain
			want outcome
		}{{"absent", gone, tt.absent}, {"there", there, tt.present}} {
			chain := &toldChain{on: answer.on}
			rec := &sector.Record{Status: tt.status, Original: sector.Replica{CommR: sealed}}
			v, err := settle(t.Context(), chain, rec)
			got := outcome{rec.Status, v.gone, noteCodes(v.notes)}
			if err != nil || v.wrong != "" || !reflect.DeepEqual(got, answer.want) {
				t.Errorf("%s, %s: got %+v, %v %s, want %+v", tt.status, answer.name, got, err, v.wrong, answer.want)
			}
			if asked := chain.asked > 0; asked != tt.asks || (rec.Chain != nil) != tt.asks {
				t.Errorf("%s, %s: the chain was asked %t, want %t; kept %v", tt.status, answer.name, asked, tt.asks, rec.Chain)
			}
			if tt.asks && *rec.Chain != answer.on {
				t.Errorf("%s, %s: the record says of the chain %+v", tt.status, answer.name, rec.Chain)
			}
		}
		chain := &toldChain{fails: errWanted}
		rec := &sector.Record{Status: tt.status, ID: numberID(7)}
		before := *rec
		_, err := settle(t.Context(), chain, rec)
		if tt.asks != errors.Is(err, errWanted) || !reflect.DeepEqual(*rec, before) {
			t.Errorf("%s, the chain fails: got %v and %+v", tt.status, err, rec)
		}
		if v, err := settle(t.Context(), nil, rec); err != nil || !reflect.DeepEqual(v, verdict{}) || !reflect.DeepEqual(*rec, before) {
			t.Errorf("%s, no chain: got %+v, %v and %+v", tt.status, v, err, rec)
		}
	}
}

// What the metadata says of the replicas against what the chain says.
func TestSettleReplicas(t *testing.T) {
	a, b, c := testCID(t, "a"), testCID(t, "b"), testCID(t, "c")
	var none cid.Cid
	update := func(commR cid.Cid) *sector.Replica { return &sector.Replica{CommR: commR} }
	tests := []struct {
		name              string
		original          cid.Cid
		update            *sector.Replica
		upgraded          bool
		sealed, key       cid.Cid
		wantUpgraded      bool
		wantUpdate        cid.Cid
		wantWrong, wantNo string // none, or the one note
	}{
		{name: "the same", original: a, sealed: a},
		{name: "unknown here", original: none, sealed: a},
		{name: "another", original: a, sealed: b, wantWrong: "the chain's CommR is " + b.String() + ", the metadata's " + a.String()},
		{name: "upgraded on both", original: a, update: update(b), upgraded: true, sealed: b, key: a, wantUpgraded: true, wantUpdate: b},
		{name: "upgraded, update unknown", original: a, update: update(none), upgraded: true, sealed: b, key: a, wantUpgraded: true, wantUpdate: b},
		{name: "upgraded on chain only", original: a, sealed: b, key: a, wantUpgraded: true, wantUpdate: b},
		{name: "upgraded on chain only, tried here", original: a, update: update(b), sealed: b, key: a, wantUpgraded: true, wantUpdate: b},
		{name: "upgraded here only", original: a, update: update(b), upgraded: true, sealed: a, wantUpdate: b, wantNo: "upgrade-not-on-chain"},
		{name: "tried here", original: a, update: update(b), sealed: a, wantUpdate: b},
		{name: "upgraded to another", original: a, update: update(b), upgraded: true, sealed: c, key: a, wantUpgraded: true, wantUpdate: b, wantWrong: "the chain's SealedCID is " + c.String() + ", the metadata's updated CommR " + b.String()},
		{name: "upgraded from another", original: a, update: update(b), upgraded: true, sealed: b, key: c, wantUpgraded: true, wantUpdate: b, wantWrong: "the chain's CommR is " + c.String() + ", the metadata's " + a.String()},
	}
	for _, tt := range tests {
		rec := &sector.Record{Status: sector.Finished, Original: sector.Replica{CommR: tt.original}, Update: tt.update, Upgraded: tt.upgraded}
		v, err := settle(t.Context(), &toldChain{on: sector.OnChain{SealedCID: tt.sealed, SectorKey: tt.key}}, rec)
		if err != nil {
			t.Fatal(err)
		}
		var updated cid.Cid
		if rec.Update != nil {
			updated = rec.Update.CommR
		}
		var notes []string
		if tt.wantNo != "" {
			notes = []string{tt.wantNo}
		}
		if v.wrong != tt.wantWrong || rec.Upgraded != tt.wantUpgraded || updated != tt.wantUpdate || !reflect.DeepEqual(noteCodes(v.notes), notes) {
			t.Errorf("%s: got %+v, upgraded %t to %v", tt.name, v, rec.Upgraded, updated)
		}
	}
}

func TestSettleDeals(t *testing.T) {
	sealed, piece, other := testCID(t, "sealed"), testCID(t, "piece"), testCID(t, "other")
	id, err := address.NewIDAddress(77)
	if err != nil {
		t.Fatal(err)
	}
	key, err := address.NewSecp256k1Address([]byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := address.NewIDAddress(1000)
	if err != nil {
		t.Fatal(err)
	}
	proposal := &market.DealProposal{PieceCID: piece, Client: id, Provider: provider, StartEpoch: 10, EndEpoch: 20}
	tests := []struct {
		name  string
		deal  sector.Deal
		chain toldChain
		want  sector.Deal
		note  string
		wrong string
		err   error
	}{
		{name: "filled", deal: sector.Deal{Kind: sector.BuiltinMarket, ID: 5}, chain: toldChain{deals: map[abi.DealID]*market.DealProposal{5: proposal}},
			want: sector.Deal{Kind: sector.BuiltinMarket, ID: 5, Proposal: proposal, Client: id, Provider: provider, StartEpoch: 10, EndEpoch: 20}},
		{name: "what is known stays", deal: sector.Deal{Kind: sector.BuiltinMarket, ID: 5, Client: key, StartEpoch: 1}, chain: toldChain{deals: map[abi.DealID]*market.DealProposal{5: proposal}},
			want: sector.Deal{Kind: sector.BuiltinMarket, ID: 5, Proposal: proposal, Client: key, Provider: provider, StartEpoch: 1}},
		{name: "whole already", deal: sector.Deal{Kind: sector.BuiltinMarket, ID: 5, Proposal: proposal, Client: id}, chain: toldChain{err: errWanted},
			want: sector.Deal{Kind: sector.BuiltinMarket, ID: 5, Proposal: proposal, Client: id}},
		{name: "forgotten", deal: sector.Deal{Kind: sector.BuiltinMarket, ID: 5}, want: sector.Deal{Kind: sector.BuiltinMarket, ID: 5}, note: "deal-not-on-chain"},
		{name: "of another piece", deal: sector.Deal{Kind: sector.BuiltinMarket, ID: 5},
			chain: toldChain{deals: map[abi.DealID]*market.DealProposal{5: {PieceCID: other}}}, want: sector.Deal{Kind: sector.BuiltinMarket, ID: 5},
			wrong: "deal 5 is for piece " + other.String() + " on chain, the metadata has " + piece.String()},
		{name: "the chain fails", deal: sector.Deal{Kind: sector.BuiltinMarket, ID: 5}, chain: toldChain{err: errWanted}, want: sector.Deal{Kind: sector.BuiltinMarket, ID: 5}, err: errWanted},
		{name: "client by key", deal: sector.Deal{Kind: sector.DDO, Client: key}, chain: toldChain{ids: map[address.Address]address.Address{key: id}}, want: sector.Deal{Kind: sector.DDO, Client: id}},
		{name: "client by ID", deal: sector.Deal{Kind: sector.DDO, Client: id}, chain: toldChain{err: errWanted}, want: sector.Deal{Kind: sector.DDO, Client: id}},
		{name: "no client", deal: sector.Deal{Kind: sector.DDO}, chain: toldChain{err: errWanted}, want: sector.Deal{Kind: sector.DDO}},
		{name: "client by key, the chain fails", deal: sector.Deal{Kind: sector.DDO, Client: key}, chain: toldChain{err: errWanted}, want: sector.Deal{Kind: sector.DDO, Client: key}, err: errWanted},
	}
	for _, tt := range tests {
		deal := tt.deal
		rec := &sector.Record{Status: sector.Finished, Original: sector.Replica{CommR: sealed, Pieces: []sector.Piece{{CID: other}, {CID: piece, Deal: &deal}}}}
		tt.chain.on = sector.OnChain{SealedCID: sealed}
		v, err := settle(t.Context(), &tt.chain, rec)
		var notes []string
		if tt.note != "" {
			notes = []string{tt.note}
		}
		if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) || v.wrong != tt.wrong || !reflect.DeepEqual(noteCodes(v.notes), notes) {
			t.Errorf("%s: got %+v, %v", tt.name, v, err)
		}
		if !reflect.DeepEqual(deal, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, deal, tt.want)
		}
	}
}
