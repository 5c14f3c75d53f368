package lotus

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestRoundTripIsByteForByte(t *testing.T) {
	for _, f := range loadInfoFixtures(t) {
		got, err := Encode(f.decode(t))
		if err != nil || !bytes.Equal(got, f.cbor) {
			t.Errorf("%s: got %x, %v", f.name, got, err)
		}
	}
}

func TestEncodeRefusesWhatLotusCannotRead(t *testing.T) {
	if _, err := Encode(nil); err == nil {
		t.Error("nil: no error")
	}
	long := SectorInfo{LastErr: strings.Repeat("x", 8193)}
	if _, err := Encode(&long); err == nil {
		t.Error("text of 8193 bytes: no error")
	}
	if _, err := Encode(&SectorInfo{Pieces: []SectorPiece{{}}}); err == nil {
		t.Error("piece without CID: no error")
	}
}

func TestDecodeOldMaps(t *testing.T) {
	f := loadInfoFixtures(t)[8]
	all := splitMap(t, f.cbor)
	v124 := without(all, func(k string) bool { return k == "PreCommit1Fails" })
	noRemote := without(v124, isRemoteKey)
	v117 := with(noRemote, "PreCommitInfo", []byte{0xf6})
	v113 := without(v117, isSnapKey)
	for _, c := range []struct {
		name  string
		pairs []cborPair
		keys  int
	}{
		{"v1.36", all, 39}, {"v1.24", v124, 38}, {"v1.17", v117, 32}, {"v1.13", v113, 26},
	} {
		if len(c.pairs) != c.keys {
			t.Fatalf("%s: made %d keys, want %d", c.name, len(c.pairs), c.keys)
		}
		got, err := Decode(joinMap(c.pairs))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		// The fixture has nothing in the fields that these versions lack.
		if b, err := Encode(got); err != nil || !bytes.Equal(b, f.cbor) {
			t.Errorf("%s: encodes to %x, %v", c.name, b, err)
		}
	}
}

func TestDecodeAnyOrder(t *testing.T) {
	f := loadInfoFixtures(t)[20]
	pairs := splitMap(t, f.cbor)
	ordered := structOrder(pairs)
	if len(ordered) != 39 {
		t.Fatalf("struct order holds %d keys", len(ordered))
	}
	reversed := slices.Clone(pairs)
	slices.Reverse(reversed)
	for name, p := range map[string][]cborPair{"struct order": ordered, "reversed": reversed} {
		got, err := Decode(joinMap(p))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b, err := Encode(got); err != nil || !bytes.Equal(b, f.cbor) {
			t.Errorf("%s: encodes to %x, %v", name, b, err)
		}
	}
}

