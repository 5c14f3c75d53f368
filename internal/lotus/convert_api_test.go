package lotus

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"damocles-manager/internal/sector"
)

func loadAPISector(t *testing.T, number int) *APISector {
	t.Helper()
	path := fmt.Sprintf("../../testdata/fixtures/rpc/lotus-miner/SectorsStatus-%02d.json", number)
	var exchange struct {
		Response struct{ Result APISector }
	}
	if err := json.Unmarshal(readTestFile(t, path), &exchange); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return &exchange.Response.Result
}

// What a running lotus-miner tells of a sector is what its datastore holds, but
// for the fields that it does not tell.
func TestAPISectorGivesTheSameRecord(t *testing.T) {
	// The running lotus-miner moved these on before it was asked, and 26 lost its
	// ticket's epoch on the way.
	movedOn := map[int]string{22: "Proving", 26: "PreCommit1", 29: "Removed"}
	for i, f := range loadInfoFixtures(t) {
		want := f.decode(t)
		si, notes := loadAPISector(t, i).SectorInfo()
		if len(notes) != 0 {
			t.Errorf("%d: notes %v", i, notes)
		}
		if state, ok := movedOn[i]; ok {
			want.State = state
		}
		if i == 26 {
			want.TicketEpoch = 0
		}
		got, wantRec := si.Record(testMiner), want.Record(testMiner)
		forgetUntold(wantRec)
		if !reflect.DeepEqual(got, wantRec) {
			t.Errorf("%d: got\n%+v, want\n%+v", i, got, wantRec)
		}
	}
}

// forgetUntold drops what LackingOverRPC means for a Record.
func forgetUntold(rec *sector.Record) {
	rec.Termination = sector.Termination{}
	if rec.Update != nil {
		rec.Original.Pieces = nil
		rec.Update = &sector.Replica{Pieces: rec.Update.Pieces}
	}
}

// A sector of which lotus tells everything leaves exactly the listed fields empty.
func TestLackingOverRPC(t *testing.T) {
	c := testCid(t)
	api := &APISector{
		SectorID: 1, State: "Proving", CommD: &c, CommR: &c, Proof: []byte{1},
		Pieces: []APIPiece{{}}, Ticket: APISealRandomness{[]byte{1}, 1}, Seed: APISealRandomness{[]byte{1}, 1},
		PreCommitMsg: &c, CommitMsg: &c, Retries: 1, ReplicaUpdateMessage: &c, LastErr: "x", Log: []APILog{{Kind: "x"}},
		SealProof: 5,
	}
	si, _ := api.SectorInfo()
	lacking := []string{"CCUpdate"} // concluded from the message, not told
	v := reflect.ValueOf(*si)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			lacking = append(lacking, v.Type().Field(i).Name)
		}
	}
	want := LackingOverRPC()
	slices.Sort(lacking)
	slices.Sort(want)
	if !slices.Equal(lacking, want) {
		t.Errorf("got %v, want %v", want, lacking)
	}
	if !si.CCUpdate {
		t.Error("a message of an update, but no CCUpdate")
	}
}

func TestAPISectorWithHiddenDeal(t *testing.T) {
	api := loadAPISector(t, 8)
	api.Pieces[0].DealInfo = nil
	si, notes := api.SectorInfo()
	if got := noteCodes(notes); got != "deal-hidden" {
		t.Errorf("notes %q", got)
	}
	deal := si.Record(testMiner).Original.Pieces[0].Deal
	if deal == nil || deal.Kind != sector.BuiltinMarket || deal.ID != 7008 || deal.Proposal != nil {
		t.Errorf("got %+v", deal)
	}
	api.Deals = nil
	if si, notes := api.SectorInfo(); len(notes) != 0 || si.Pieces[0].DealInfo != nil {
		t.Errorf("no deal told: got %+v, %v", si.Pieces[0].DealInfo, notes)
	}
}

// While an upgrade is under way and no message is sent, only the state tells.
func TestAPISectorInAnUpgrade(t *testing.T) {
	api := loadAPISector(t, 23)
	api.ReplicaUpdateMessage, api.State = nil, "ProveReplicaUpdate"
	si, _ := api.SectorInfo()
	rec := si.Record(testMiner)
	if rec.Original.Pieces != nil || rec.Update == nil || len(rec.Update.Pieces) != 1 || rec.Upgraded {
		t.Errorf("got %+v", rec)
	}
}
