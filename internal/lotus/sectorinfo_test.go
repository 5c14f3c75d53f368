package lotus

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

const infoFixtures = "../../testdata/fixtures/lotus-sectorinfo"

// infoFixture is one sector as a real lotus-miner wrote it, in both forms.
type infoFixture struct {
	name string
	cbor []byte
	json []byte
}

func (f infoFixture) decode(t testing.TB) *SectorInfo {
	t.Helper()
	si, err := Decode(f.cbor)
	if err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	return si
}

func loadInfoFixtures(t testing.TB) []infoFixture {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(infoFixtures, "*.cbor"))
	if err != nil || len(paths) != 32 {
		t.Fatalf("got %d fixtures, want 32 (%v)", len(paths), err)
	}
	var out []infoFixture
	for _, path := range paths {
		f := infoFixture{name: strings.TrimSuffix(filepath.Base(path), ".cbor")}
		f.cbor = readTestFile(t, path)
		f.json = readTestFile(t, strings.TrimSuffix(path, ".cbor")+".json")
		out = append(out, f)
	}
	return out
}

func readTestFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The JSON and the CBOR of each fixture are the same sector, field by field: what
// is read from the JSON encodes to the very bytes of the CBOR.
func TestJSONAndCBORAreTheSame(t *testing.T) {
	for _, f := range loadInfoFixtures(t) {
		var si SectorInfo
		dec := json.NewDecoder(bytes.NewReader(f.json))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&si); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		got, err := Encode(&si)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if !bytes.Equal(got, f.cbor) {
			t.Errorf("%s: JSON encodes to\n%x, want\n%x", f.name, got, f.cbor)
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(f.json, &keys); err != nil {
			t.Fatal(err)
		}
		if got, want := reflect.TypeFor[SectorInfo]().NumField(), len(keys); got != want {
			t.Errorf("%s: the type has %d fields, lotus %d", f.name, got, want)
		}
	}
}

func TestJSONRoundTrip(t *testing.T) {
	for _, f := range loadInfoFixtures(t) {
		b, err := json.Marshal(f.decode(t))
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		var si SectorInfo
		if err := json.Unmarshal(b, &si); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		got, err := Encode(&si)
		if err != nil || !bytes.Equal(got, f.cbor) {
			t.Errorf("%s: changed by JSON (%v)", f.name, err)
		}
	}
}

func TestTipSetKeyJSON(t *testing.T) {
	var k TipSetKey
	if got, err := json.Marshal(k); err != nil || string(got) != "[]" {
		t.Errorf("empty: got %s, %v", got, err)
	}
	if _, err := json.Marshal(TipSetKey{1, 2, 3}); err == nil {
		t.Error("bytes that are no CIDs: no error")
	}
	if err := json.Unmarshal([]byte(`"x"`), &k); err == nil {
		t.Error("a text: no error")
	}
}

