package damocles

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

func fixtureRecord(t testing.TB, number string) *sector.Record {
	t.Helper()
	return mustDecode(t, fixture(t, number)).Record(Offline)
}

func fromRecord(t testing.TB, rec *sector.Record) (*SectorState, []sector.Note) {
	t.Helper()
	s, notes, err := FromRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	return s, notes
}

func noteCodes(notes []sector.Note) string {
	var out []string
	for _, n := range notes {
		out = append(out, n.Code)
	}
	return strings.Join(out, " ")
}

// What is written and read again says the same, but for what damocles has no place
// for: the proposal of a deal and the proof of an update.
func TestFromRecordAndBack(t *testing.T) {
	count := 0
	for name, raw := range fixtures(t) {
		rec := mustDecode(t, raw).Record(Offline)
		switch rec.Status {
		case sector.Finished, sector.Lost, sector.Terminated:
		default:
			continue
		}
		count++
		s, _ := fromRecord(t, rec)
		encoded, err := EncodeState(s)
		if err != nil {
			t.Fatal(err)
		}
		want := mustDecode(t, raw).Record(Offline)
		if want.Update != nil {
			want.Update.Proof = nil
		}
		for _, p := range want.Live().Pieces {
			if p.Deal != nil {
				p.Deal.Proposal = nil
			}
		}
		if got := mustDecode(t, encoded).Record(Offline); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, describe(got), describe(want))
		}
	}
	if count != 20 {
		t.Errorf("%d fixtures are finished, want 20", count)
	}
}

// An imported sector of damocles's own tool is the state that we write, too.
func TestFromRecordLikeDamocles(t *testing.T) {
	for _, number := range []string{"121", "122"} {
		s, _ := fromRecord(t, fixtureRecord(t, number))
		got, err := EncodeState(s)
		if err != nil {
			t.Fatal(err)
		}
		if want := fixture(t, number); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", number, got, want)
		}
	}
}

// Whatever comes in, damocles must have nothing to do about what goes out.
func TestFromRecordIsQuiet(t *testing.T) {
	for name, raw := range fixtures(t) {
		s, _, err := FromRecord(mustDecode(t, raw).Record(Offline))
		if err != nil {
			continue
		}
		switch {
		case !s.Finalized, !s.Imported, s.Removed, s.Unsealing, s.AbortReason != "", s.LatestState != nil, s.Deals != nil:
			t.Errorf("%s: not a finished, imported sector: %+v", name, s)
		case s.MessageInfo.NeedSend, s.TerminateInfo.AddedHeight != s.TerminateInfo.TerminatedAt:
			t.Errorf("%s: damocles would send a message", name)
		case s.Pre == nil, s.Upgraded != (s.UpgradedInfo != nil), s.Upgraded != (s.UpgradePublic != nil):
			t.Errorf("%s: damocles would panic", name)
		case s.UpgradedInfo != nil && (s.UpgradedInfo.Proof != nil || s.UpgradedInfo.AccessInstance != ""):
			t.Errorf("%s: damocles would take the upgrade for its own", name)
		case !s.Upgraded && (s.UpgradeMessageID != nil || s.UpgradeLandedEpoch != nil):
			t.Errorf("%s: an upgrade of a sector that has none", name)
		}
	}
}

