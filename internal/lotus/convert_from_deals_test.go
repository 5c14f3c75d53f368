package lotus

import (
	"reflect"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

func dealRecord(t testing.TB, deal sector.Deal) *sector.Record {
	t.Helper()
	rec := ccRecord(t)
	_, commD := commCid(t, 8)
	if deal.StartEpoch == 0 {
		deal.StartEpoch, deal.EndEpoch = 6000, 600000
	}
	rec.Original.Pieces = []sector.Piece{{Size: 2048, CID: commD, Deal: &deal}}
	return rec
}

func TestFromRecordDeals(t *testing.T) {
	publish := testCid(t)
	_, commD := commCid(t, 8)
	proposal := loadInfoFixtures(t)[8].decode(t).Pieces[0].DealInfo.DealProposal
	id, err := address.NewIDAddress(3000)
	if err != nil {
		t.Fatal(err)
	}
	key, err := address.NewSecp256k1Address([]byte("a client's key"))
	if err != nil {
		t.Fatal(err)
	}
	alone := PieceActivationManifest{CID: commD, Size: 2048}
	allocated := alone
	allocated.VerifiedAllocationKey = &VerifiedAllocationKey{Client: 3000, ID: 55}
	notified := alone
	notified.Notify = []DataActivationNotification{{Address: id, Payload: []byte{1}}}

	for _, c := range []struct {
		name  string
		deal  sector.Deal
		want  PieceDealInfo
		notes string
	}{
		{"whole", sector.Deal{Kind: sector.BuiltinMarket, ID: 7, PublishCid: publish, Proposal: proposal, KeepUnsealed: true},
			PieceDealInfo{DealID: 7, PublishCid: &publish, DealProposal: proposal, KeepUnsealed: true}, ""},
		{"no proposal", sector.Deal{Kind: sector.BuiltinMarket, ID: 7, PublishCid: publish},
			PieceDealInfo{DealID: 7, PieceActivationManifest: &alone}, "deal-incomplete"},
		{"no publish message", sector.Deal{Kind: sector.BuiltinMarket, ID: 7, Proposal: proposal},
			PieceDealInfo{DealID: 7, PieceActivationManifest: &alone}, "deal-incomplete"},
		{"no ID", sector.Deal{Kind: sector.BuiltinMarket, PublishCid: publish, Proposal: proposal},
			PieceDealInfo{PieceActivationManifest: &alone}, "deal-incomplete"},
		{"DDO with nothing", sector.Deal{Kind: sector.DDO}, PieceDealInfo{PieceActivationManifest: &alone}, ""},
		{"DDO with client but no allocation", sector.Deal{Kind: sector.DDO, Client: id}, PieceDealInfo{PieceActivationManifest: &alone}, ""},
		{"DDO with notification", sector.Deal{Kind: sector.DDO, Notify: []sector.Notify{{Address: id, Payload: []byte{1}}}},
			PieceDealInfo{PieceActivationManifest: &notified}, ""},
		{"DDO with allocation", sector.Deal{Kind: sector.DDO, AllocationID: 55, Client: id},
			PieceDealInfo{PieceActivationManifest: &allocated}, ""},
		{"DDO of a client known by key", sector.Deal{Kind: sector.DDO, AllocationID: 55, Client: key},
			PieceDealInfo{PieceActivationManifest: &alone}, "allocation-client-unknown"},
		{"DDO of an unknown client", sector.Deal{Kind: sector.DDO, AllocationID: 55},
			PieceDealInfo{PieceActivationManifest: &alone}, "allocation-client-unknown"},
	} {
		si, notes := write(t, dealRecord(t, c.deal), nil)
		c.want.DealSchedule = DealSchedule{StartEpoch: 6000, EndEpoch: 600000}
		if got := si.Pieces[0].DealInfo; !reflect.DeepEqual(*got, c.want) || notes != c.notes {
			t.Errorf("%s: got %+v, notes %q", c.name, *got, notes)
		}
		if back := si.Record(testMiner).Original.Pieces[0].Deal; c.deal.ID != 0 && (back.Kind != c.deal.Kind || back.ID != c.deal.ID) {
			t.Errorf("%s: reads back as %+v", c.name, back)
		}
	}
}

// What the record knows wins over its origin, and what it does not know does not.
func TestFromRecordDealsWithOrigin(t *testing.T) {
	other := testCid(t)
	id := idAddress(4000)
	for _, c := range []struct {
		name    string
		fixture int
		change  func(*sector.Deal)
		kept    bool
	}{
		{"publish message unknown", 8, func(d *sector.Deal) { d.PublishCid = cid.Undef }, true},
		{"schedule unknown", 8, func(d *sector.Deal) { d.StartEpoch, d.EndEpoch = 0, 0 }, true},
		{"other publish message", 8, func(d *sector.Deal) { d.PublishCid = other }, false},
		{"other deal", 8, func(d *sector.Deal) { d.ID++ }, false},
		{"other schedule", 8, func(d *sector.Deal) { d.EndEpoch++ }, false},
		{"client unknown", 12, func(d *sector.Deal) { d.Client = address.Undef }, true},
		{"other client", 12, func(d *sector.Deal) { d.Client = id }, false},
		{"other allocation", 12, func(d *sector.Deal) { d.AllocationID++ }, false},
		{"other notification", 12, func(d *sector.Deal) { d.Notify = []sector.Notify{{Address: id}} }, false},
		{"wants to be kept unsealed", 12, func(d *sector.Deal) { d.KeepUnsealed = true }, false},
	} {
		base := loadInfoFixtures(t)[c.fixture].decode(t)
		rec := base.Record(testMiner)
		c.change(rec.Original.Pieces[0].Deal)
		si, _ := write(t, rec, base)
		if kept := si.Pieces[0].DealInfo == base.Pieces[0].DealInfo; kept != c.kept {
			t.Errorf("%s: kept %v, want %v", c.name, kept, c.kept)
		}
	}
}

func TestFromRecordRefuses(t *testing.T) {
	deal := func(d sector.Deal) func(*sector.Record) {
		return func(rec *sector.Record) { *rec = *dealRecord(t, d) }
	}
	whole := sector.Deal{
		Kind: sector.BuiltinMarket, ID: 7008, PublishCid: testCid(t), Proposal: &market.DealProposal{},
		StartEpoch: 1, EndEpoch: 2,
	}
	for _, c := range []struct {
		name, want string
		change     func(*sector.Record)
	}{
		{"no CommR", "CommR or CommD is unknown", func(r *sector.Record) { r.Original.CommR = cid.Undef }},
		{"no CommD", "CommR or CommD is unknown", func(r *sector.Record) { r.Original.CommD = cid.Undef }},
		{"no seal proof", "seal proof 99 is unknown", func(r *sector.Record) { r.SealProof = 99 }},
		{"piece without CID", "piece 0: its CID is unknown", func(r *sector.Record) { r.Original.Pieces = []sector.Piece{{Size: 2048}} }},
		{"schedule", "piece 0: deal 7: its schedule is not valid: start -1, end 5",
			deal(sector.Deal{Kind: sector.BuiltinMarket, ID: 7, StartEpoch: -1, EndEpoch: 5})},
		{"schedule of an allocation", "allocation 55: its schedule is not valid",
			deal(sector.Deal{Kind: sector.DDO, AllocationID: 55, StartEpoch: 5, EndEpoch: 5})},
		{"schedule of a DDO piece", "direct data onboarding: its schedule is not valid",
			deal(sector.Deal{Kind: sector.DDO, StartEpoch: 5})},
		{"empty proposal", "deal 7008: its proposal is not whole", deal(whole)},
	} {
		rec := ccRecord(t)
		c.change(rec)
		_, _, err := FromRecord(rec, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "sector s-t01000-100") {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			continue
		}
		if fault.HintOf(err) == "" {
			t.Errorf("%s: no hint in %v", c.name, err)
		}
	}
}

func TestFromRecordOtherPieceThanItsOrigin(t *testing.T) {
	_, commD := commCid(t, 9)
	for name, change := range map[string]func(*sector.Piece){
		"other data": func(p *sector.Piece) { p.CID = commD },
		"other size": func(p *sector.Piece) { p.Size = 512 },
		"no deal":    func(p *sector.Piece) { p.Deal = nil },
	} {
		base := loadInfoFixtures(t)[8].decode(t)
		rec := base.Record(testMiner)
		change(&rec.Original.Pieces[0])
		si, _ := write(t, rec, base)
		p := rec.Original.Pieces[0]
		if got := si.Pieces[0]; got.Piece.PieceCID != p.CID || got.Piece.Size != p.Size || (got.DealInfo == nil) != (p.Deal == nil) {
			t.Errorf("%s: got %+v, want %+v", name, got, p)
		}
		if !reflect.DeepEqual(si.Pieces[1], base.Pieces[1]) {
			t.Errorf("%s: the other piece changed: %+v", name, si.Pieces[1])
		}
	}
}
