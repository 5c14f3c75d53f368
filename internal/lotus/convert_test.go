package lotus

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/sector"
)

const testMiner = abi.ActorID(1000)

// plainSector is a fixture's JSON read without any type of this package.
type plainSector struct {
	State                                  string
	SectorNumber                           uint64
	SectorType                             int64
	TicketValue, SeedValue                 string
	TicketEpoch, SeedEpoch                 int64
	CommD, CommR                           plainCid
	Proof, ReplicaUpdateProof              string
	UpdateSealed, UpdateUnsealed           plainCid
	PreCommitMessage, CommitMessage        plainCid
	ReplicaUpdateMessage, TerminateMessage plainCid
	TerminatedAt                           int64
	CCUpdate                               bool
	Pieces, CCPieces                       []plainPiece
}

type plainCid map[string]string

func (c plainCid) String() string {
	if c == nil {
		return cid.Undef.String()
	}
	return c["/"]
}

type plainPiece struct {
	Piece struct {
		Size     uint64
		PieceCID plainCid
	}
	DealInfo *struct {
		PublishCid   plainCid
		DealID       uint64
		DealProposal *struct {
			Label            string
			Client, Provider string
		}
		DealSchedule            struct{ StartEpoch, EndEpoch int64 }
		PieceActivationManifest *struct {
			VerifiedAllocationKey *struct{ Client, ID uint64 }
			Notify                []struct{ Address, Payload string }
		}
		KeepUnsealed bool
	}
}

// What the README of the fixtures says of each number.
func TestStatusOfFixtures(t *testing.T) {
	type verdict struct {
		status   sector.Status
		update   bool
		upgraded bool
	}
	want := map[int]verdict{
		20: {sector.Finished, true, true}, 21: {sector.Finished, true, true},
		22: {sector.Finished, true, true}, 23: {sector.InDoubt, true, false},
		24: {sector.Finished, true, true}, 25: {sector.Sealing, false, false},
		26: {sector.Sealing, false, false}, 27: {sector.Removed, false, false},
		29: {sector.Terminated, false, false},
	}
	for i, f := range loadInfoFixtures(t) {
		w, ok := want[i]
		if !ok {
			w = verdict{status: sector.Finished}
		}
		rec := f.decode(t).Record(testMiner)
		if got := (verdict{rec.Status, rec.Update != nil, rec.Upgraded}); got != w {
			t.Errorf("%s: got %+v, want %+v", f.name, got, w)
		}
	}
}

func TestRecordFields(t *testing.T) {
	for _, f := range loadInfoFixtures(t) {
		var p plainSector
		if err := json.Unmarshal(f.json, &p); err != nil {
			t.Fatal(err)
		}
		rec := f.decode(t).Record(testMiner)
		base64Of := base64.StdEncoding.EncodeToString
		got := []any{
			rec.ID, rec.SealProof, rec.State, rec.Original.CommD.String(), rec.Original.CommR.String(),
			base64Of(rec.Original.Proof), base64Of(rec.Ticket.Value), rec.Ticket.Epoch, base64Of(rec.Seed.Value), rec.Seed.Epoch,
			rec.Messages.PreCommit.String(), rec.Messages.Commit.String(), rec.Messages.Update.String(),
			rec.Termination.Message.String(), rec.Termination.Epoch,
		}
		want := []any{
			sector.ID{Miner: testMiner, Number: abi.SectorNumber(p.SectorNumber)}, abi.RegisteredSealProof(p.SectorType),
			p.State, p.CommD.String(), p.CommR.String(),
			p.Proof, p.TicketValue, abi.ChainEpoch(p.TicketEpoch), p.SeedValue, abi.ChainEpoch(p.SeedEpoch),
			p.PreCommitMessage.String(), p.CommitMessage.String(), p.ReplicaUpdateMessage.String(),
			p.TerminateMessage.String(), abi.ChainEpoch(p.TerminatedAt),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%v, want\n%v", f.name, got, want)
		}
		if !p.CCUpdate {
			comparePieces(t, f.name, rec.Original.Pieces, p.Pieces)
			continue
		}
		comparePieces(t, f.name, rec.Original.Pieces, p.CCPieces)
		comparePieces(t, f.name, rec.Update.Pieces, p.Pieces)
		if u := rec.Update; u.CommR.String() != p.UpdateSealed.String() || u.CommD.String() != p.UpdateUnsealed.String() ||
			base64Of(u.Proof) != p.ReplicaUpdateProof {
			t.Errorf("%s: got update %+v", f.name, u)
		}
	}
}

func comparePieces(t *testing.T, name string, got []sector.Piece, want []plainPiece) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %d pieces, want %d", name, len(got), len(want))
		return
	}
	for i, w := range want {
		g := got[i]
		if uint64(g.Size) != w.Piece.Size || g.CID.String() != w.Piece.PieceCID.String() || (g.Deal == nil) != (w.DealInfo == nil) {
			t.Errorf("%s: got piece %+v, want %+v", name, g, w)
			continue
		}
		if g.Deal != nil {
			compareDeal(t, name, g.Deal, w)
		}
	}
}

