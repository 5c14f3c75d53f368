package damocles

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

func TestEncodeNil(t *testing.T) {
	if raw, err := EncodeState(nil); err == nil {
		t.Errorf("EncodeState(nil) wrote %s", raw)
	}
}

// encoding/json on the same types is what damocles uses.
func TestEncodeLikeEncodingJSON(t *testing.T) {
	for name, raw := range fixtures(t) {
		checkEncode(t, name, mustDecode(t, raw))
	}
	checkEncode(t, "zero", new(SectorState))
	rnd := random{rand.New(rand.NewPCG(1, 2))}
	for range 2000 {
		s := new(SectorState)
		rnd.fill(reflect.ValueOf(s).Elem())
		checkEncode(t, "random", s)
	}
}

func checkEncode(t *testing.T, name string, s *SectorState) {
	t.Helper()
	want, err := json.Marshal(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, err := EncodeState(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s:\n got %s\nwant %s", name, got, want)
	}
	checkForm(t, name, got, false)
}

// random makes states with everything that has a form of its own in JSON.
type random struct{ *rand.Rand }

func (r random) fill(v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *cid.Cid:
		*p = r.cid()
		return
	case *address.Address:
		*p = r.address()
		return
	case *abi.TokenAmount:
		*p = abi.TokenAmount{Int: r.amount()}
		return
	case *market.DealLabel:
		*p = r.label()
		return
	case *string:
		*p = r.text()
		return
	case *[]byte:
		*p = r.bytes()
		return
	}
	r.fillKind(v)
}

func (r random) fillKind(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			r.fill(v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			r.fill(v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
		}
		for i := range v.Len() {
			r.fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			r.fill(v.Index(i))
		}
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint64, reflect.Uint8:
		v.SetUint(r.Uint64() >> r.IntN(64) & (1<<v.Type().Bits() - 1))
	default:
		panic("no random " + v.Type().String())
	}
}

// text joins pieces that encoding/json escapes or mends, each in its own way.
func (r random) text() string {
	parts := []string{"plain", "ünï", "<b>", "a&b", `"`, `\`, "\n\t\r", "\x00\x1f\x7f\b\f", "\u2028\u2029", "\xff\xc3", "😀", "\xed\xa0\x80", "/"}
	s := ""
	for range r.IntN(4) {
		s += parts[r.IntN(len(parts))]
	}
	return s
}

func (r random) bytes() []byte {
	if r.IntN(4) == 0 {
		return nil
	}
	b := make([]byte, r.IntN(40))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r random) label() market.DealLabel {
	if r.IntN(3) == 0 {
		label, _ := market.NewLabelFromBytes(r.bytes())
		return label
	}
	label, err := market.NewLabelFromString(r.text())
	if err != nil { // not UTF-8, so no label
		return market.EmptyDealLabel
	}
	return label
}

func (r random) cid() cid.Cid {
	sum := sha512.Sum512(r.bytes())
	hash := append([]byte{0x12, 0x20}, sum[:32]...) // sha2-256 by its name
	switch r.IntN(5) {
	case 0:
		return cid.Undef
	case 1:
		return cid.NewCidV0(hash)
	case 2:
		return cid.NewCidV1(cid.Raw, append([]byte{0x13, 0x40}, sum[:]...))
	default:
		return cid.NewCidV1(cid.DagCBOR, hash)
	}
}

func (r random) address() address.Address {
	var a address.Address
	switch r.IntN(5) {
	case 0:
	case 1:
		a, _ = address.NewSecp256k1Address(r.bytes())
	case 2:
		a, _ = address.NewBLSAddress(make([]byte, address.BlsPublicKeyBytes))
	case 3:
		a, _ = address.NewDelegatedAddress(10, []byte{1, 2, byte(r.Uint32())})
	default:
		a, _ = address.NewIDAddress(r.Uint64() >> 1)
	}
	return a
}

func (r random) amount() *big.Int {
	if r.IntN(4) == 0 {
		return nil
	}
	n := new(big.Int).SetBytes(r.bytes())
	if r.IntN(4) == 0 {
		n.Neg(n)
	}
	return n
}

func BenchmarkEncodeState(b *testing.B) {
	s := mustDecode(b, fixture(b, "106"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodeState(s); err != nil {
			b.Fatal(err)
		}
	}
}