// Up to v1.25 a deal had no manifest.
func TestDecodeDealOfFivePairs(t *testing.T) {
	f := loadInfoFixtures(t)[8]
	want := f.decode(t)
	var piece, deal bytes.Buffer
	if err := want.Pieces[0].MarshalCBOR(&piece); err != nil {
		t.Fatal(err)
	}
	if err := want.Pieces[0].DealInfo.MarshalCBOR(&deal); err != nil {
		t.Fatal(err)
	}
	five := without(splitMap(t, deal.Bytes()), func(k string) bool { return k == "PieceActivationManifest" })
	if len(five) != 5 {
		t.Fatalf("made %d pairs", len(five))
	}
	old := joinMap(with(splitMap(t, piece.Bytes()), "DealInfo", joinMap(five)))
	pieces := append([]byte{0x81}, old...)
	got, err := Decode(joinMap(with(splitMap(t, f.cbor), "Pieces", pieces)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Pieces, want.Pieces[:1]) {
		t.Errorf("got %+v", got.Pieces)
	}
}

func TestDecodeUnknownAndDuplicateKeys(t *testing.T) {
	f := loadInfoFixtures(t)[12]
	deep := bytes.Repeat([]byte{0x81}, 5000)
	raw := joinMap(append(splitMap(t, f.cbor),
		cborPair{"FromTheFuture", append(deep, 0x00)},
		cborPair{strings.Repeat("k", 300), []byte{0xa1, 0x01, 0xd8, 0x2a, 0x41, 0x00}},
		cborPair{"State", cborText("Available")},
		cborPair{"SectorNumber", []byte{0x07}},
		cborPair{"Proof", cborBytes([]byte{9})},
	))
	if _, err := Decode(raw); err == nil {
		t.Error("a broken CID under an unknown key: no error, but lotus gives one")
	}
	raw = joinMap(append(splitMap(t, f.cbor),
		cborPair{"FromTheFuture", append(deep, 0x00)},
		cborPair{"State", cborText("Available")},
		cborPair{"SectorNumber", []byte{0x07}},
		cborPair{"Proof", cborBytes([]byte{9})},
	))
	got, err := Decode(append(raw, "what follows the map"...))
	if err != nil {
		t.Fatal(err)
	}
	want := f.decode(t)
	want.State, want.SectorNumber, want.Proof = "Available", 7, []byte{9}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDecodeNegativeEpochs(t *testing.T) {
	raw := joinMap([]cborPair{{"TicketEpoch", []byte{0x20}}, {"CreationTime", []byte{0x3a, 0xff, 0xff, 0xff, 0xff}}})
	got, err := Decode(raw)
	if err != nil || got.TicketEpoch != -1 || got.CreationTime != -1<<32 {
		t.Fatalf("got %+v, %v", got, err)
	}
	b, err := Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Decode(b); err != nil || again.CreationTime != -1<<32 {
		t.Errorf("after encoding: %+v, %v", again, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	one := func(key, value string) string {
		v, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		return string(joinMap([]cborPair{{key, v}}))
	}
	big := string(joinMap([]cborPair{{"LastErr", cborText(strings.Repeat("x", 8193))}}))
	bigBytes := string(joinMap([]cborPair{{"Proof", cborBytes(make([]byte, 2<<20+1))}}))
	for name, raw := range map[string]string{
		"nothing":                   "",
		"null":                      "\xf6",
		"an array":                  "\x80",
		"cut off":                   string(loadInfoFixtures(t)[8].cbor[:900]),
		"only a header":             "\xb8\x27",
		"number for a text":         one("State", "01"),
		"text for a number":         one("SectorNumber", "6131"),
		"negative number":           one("SectorNumber", "20"),
		"epoch beyond 63 bits":      one("TicketEpoch", "1b8000000000000000"),
		"text for bytes":            one("Proof", "6161"),
		"map for an array":          one("Pieces", "a0"),
		"number for a bool":         one("CCUpdate", "01"),
		"CID without tag":           one("CommR", "4100"),
		"empty CID":                 one("CommR", "d82a40"),
		"big.Int of 129 bytes":      one("PreCommitDeposit", "588100"+strings.Repeat("01", 128)),
		"big.Int of unknown sign":   one("PreCommitDeposit", "420201"),
		"indefinite length":         one("State", "7f6161ff"),
		"not the shortest form":     one("SectorNumber", "1801"),
		"text over the limit":       big,
		"bytes over the limit":      bigBytes,
		"proposal of 10 fields":     one("Pieces", "81a1684465616c496e666fa16c4465616c50726f706f73616c8a"+strings.Repeat("00", 10)),
		"number as key":             "\xa1\x01\x01",
		"array longer than allowed": one("Log", "992001"+strings.Repeat("a0", 8193)),
	} {
		if si, err := Decode([]byte(raw)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, si)
		}
	}
}

// A header may claim up to 2 MiB or 8192 entries; a short input that does must
// not cost that much memory.
func TestDecodeAllocatesNoMoreThanTheInputHolds(t *testing.T) {
	for name, value := range map[string]string{
		"Proof": "5a00200000", "LastErr": "791fff", "Pieces": "991fff", "Log": "991fff", "PreCommitTipSet": "5a00200000",
		"Unknown": "5a00200000", "CCPieces": "9b7fffffffffffffff", "TicketValue": "5bffffffffffffffff",
	} {
		head, _ := hex.DecodeString(value)
		raw := joinMap([]cborPair{{name, append(head, 1, 2, 3)}})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(raw)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 256<<10 {
			t.Errorf("%s: allocated %d bytes", name, got)
		}
	}
}

// What decodes and can be encoded does not change any more after that.
func FuzzDecode(f *testing.F) {
	for _, fixture := range loadInfoFixtures(f) {
		f.Add(fixture.cbor)
	}
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = WithState(raw, "Proving")
		si, err := Decode(raw)
		if err != nil {
			return
		}
		si.Record(1000)
		first, err := Encode(si)
		if err != nil {
			return // a record without a piece's CID: lotus cannot write it either
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("what was encoded does not decode: %v", err)
		}
		if second, err := Encode(again); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("not stable: %x, then %x (%v)", first, second, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := loadInfoFixtures(b)[8].cbor
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	si := loadInfoFixtures(b)[8].decode(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(si); err != nil {
			b.Fatal(err)
		}
	}
}