func compareDeal(t *testing.T, name string, d *sector.Deal, w plainPiece) {
	t.Helper()
	info := w.DealInfo
	kind, client, provider, allocation, notify := sector.DDO, "", "f01000", uint64(0), 0
	if m := info.PieceActivationManifest; m != nil {
		notify = len(m.Notify)
		if key := m.VerifiedAllocationKey; key != nil {
			allocation = key.ID
			client = idAddress(abi.ActorID(key.Client)).String()
		}
	}
	if info.DealProposal != nil {
		kind, client, provider = sector.BuiltinMarket, info.DealProposal.Client, info.DealProposal.Provider
		if label, err := d.Proposal.Label.ToString(); err != nil || label != info.DealProposal.Label {
			t.Errorf("%s: label %q, %v", name, label, err)
		}
	}
	if client == "" {
		client = address.Undef.String()
	}
	got := []any{d.Kind, uint64(d.ID), d.PublishCid.String(), d.AllocationID, d.Client.String(), d.Provider.String(),
		int64(d.StartEpoch), int64(d.EndEpoch), len(d.Notify), d.KeepUnsealed, d.PayloadSize}
	want := []any{kind, info.DealID, info.PublishCid.String(), allocation, client, provider,
		info.DealSchedule.StartEpoch, info.DealSchedule.EndEpoch, notify, info.KeepUnsealed, uint64(0)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got deal\n%v, want\n%v", name, got, want)
	}
}

func TestRecordOfUpgrades(t *testing.T) {
	c := testCid(t)
	piece := SectorPiece{Piece: abi.PieceInfo{Size: 2048, PieceCID: c}}
	for _, tc := range []struct {
		name             string
		si               SectorInfo
		update, upgraded bool
		original         int // pieces of the first replica
	}{
		{"CC", SectorInfo{State: "Proving", Pieces: []SectorPiece{piece}}, false, false, 1},
		{"sealed only", SectorInfo{State: "Proving", UpdateSealed: &c}, true, true, 0},
		{"message only", SectorInfo{State: "Available", ReplicaUpdateMessage: &c}, true, true, 0},
		{"unsealed only", SectorInfo{State: "Proving", UpdateUnsealed: &c}, true, false, 0},
		{"proof only", SectorInfo{State: "Proving", ReplicaUpdateProof: []byte{1}}, true, false, 0},
		{"empty proof", SectorInfo{State: "Proving", ReplicaUpdateProof: []byte{}, Pieces: []SectorPiece{piece}}, false, false, 1},
		{"flag only", SectorInfo{State: "Proving", CCUpdate: true, CCPieces: []SectorPiece{piece}}, true, false, 1},
		{"faulty", SectorInfo{State: "Faulty", CCUpdate: true, UpdateSealed: &c, ReplicaUpdateMessage: &c}, true, false, 0},
		{"adding deals", SectorInfo{State: "SnapDealsWaitDeals", CCUpdate: true, CCPieces: []SectorPiece{piece}}, true, false, 1},
		{"adding deals, over RPC", SectorInfo{State: "SnapDealsPacking", Pieces: []SectorPiece{piece}}, true, false, 0},
		{"activating", SectorInfo{State: "UpdateActivating", Pieces: []SectorPiece{piece}}, true, true, 0},
	} {
		rec := tc.si.Record(testMiner)
		if (rec.Update != nil) != tc.update || rec.Upgraded != tc.upgraded || len(rec.Original.Pieces) != tc.original {
			t.Errorf("%s: got %+v", tc.name, rec)
		}
		if rec.Update != nil && len(rec.Update.Pieces) != len(tc.si.Pieces) {
			t.Errorf("%s: got update %+v", tc.name, rec.Update)
		}
	}
}

func TestRecordOfOddDeals(t *testing.T) {
	c := testCid(t)
	manifest := &PieceActivationManifest{CID: c, Size: 2048}
	for _, tc := range []struct {
		name string
		info PieceDealInfo
		want sector.Deal
	}{
		{"built-in deal of which too little is known", PieceDealInfo{DealID: 7, PieceActivationManifest: manifest},
			sector.Deal{Kind: sector.BuiltinMarket, ID: 7}},
		{"published without an ID", PieceDealInfo{PublishCid: &c}, sector.Deal{Kind: sector.BuiltinMarket, PublishCid: c}},
		{"of lotus v1.25 without anything", PieceDealInfo{}, sector.Deal{Kind: sector.DDO}},
		{"client beyond any actor", PieceDealInfo{PieceActivationManifest: &PieceActivationManifest{
			CID: c, Size: 2048, VerifiedAllocationKey: &VerifiedAllocationKey{Client: 1 << 63, ID: 5}}},
			sector.Deal{Kind: sector.DDO, AllocationID: 5}},
	} {
		tc.want.Provider = idAddress(testMiner)
		if got := tc.info.neutral(testMiner); !reflect.DeepEqual(*got, tc.want) {
			t.Errorf("%s: got %+v, want %+v", tc.name, *got, tc.want)
		}
	}
	empty := SectorInfo{Pieces: []SectorPiece{}}
	if got := empty.Record(testMiner).Original.Pieces; got != nil {
		t.Errorf("no pieces: got %v, want nil", got)
	}
}
