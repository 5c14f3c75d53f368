package lotus

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/sector"
)

func noteCodes(notes []sector.Note) string {
	var codes []string
	for _, n := range notes {
		codes = append(codes, n.Code)
	}
	return strings.Join(codes, " ")
}

// write converts, and holds every result against what any record must fulfil.
func write(t *testing.T, rec *sector.Record, base *SectorInfo) (*SectorInfo, string) {
	t.Helper()
	si, notes, err := FromRecord(rec, base)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Concat(si.Pieces, si.CCPieces) {
		if p.DealInfo != nil && p.DealInfo.Valid() != nil {
			t.Errorf("%s: deal %+v: %v", rec.ID, p.DealInfo, p.DealInfo.Valid())
		}
	}
	if si.State != "Proving" || si.Return != "" || si.FaultReportMsg != nil || si.TerminateMessage != nil || si.TerminatedAt != 0 {
		t.Errorf("%s: lotus has something to do: %+v", rec.ID, si)
	}
	if _, err := Encode(si); err != nil {
		t.Errorf("%s: %v", rec.ID, err)
	}
	return si, noteCodes(notes)
}

// finished returns the fixtures that a switch carries, with 23 as the chain has
// it once its update has landed.
func finished(t *testing.T) (infos []*SectorInfo, records []*sector.Record) {
	t.Helper()
	for _, f := range loadInfoFixtures(t) {
		si := f.decode(t)
		rec := si.Record(testMiner)
		if si.SectorNumber == 23 {
			rec.Status, rec.Upgraded = sector.Finished, true
		}
		if rec.Status == sector.Finished {
			infos, records = append(infos, si), append(records, rec)
		}
	}
	if len(infos) != 28 {
		t.Fatalf("got %d finished sectors, want 28", len(infos))
	}
	return infos, records
}

func TestFromRecordKeepsWhatTheRecordHolds(t *testing.T) {
	_, records := finished(t)
	for _, rec := range records {
		si, notes := write(t, rec, nil)
		got := si.Record(testMiner)
		want := *rec
		want.State = "Proving"
		if !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: got\n%+v, want\n%+v", rec.ID, got, &want)
		}
		if notes != "" {
			t.Errorf("%s: notes %s", rec.ID, notes)
		}
	}
}

// wantUnchanged says that only what lotus was about to do has changed.
func wantUnchanged(t *testing.T, got, was *SectorInfo) {
	t.Helper()
	want := *was
	want.State, want.Return, want.FaultReportMsg, want.TerminateMessage, want.TerminatedAt = "Proving", "", nil, nil, 0
	a, err := Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Encode(&want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("sector %d: got\n%+v, want\n%+v", was.SectorNumber, got, &want)
	}
}

func TestFromRecordWithItsOrigin(t *testing.T) {
	infos, records := finished(t)
	for i, rec := range records {
		si, notes := write(t, rec, infos[i])
		wantUnchanged(t, si, infos[i])
		if notes != "" {
			t.Errorf("%s: notes %s", rec.ID, notes)
		}
	}
}

// forgetful takes from a record what damocles has no place for.
func forgetful(rec *sector.Record) *sector.Record {
	out := *rec
	replicas := []*sector.Replica{&out.Original}
	if out.Update != nil {
		update := *out.Update
		out.Update = &update
		out.Original.Pieces = nil
		replicas = []*sector.Replica{out.Update}
		update.Proof = nil
	}
	for _, r := range replicas {
		r.Pieces = slices.Clone(r.Pieces)
		for i, p := range r.Pieces {
			if p.Deal == nil {
				continue
			}
			deal := *p.Deal
			deal.Proposal, deal.Notify, deal.KeepUnsealed, deal.PayloadSize = nil, nil, false, 5
			r.Pieces[i].Deal = &deal
		}
		if len(r.Pieces) == 1 && r.Pieces[0].Deal == nil {
			r.Pieces = nil // a CC sector
		}
	}
	return &out
}

func TestFromRecordAfterAStayAtDamocles(t *testing.T) {
	infos, records := finished(t)
	for i, rec := range records {
		si, notes := write(t, forgetful(rec), infos[i])
		wantUnchanged(t, si, infos[i])
		if notes != "" {
			t.Errorf("%s: notes %s", rec.ID, notes)
		}
		// Without the origin it is less, but it still can be written.
		write(t, forgetful(rec), nil)
	}
}

// On chain it is still the CC sector, so the prepared update is not written.
func TestFromRecordOfAnUpdateThatIsNotOnChain(t *testing.T) {
	was := loadInfoFixtures(t)[23].decode(t)
	rec := was.Record(testMiner)
	rec.Status = sector.Finished
	for _, base := range []*SectorInfo{nil, was} {
		si, _ := write(t, rec, base)
		if si.CCUpdate || si.CCPieces != nil || si.UpdateSealed != nil || si.UpdateUnsealed != nil ||
			si.ReplicaUpdateProof != nil || si.ReplicaUpdateMessage != nil || !reflect.DeepEqual(si.Pieces, was.CCPieces) {
			t.Errorf("got %+v", si)
		}
	}
}