// What lotus itself encodes for values that no fixture holds.
func TestSamplesOfLotus(t *testing.T) {
	location := &SectorLocation{
		Local: true, URL: "http://x",
		Headers: []SectorLocationHeader{{Key: "k", Value: "v"}},
	}
	var got bytes.Buffer
	if err := location.MarshalCBOR(&got); err != nil {
		t.Fatal(err)
	}
	want := "a36355524c68687474703a2f2f78654c6f63616cf5674865616465727381a2634b6579616b6556616c75656176"
	if s := hex.EncodeToString(got.Bytes()); s != want {
		t.Errorf("location: got %s, want %s", s, want)
	}
	b, err := Encode(&SectorInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if s := hex.EncodeToString(b); s != zeroSector {
		t.Errorf("zero value: got %s, want %s", s, zeroSector)
	}
}

const zeroSector = "b827634c6f678065436f6d6d44f665436f6d6d52f66550726f6f66406553746174656066506965636573806652657475726e60" +
	"674c6173744572726068434350696563657380684343557064617465f4695365656445706f636800695365656456616c7565406a536563" +
	"746f7254797065006b5469636b657445706f6368006b5469636b657456616c7565406c4372656174696f6e54696d65006c536563746f72" +
	"4e756d626572006c5465726d696e617465644174006c5570646174655365616c6564f66d436f6d6d69744d657373616765f66d496e7661" +
	"6c696450726f6f6673006d507265436f6d6d6974314f7574406e4661756c745265706f72744d7367f66e557064617465556e7365616c65" +
	"64f66f507265436f6d6d6974314661696c73006f507265436f6d6d6974324661696c73006f507265436f6d6d6974546970536574406f52" +
	"656d6f7465446174614361636865f670507265436f6d6d69744465706f7369744070507265436f6d6d69744d657373616765f67052656d" +
	"6f7465446174615365616c6564f6705465726d696e6174654d657373616765f67252656d6f746544617461556e7365616c6564f6725265" +
	"706c69636155706461746550726f6f66407352656d6f74654461746146696e616c697a6564f4745265706c696361557064617465" +
	"4d657373616765f67552656d6f7465436f6d6d697431456e64706f696e74607552656d6f7465436f6d6d697432456e64706f696e7460" +
	"781952656d6f74655365616c696e67446f6e65456e64706f696e7460"

func TestValid(t *testing.T) {
	publish := testCid(t)
	legacy := func(change func(*PieceDealInfo)) *PieceDealInfo {
		d := *loadInfoFixtures(t)[8].decode(t).Pieces[0].DealInfo
		change(&d)
		return &d
	}
	manifest := func(change func(*PieceDealInfo)) *PieceDealInfo {
		d := &PieceDealInfo{
			DealSchedule:            DealSchedule{StartEpoch: 1, EndEpoch: 2},
			PieceActivationManifest: &PieceActivationManifest{CID: publish, Size: 2048},
		}
		change(d)
		return d
	}
	for _, c := range []struct {
		name  string
		deal  *PieceDealInfo
		valid bool
	}{
		{"legacy", legacy(func(*PieceDealInfo) {}), true},
		{"no publish message", legacy(func(d *PieceDealInfo) { d.PublishCid = nil }), false},
		{"no deal ID", legacy(func(d *PieceDealInfo) { d.DealID = 0 }), false},
		{"no proposal", legacy(func(d *PieceDealInfo) { d.DealProposal = nil }), false},
		{"empty proposal", legacy(func(d *PieceDealInfo) { d.DealProposal = &market.DealProposal{} }), false},
		{"both", legacy(func(d *PieceDealInfo) { d.PieceActivationManifest = &PieceActivationManifest{} }), false},
		{"manifest", manifest(func(*PieceDealInfo) {}), true},
		{"manifest and deal ID", manifest(func(d *PieceDealInfo) { d.DealID = 7 }), true},
		{"neither", &PieceDealInfo{DealSchedule: DealSchedule{StartEpoch: 1, EndEpoch: 2}}, false},
		{"start 0", manifest(func(d *PieceDealInfo) { d.DealSchedule.StartEpoch = 0 }), false},
		{"start negative", manifest(func(d *PieceDealInfo) { d.DealSchedule.StartEpoch = -1 }), false},
		{"end 0", manifest(func(d *PieceDealInfo) { d.DealSchedule.EndEpoch = 0 }), false},
		{"end is start", manifest(func(d *PieceDealInfo) { d.DealSchedule.EndEpoch = 1 }), false},
	} {
		if err := c.deal.Valid(); (err == nil) != c.valid {
			t.Errorf("%s: got %v, want valid %v", c.name, err, c.valid)
		}
	}
}

func testCid(t testing.TB) cid.Cid {
	t.Helper()
	c, err := cid.Decode("bafy2bzaceb2ckh3bqkpfa37p4kc23yroe3yjggcqzvilab47emvgy2sbnuzju")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