func TestFromRecordPieces(t *testing.T) {
	rec := fixtureRecord(t, "106")
	data, filler := rec.Original.Pieces[0], rec.Original.Pieces[1]
	publish := data.Deal.PublishCid
	client := data.Deal.Client
	data.Size, filler.Size = 512, 512
	ddo, unverified, bare := data, data, data
	ddo.Deal = &sector.Deal{Kind: sector.DDO, AllocationID: 77, Client: client, StartEpoch: 5, EndEpoch: 9, PayloadSize: 400,
		KeepUnsealed: true, Notify: []sector.Notify{{Address: client}}}
	unverified.Deal = &sector.Deal{Kind: sector.DDO, StartEpoch: 5, EndEpoch: 9}
	bare.Deal = &sector.Deal{Kind: sector.BuiltinMarket, ID: 8}
	rec.Original.Pieces = []sector.Piece{ddo, filler, unverified, bare}

	s, notes := fromRecord(t, rec)
	if got, want := noteCodes(notes), "payload-size-unknown ddo-unverified"; got != want {
		t.Errorf("notes %q, want %q", got, want)
	}
	want := []*DealInfo{
		{AllocationID: 77, Client: client, StartEpoch: 5, EndEpoch: 9, PayloadSize: 400, Offset: 0},
		nil,
		{StartEpoch: 5, EndEpoch: 9, Offset: 1024},
		{DealID: 8, IsBuiltinMarket: true, Offset: 1536},
	}
	for i, d := range want {
		if d != nil {
			d.PieceCID, d.PieceSize, d.Length = data.CID, 512, 512
		}
		if got := s.Pieces[i].DealInfo; !reflect.DeepEqual(got, d) {
			t.Errorf("piece %d: got %+v, want %+v", i, got, d)
		}
	}

	s, notes = fromRecord(t, fixtureRecord(t, "106"))
	wantDeal := DealInfo{DealID: 7106, PublishCid: publish, PieceCID: data.CID, PieceSize: 1024, Length: 1024,
		Client: client, Provider: s.Pieces[0].DealInfo.Provider, PayloadSize: 900, StartEpoch: 6000, EndEpoch: 600000,
		IsBuiltinMarket: true}
	if got := *s.Pieces[0].DealInfo; got != wantDeal || len(notes) != 0 {
		t.Errorf("got %+v and %v, want %+v", got, notes, wantDeal)
	}
}

