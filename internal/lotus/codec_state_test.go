package lotus

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	cbg "github.com/whyrusleeping/cbor-gen"
)

func TestWithState(t *testing.T) {
	for _, f := range loadInfoFixtures(t) {
		was := f.decode(t)
		for _, state := range []string{"Proving", "FinalizeReplicaUpdate", was.State} {
			raw, err := WithState(f.cbor, state)
			if err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			if got, want := len(raw), len(f.cbor)+len(state)-len(was.State); got != want {
				t.Errorf("%s: %d bytes, want %d", f.name, got, want)
			}
			got, err := Decode(raw)
			if err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			if got.State != state {
				t.Errorf("%s: state %q, want %q", f.name, got.State, state)
			}
			got.State = was.State
			if !reflect.DeepEqual(got, was) {
				t.Errorf("%s: more than the state changed", f.name)
			}
		}
	}
}

func TestWithStateKeepsWhatItDoesNotKnow(t *testing.T) {
	pairs := structOrder(splitMap(t, loadInfoFixtures(t)[22].cbor))
	pairs = append(pairs, cborPair{"FromTheFuture", joinMap([]cborPair{{"State", cborText("inner")}})})
	raw := append(joinMap(pairs), "tail"...)
	got, err := WithState(raw, "Proving")
	if err != nil {
		t.Fatal(err)
	}
	pairs[0].value = cborText("Proving")
	if want := append(joinMap(pairs), "tail"...); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestUnknownFields(t *testing.T) {
	for _, f := range loadInfoFixtures(t) {
		if names, err := UnknownFields(f.cbor); len(names) > 0 || err != nil {
			t.Errorf("%s: %v, %v", f.name, names, err)
		}
	}
	pairs := []cborPair{{"FromTheFuture", []byte{0x01}}, {"State", cborText("Proving")}, {"PreCommitInfo", []byte{0xf6}}, {"Later", []byte{0x80}}}
	if names, err := UnknownFields(joinMap(pairs)); !slices.Equal(names, []string{"FromTheFuture", "Later"}) || err != nil {
		t.Errorf("got %v, %v", names, err)
	}
	for _, bad := range [][]byte{nil, {0x80}, {0xa1}, {0xa1, 0x01}, {0xa1, 0x01, 0x9f}} {
		if names, err := UnknownFields(bad); err == nil {
			t.Errorf("%x: %v", bad, names)
		}
	}
}

func TestWithStateRefuses(t *testing.T) {
	state := cborPair{"State", cborText("Proving")}
	for name, raw := range map[string][]byte{
		"nothing":      nil,
		"an array":     {0x80},
		"no state":     joinMap([]cborPair{{"Proof", []byte{0x40}}}),
		"two states":   joinMap([]cborPair{state, state}),
		"not a text":   joinMap([]cborPair{{"State", []byte{0x01}}}),
		"cut off":      joinMap([]cborPair{state})[:5],
		"cut in value": joinMap([]cborPair{state})[:10],
	} {
		if got, err := WithState(raw, "Available"); err == nil {
			t.Errorf("%s: got %x, want an error", name, got)
		}
	}
}

// cborPair is a key of a map and its value, both as CBOR.
type cborPair struct {
	key   string
	value []byte
}

func splitMap(t testing.TB, raw []byte) []cborPair {
	t.Helper()
	_, n, off, err := readHeader(raw, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []cborPair
	for range n {
		value, err := skipItem(raw, off)
		if err != nil {
			t.Fatal(err)
		}
		end, err := skipItem(raw, value)
		if err != nil {
			t.Fatal(err)
		}
		_, _, name, _ := readHeader(raw, off)
		out = append(out, cborPair{string(raw[name:value]), raw[value:end]})
		off = end
	}
	return out
}

func joinMap(pairs []cborPair) []byte {
	out := cbg.CborEncodeMajorType(cbg.MajMap, uint64(len(pairs)))
	for _, p := range pairs {
		out = append(out, cborText(p.key)...)
		out = append(out, p.value...)
	}
	return out
}

func cborText(s string) []byte {
	return append(cbg.CborEncodeMajorType(cbg.MajTextString, uint64(len(s))), s...)
}

func cborBytes(b []byte) []byte {
	return append(cbg.CborEncodeMajorType(cbg.MajByteString, uint64(len(b))), b...)
}

func without(pairs []cborPair, drop func(key string) bool) []cborPair {
	return slices.DeleteFunc(slices.Clone(pairs), func(p cborPair) bool { return drop(p.key) })
}

func with(pairs []cborPair, key string, value []byte) []cborPair {
	return append(without(pairs, func(k string) bool { return k == key }), cborPair{key, value})
}

// structOrder is how lotus wrote the keys up to v1.22.
func structOrder(pairs []cborPair) []cborPair {
	var out []cborPair
	for f := range reflect.TypeFor[SectorInfo]().Fields() {
		for _, p := range pairs {
			if p.key == f.Name {
				out = append(out, p)
			}
		}
	}
	return out
}

func isSnapKey(key string) bool {
	return strings.HasPrefix(key, "CC") || strings.Contains(key, "Update")
}

func isRemoteKey(key string) bool { return strings.HasPrefix(key, "Remote") }
