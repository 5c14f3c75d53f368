package damocles

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
)

// editState replaces a part of a state's JSON that must be there.
func editState(t testing.TB, raw []byte, from, to string) []byte {
	t.Helper()
	if !bytes.Contains(raw, []byte(from)) {
		t.Fatalf("the state has no %s", from)
	}
	return bytes.Replace(raw, []byte(from), []byte(to), 1)
}

func TestFixturesRoundTrip(t *testing.T) {
	for name, raw := range fixtures(t) {
		s := mustDecode(t, raw)
		got, err := EncodeState(s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(got, raw) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, raw)
		}
	}
}

// The fast form must take what damocles writes, or nothing is gained by it, and
// must say what encoding/json says.
func TestFixturesAreRead(t *testing.T) {
	for name, raw := range fixtures(t) {
		checkForm(t, name, raw, true)
	}
}

// checkForm compares the two ways of reading the same bytes.
func checkForm(t *testing.T, name string, raw []byte, mustTake bool) {
	t.Helper()
	f, got := form{buf: raw, reading: true}, new(SectorState)
	f.state(got)
	if f.bad || len(f.buf) > 0 {
		if mustTake {
			t.Errorf("%s: not read as what damocles writes, from %.60q on", name, f.buf)
		}
		return
	}
	want := new(SectorState)
	if err := json.Unmarshal(raw, want); err != nil {
		t.Errorf("%s: read, but encoding/json says %v", name, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: encoding/json reads it otherwise:\n%s", name, raw)
	}
}

func TestDecodeOtherForms(t *testing.T) {
	var indented bytes.Buffer
	if err := json.Indent(&indented, fixture(t, "106"), "", "  "); err != nil {
		t.Fatal(err)
	}
	if got, want := mustDecode(t, indented.Bytes()), mustDecode(t, fixture(t, "106")); !reflect.DeepEqual(got, want) {
		t.Error("an indented state is read otherwise than a compact one")
	}
	client := `"Client":"f02106"`
	for _, test := range []struct {
		name, number, from, to string
		holds                  func(*SectorState) bool
	}{
		{"keys in any case", "100", `"SectorType":5`, `"sectortype":8`,
			func(s *SectorState) bool { return s.SectorType == 8 }},
		{"the last of two keys counts", "100", `"SectorType":5`, `"SectorType":5,"sectorTYPE":8`,
			func(s *SectorState) bool { return s.SectorType == 8 }},
		{"unknown keys are ignored", "100", `"SectorType":5`, `"SectorType":5,"Future":{"a":[1]}`,
			func(s *SectorState) bool { return s.SectorType == 5 }},
		{"bytes as numbers", "100", `"Proof":{"Proof":"`, `"Proof":{"Proof":[1,2,255]},"Unknown":{"Proof":"`,
			func(s *SectorState) bool { return bytes.Equal(s.Proof.Proof, []byte{1, 2, 255}) }},
		{"short commitment", "110", `"CommR":[144,10,17,`, `"CommR":[7],"Unknown":[144,10,17,`,
			func(s *SectorState) bool { return s.UpgradePublic.CommR == [32]byte{7} }},
		{"no client", "106", client, `"Client":"<empty>"`,
			func(s *SectorState) bool { return s.Pieces[0].DealInfo.Client == address.Undef }},
		{"no client, escaped", "106", client, `"Client":"\u003cempty\u003e"`,
			func(s *SectorState) bool { return s.Pieces[0].DealInfo.Client == address.Undef }},
		{"no client, empty", "106", client, `"Client":""`,
			func(s *SectorState) bool { return s.Pieces[0].DealInfo.Client == address.Undef }},
		{"address of a test network", "106", client, `"Client":"t02106"`,
			func(s *SectorState) bool { return s.Pieces[0].DealInfo.Client.String() == "f02106" }},
		{"undefined CID", "100", `"CommitCid":{"/":`, `"CommitCid":null,"Unknown":{"/":`,
			func(s *SectorState) bool { return !s.MessageInfo.CommitCid.Defined() }},
		{"nothing known of a deal", "106", `"DealInfo":null`, `"DealInfo":{"IsBuiltinMarket":true,"IsCompatible":true}`,
			func(s *SectorState) bool { return s.Pieces[0].DealInfo != nil && s.Pieces[1].DealInfo == nil }},
		{"escapes", "114", `aborted via CLI`, `a\n\"b\" \u003c\u2028\ud83d\ude00`,
			func(s *SectorState) bool { return s.AbortReason == "a\n\"b\" <\u2028😀" }},
		{"empty lists", "100", `"Pieces":null`, `"Pieces":[]`,
			func(s *SectorState) bool { return s.Pieces != nil && len(s.Pieces) == 0 }},
		{"largest number", "100", `"Number":100`, `"Number":18446744073709551615`,
			func(s *SectorState) bool { return s.ID.Number == 18446744073709551615 }},
	} {
		raw := editState(t, fixture(t, test.number), test.from, test.to)
		if s, err := DecodeState(raw); err != nil || !test.holds(s) {
			t.Errorf("%s: wrong, error %v", test.name, err)
		}
		checkForm(t, test.name, raw, false)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, test := range []struct{ name, number, from, to, want string }{
		{"commitment in base64", "110", `"CommR":[144,`, `"CommR":"kAoRfCIEOS8=","x":[144,`, "UpgradePublic.CommR: "},
		{"no byte", "110", `"CommR":[144,`, `"CommR":[400,`, "UpgradePublic.CommR: "},
		{"empty CID", "100", `"CommitCid":{"/":"`, `"CommitCid":{"/":""},"x":{"y":"`, "MessageInfo.CommitCid: "},
		{"CID without its slash", "100", `"CommD":{"/":`, `"CommD":{"x":`, "Pre.CommD: "},
		{"CID as text", "106", `"PublishCid":{`, `"PublishCid":"bafy","x":{`, "Pieces[0].DealInfo.PublishCid: "},
		{"no CID", "100", `"/":"bagboea4b5`, `"/":"bagboea4b!`, "Pre.CommR: "},
		{"no amount", "104", `"StoragePricePerEpoch":"7"`, `"StoragePricePerEpoch":"\u003cnil\u003e"`,
			"Deals[0].Proposal.StoragePricePerEpoch: "},
		{"null amount", "104", `"ProviderCollateral":"8"`, `"ProviderCollateral":null`,
			"Deals[0].Proposal.ProviderCollateral: "},
		{"no address", "106", `"Client":"f02106"`, `"Client":"f9"`, "Pieces[0].DealInfo.Client: "},
		{"negative size", "106", `"Length":1024`, `"Length":-1`, "Pieces[0].DealInfo.Length: "},
		{"fraction", "100", `"AddedHeight":0`, `"AddedHeight":0.5`, "TerminateInfo.AddedHeight: "},
		{"leading zero", "100", `"AddedHeight":0`, `"AddedHeight":00`, "at byte "},
		{"number too large", "100", `"Number":100`, `"Number":18446744073709551616`, "ID.Number: "},
		{"text for a flag", "100", `"Finalized":true`, `"finalized":"true"`, "Finalized: "},
		{"bad base64", "100", `"Proof":{"Proof":"oX`, `"Proof":{"Proof":"*X`, "Proof.Proof: "},
		{"line break in a string", "100", `"Proof":{"Proof":"oX`, "\"Proof\":{\"Proof\":\"\noX", "at byte "},
		{"something after it", "100", `"Unsealing":false}`, `"Unsealing":false}}`, "at byte "},
		{"cut off", "100", `"Unsealing":false}`, `"Unsealing":fal`, "at byte "},
	} {
		_, err := DecodeState(editState(t, fixture(t, test.number), test.from, test.to))
		if err == nil || !strings.HasPrefix(err.Error(), "decode sector state: "+test.want) {
			t.Errorf("%s: got error %v, want %s", test.name, err, test.want)
		}
	}
	for _, raw := range []string{"", "null", "[]", "7", `"x"`} {
		if s, err := DecodeState([]byte(raw)); err == nil || s != nil {
			t.Errorf("DecodeState(%q): no error", raw)
		}
	}
}

// What is decoded is encoded to something that decodes and encodes to itself.
func FuzzDecodeState(f *testing.F) {
	for _, raw := range fixtures(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := DecodeState(raw)
		if err != nil {
			return
		}
		checkForm(t, "input", raw, false)
		first, err := EncodeState(s)
		if err != nil {
			t.Fatal(err)
		}
		checkForm(t, "output", first, false)
		again, err := DecodeState(first)
		if err != nil {
			t.Fatalf("its own output is no state: %v\n%s", err, first)
		}
		if second, _ := EncodeState(again); !bytes.Equal(first, second) {
			t.Fatalf("not stable:\n%s\n%s", first, second)
		}
		if want, err := json.Marshal(s); err != nil || !bytes.Equal(first, want) {
			t.Fatalf("encoding/json writes otherwise: %v\n%s\n%s", err, first, want)
		}
		// Whatever it says, nothing may panic on it.
		_, _, _ = FromRecord(s.Record(Offline))
		_ = WriteState(io.Discard, s)
	})
}

func BenchmarkDecodeState(b *testing.B) {
	raw := fixture(b, "106")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeState(raw); err != nil {
			b.Fatal(err)
		}
	}
}