// A deal of which hardly anything is known still has all its keys.
func TestFromRecordWritesWholeDeals(t *testing.T) {
	rec := fixtureRecord(t, "108")
	rec.Original.Pieces[0].Deal = &sector.Deal{Kind: sector.DDO}
	s, _ := fromRecord(t, rec)
	raw, err := EncodeState(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"DealID":0`, `"PublishCid":null`, `"AllocationID":0`, `"Client":"\u003cempty\u003e"`,
		`"Provider":"\u003cempty\u003e"`, `"PayloadSize":0`, `"StartEpoch":0`, `"IsBuiltinMarket":false`} {
		if !bytes.Contains(raw, []byte(key)) {
			t.Errorf("%s is missing", key)
		}
	}
	if again := mustDecode(t, raw); again.Pieces[0].DealInfo == nil || again.Pieces[0].DealInfo.Client != address.Undef {
		t.Error("it is not read back")
	}
}

func TestFromRecordWithoutSealing(t *testing.T) {
	rec := fixtureRecord(t, "100")
	rec.Ticket, rec.Seed = sector.Randomness{Epoch: 5}, sector.Randomness{Epoch: 6}
	rec.Original.Proof = []byte{}
	s, notes := fromRecord(t, rec)
	if s.Ticket != nil || s.Seed != nil || s.Proof != nil || s.Pre.Ticket.Ticket != nil || s.Pre.Ticket.Epoch != 0 || s.Pieces != nil {
		t.Errorf("made up: %+v", s)
	}
	if got, want := noteCodes(notes), "ticket-unknown"; got != want {
		t.Errorf("notes %q, want %q", got, want)
	}
}

func TestFromRecordUpgraded(t *testing.T) {
	rec := fixtureRecord(t, "110")
	rec.Messages.Update = rec.Original.CommR // any CID
	s, notes := fromRecord(t, rec)
	if len(notes) != 0 || *s.UpgradeMessageID != rec.Original.CommR.String() || *s.UpgradeLandedEpoch != 0 {
		t.Errorf("notes %v, message %v, landed %v", notes, s.UpgradeMessageID, s.UpgradeLandedEpoch)
	}
	if want := mustDecode(t, fixture(t, "110")).UpgradePublic; !reflect.DeepEqual(s.UpgradePublic, want) {
		t.Errorf("got %+v, want %+v", s.UpgradePublic, want)
	}

	// The pieces of the original are not those of an update of which nothing is known.
	rec.Update, rec.Chain = nil, nil
	rec.Original.Pieces = fixtureRecord(t, "106").Original.Pieces
	s, notes = fromRecord(t, rec)
	if !reflect.DeepEqual(s.UpgradedInfo, &UpgradedInfo{}) || s.Pieces != nil || s.UpgradePublic.Activation != 0 {
		t.Errorf("made up: %+v, %+v, %+v", s.UpgradedInfo, s.Pieces, s.UpgradePublic)
	}
	if got, want := noteCodes(notes), "update-sealed-unknown"; got != want {
		t.Errorf("notes %q, want %q", got, want)
	}

	// An update that is not on chain is none.
	rec = fixtureRecord(t, "110")
	rec.Upgraded = false
	if s, _ = fromRecord(t, rec); s.Upgraded || s.UpgradedInfo != nil || s.Pieces != nil {
		t.Errorf("upgraded: %+v", s)
	}
}

func TestFromRecordRefuses(t *testing.T) {
	other := cid.MustParse("bafy2bzacedegbxnfznee2rkwm63ryazi3dz7dpgqzqqbmstpwojsovyjipnm2")
	for _, test := range []struct {
		number, want string
		change       func(*sector.Record)
	}{
		{"100", "CommR is unknown", func(r *sector.Record) { r.Original.CommR = cid.Undef }},
		{"100", "CommD is unknown", func(r *sector.Record) { r.Original.CommD = cid.Undef }},
		{"100", "is no CommR", func(r *sector.Record) { r.Original.CommR = r.Original.CommD }},
		{"100", "is no CommD", func(r *sector.Record) { r.Original.CommD = other }},
		{"110", "is no updated CommR", func(r *sector.Record) { r.Update.CommR = other }},
		{"110", "is no updated CommD", func(r *sector.Record) { r.Update.CommD = r.Update.CommR }},
		{"106", "piece 1: its CID is unknown", func(r *sector.Record) { r.Original.Pieces[1].CID = cid.Undef }},
		{"106", "piece 0: ", func(r *sector.Record) { r.Original.Pieces[0].CID = other }},
		{"106", "piece 0: ", func(r *sector.Record) { r.Original.Pieces[0].Size = 1000 }},
		{"106", "more than the 2048", func(r *sector.Record) { r.Original.Pieces[0].Size = 2048 }},
		{"100", "seal proof 99", func(r *sector.Record) { r.SealProof = 99 }},
		{"115", "nothing says when", func(r *sector.Record) { r.Termination.Epoch = 0 }},
		{"100", "it is sealing", func(r *sector.Record) { r.Status = sector.Sealing }},
		{"100", "it is in-doubt", func(r *sector.Record) { r.Status = sector.InDoubt }},
		{"100", "it is removed", func(r *sector.Record) { r.Status = sector.Removed }},
		{"100", "it is unknown", func(r *sector.Record) { r.Status = sector.Unknown }},
	} {
		rec := fixtureRecord(t, test.number)
		rec.Original.Pieces = slices.Clone(rec.Original.Pieces)
		test.change(rec)
		s, _, err := FromRecord(rec)
		if err == nil || s != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
			continue
		}
		if !strings.Contains(err.Error(), "s-t01000-"+test.number) || fault.HintOf(err) == "" {
			t.Errorf("%v: names no sector, or has no hint", err)
		}
	}
}

func TestFromRecordTerminated(t *testing.T) {
	rec := fixtureRecord(t, "115")
	message := cid.MustParse("bafy2bzacedegbxnfznee2rkwm63ryazi3dz7dpgqzqqbmstpwojsovyjipnm2")
	rec.Termination.Message = message
	s, _ := fromRecord(t, rec)
	want := TerminateInfo{TerminateCid: message, TerminatedAt: 90000, AddedHeight: 90000}
	if s.TerminateInfo != want {
		t.Errorf("got %+v, want %+v", s.TerminateInfo, want)
	}
	// A termination that has not landed is not written: damocles would send it again.
	rec.Status, rec.Termination.Epoch = sector.Finished, abi.ChainEpoch(0)
	if s, _ = fromRecord(t, rec); s.TerminateInfo != (TerminateInfo{}) {
		t.Errorf("got %+v", s.TerminateInfo)
	}
	if s, _ = fromRecord(t, fixtureRecord(t, "113")); !s.NeedRebuild {
		t.Error("a lost sector is not marked for a rebuild")
	}
}