func commCid(t testing.TB, fixture int) (commR, commD cid.Cid) {
	t.Helper()
	si := loadInfoFixtures(t)[fixture].decode(t)
	return *si.CommR, *si.CommD
}

func ccRecord(t testing.TB) *sector.Record {
	t.Helper()
	commR, commD := commCid(t, 0)
	return &sector.Record{
		ID:        sector.ID{Miner: testMiner, Number: 100},
		SealProof: abi.RegisteredSealProof_StackedDrg2KiBV1_1,
		Status:    sector.Finished,
		Original:  sector.Replica{CommR: commR, CommD: commD},
	}
}

func TestFromRecordCC(t *testing.T) {
	rec := ccRecord(t)
	si, notes := write(t, rec, nil)
	filler := []SectorPiece{{Piece: abi.PieceInfo{Size: 2048, PieceCID: rec.Original.CommD}}}
	if !reflect.DeepEqual(si.Pieces, filler) || notes != "" {
		t.Errorf("got %+v, notes %q", si.Pieces, notes)
	}
	for _, c := range []*cid.Cid{si.PreCommitMessage, si.CommitMessage, si.ReplicaUpdateMessage, si.UpdateSealed} {
		if c != nil {
			t.Errorf("made up %s", c)
		}
	}

	rec.Status = sector.Lost
	if _, notes := write(t, rec, nil); notes != "files-lost" {
		t.Errorf("lost: notes %q", notes)
	}
	// Data whose pieces nobody knows: snapping it would destroy the data.
	_, rec.Original.CommD = commCid(t, 8)
	if _, notes := write(t, rec, nil); notes != "files-lost pieces-unknown" {
		t.Errorf("data: notes %q", notes)
	}
}

func TestFromRecordUpgraded(t *testing.T) {
	newR, newD := commCid(t, 8)
	rec := ccRecord(t)
	rec.Upgraded = true
	si, notes := write(t, rec, nil)
	if !si.CCUpdate || len(si.CCPieces) != 1 || len(si.Pieces) != 0 || si.UpdateSealed != nil || si.ReplicaUpdateMessage != nil {
		t.Errorf("nothing known: got %+v", si)
	}
	if notes != "pieces-unknown update-sealed-unknown" {
		t.Errorf("nothing known: notes %q", notes)
	}
	rec.Update = &sector.Replica{CommR: newR, CommD: newD, Pieces: []sector.Piece{{Size: 2048, CID: newD}}}
	si, notes = write(t, rec, nil)
	if si.UpdateSealed == nil || *si.UpdateSealed != newR || *si.UpdateUnsealed != newD || len(si.Pieces) != 1 || notes != "" {
		t.Errorf("known: got %+v, notes %q", si, notes)
	}
	if *si.CommR != rec.Original.CommR || si.CCPieces[0].Piece.PieceCID != rec.Original.CommD {
		t.Errorf("known: the original is lost: %+v", si)
	}
}

// An origin from before the upgrade gives its pieces, but not an older update.
func TestFromRecordUpgradedSinceItsOrigin(t *testing.T) {
	_, newD := commCid(t, 8)
	otherR, _ := commCid(t, 9)
	base := loadInfoFixtures(t)[0].decode(t)
	base.ReplicaUpdateProof, base.UpdateSealed = []byte{1}, &otherR
	base.CCUpdate, base.CCPieces = true, base.Pieces
	rec := base.Record(testMiner)
	newR, _ := commCid(t, 8)
	rec.Upgraded, rec.Update = true, &sector.Replica{CommR: newR, Pieces: []sector.Piece{{Size: 2048, CID: newD}}}
	rec.Original.Pieces = nil
	si, notes := write(t, rec, base)
	if *si.UpdateSealed != newR || si.ReplicaUpdateProof != nil || !reflect.DeepEqual(si.CCPieces, base.CCPieces) || notes != "" {
		t.Errorf("got %+v, notes %q", si, notes)
	}
}

func TestFromRecordDropsTheOriginOfAnotherSector(t *testing.T) {
	rec := ccRecord(t)
	for _, base := range []*SectorInfo{loadInfoFixtures(t)[0].decode(t), loadInfoFixtures(t)[1].decode(t)} {
		if *base.CommR != rec.Original.CommR {
			base.SectorNumber = rec.ID.Number
		}
		si, notes := write(t, rec, base)
		if si.Log != nil || si.CommitMessage != nil || notes != "origin-unused" {
			t.Errorf("got %+v, notes %q", si, notes)
		}
	}
}

func TestZeroCommD(t *testing.T) {
	for size, want := range map[abi.PaddedPieceSize]string{
		2 << 10:  "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy",
		32 << 30: "baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq",
	} {
		if got := zeroCommD(size).String(); got != want {
			t.Errorf("%d: got %s, want %s", size, got, want)
		}
	}
}
