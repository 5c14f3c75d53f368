package sector

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

func testCid(t *testing.T, s string) cid.Cid {
	t.Helper()
	c, err := cid.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// full is a record in which every field has a value, so that each can be changed.
func full(t *testing.T) *Record {
	t.Helper()
	commR := testCid(t, "bagboea4b5abcans42hjmxwku6psfkpcce43fa4jde43rqagypp5ukjbfjdfibzan")
	commD := testCid(t, "baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy")
	msg := testCid(t, "bafy2bzacecvsurhczjsngtq3sluhg4fgiwbvobqkafoclfd363hismgvmzfeq")
	client, _ := address.NewIDAddress(2008)
	provider, _ := address.NewIDAddress(1000)
	label, err := market.NewLabelFromString("label")
	if err != nil {
		t.Fatal(err)
	}
	deal := Deal{
		Kind: BuiltinMarket, ID: 7, PublishCid: msg, AllocationID: 3, Client: client, Provider: provider,
		StartEpoch: 10, EndEpoch: 20, PayloadSize: 900, KeepUnsealed: true,
		Notify: []Notify{{Address: provider, Payload: []byte{1}}},
		Proposal: &market.DealProposal{
			PieceCID: commD, PieceSize: 1024, VerifiedDeal: true, Client: client, Provider: provider, Label: label,
			StartEpoch: 10, EndEpoch: 20,
			StoragePricePerEpoch: big.NewInt(1), ProviderCollateral: big.NewInt(2), ClientCollateral: big.NewInt(3),
		},
	}
	replica := func() Replica {
		d := deal
		p := *deal.Proposal
		d.Proposal = &p
		d.Notify = []Notify{{Address: provider, Payload: []byte{1}}}
		return Replica{CommR: commR, CommD: commD, Proof: []byte{1, 2}, Pieces: []Piece{{Size: 1024, CID: commD, Deal: &d}, {Size: 1024, CID: commD}}}
	}
	update := replica()
	return &Record{
		ID: ID{1000, 16}, SealProof: abi.RegisteredSealProof_StackedDrg2KiBV1_1, Status: Finished, State: "Proving",
		Ticket: Randomness{[]byte{1}, 4000}, Seed: Randomness{[]byte{2}, 4200},
		Original: replica(), Update: &update, Upgraded: true,
		Messages:    Messages{PreCommit: msg, Commit: msg, Update: msg},
		Termination: Termination{Message: msg, Epoch: 5},
		Chain:       &OnChain{Activation: 1, Expiration: 2},
	}
}

// mutate changes one leaf after the other and calls check with its path; undo
// puts it back.
func mutate(v reflect.Value, path string, check func(path string)) {
	try := func(v reflect.Value, other any) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		v.Set(reflect.ValueOf(other).Convert(v.Type()))
		check(path)
		v.Set(old)
	}
	switch x := v.Interface().(type) {
	case cid.Cid:
		other, _ := cid.Decode("bafy2bzacebvnkvanmpvllollxlm7bmesn6fb7yhg33pjuahcpywad6eygcmbw")
		try(v, other)
		return
	case address.Address:
		other, _ := address.NewIDAddress(4242)
		try(v, other)
		return
	case big.Int:
		try(v, big.NewInt(99))
		return
	case market.DealLabel:
		other, _ := market.NewLabelFromBytes([]byte("label"))
		try(v, other)
		return
	case []byte:
		try(v, append([]byte{9}, x...))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() { // the filler's deal
			mutate(v.Elem(), path, check)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			mutate(v.Field(i), path+"."+v.Type().Field(i).Name, check)
		}
	case reflect.Slice:
		for i := range v.Len() {
			mutate(v.Index(i), fmt.Sprintf("%s[%d]", path, i), check)
		}
	case reflect.Bool:
		try(v, !v.Bool())
	case reflect.String:
		try(v, v.String()+"x")
	case reflect.Int, reflect.Int64:
		try(v, v.Int()+1)
	case reflect.Uint8, reflect.Uint64:
		try(v, v.Uint()+1)
	default:
		panic("no mutation for " + path + " of kind " + v.Kind().String())
	}
}

// Every field that a record may ever get must count in both, or a changed
// sector would be taken for the one that was written.
func TestEveryFieldCounts(t *testing.T) {
	want := full(t).Fingerprint()
	notOwn := map[string]bool{ // not the sector's own, see Fingerprint and Diff
		".State": true, ".Chain.Absent": true, ".Chain.SealedCID": true, ".Chain.SectorKey": true,
	}
	leaves := 0
	r := full(t)
	mutate(reflect.ValueOf(r), "", func(path string) {
		leaves++
		diff := Diff(full(t), r)
		fp := r.Fingerprint()
		switch {
		case notOwn[path]:
			if fp != want || len(diff) != 0 {
				t.Errorf("%s: counts, and should not: %v", path, diff)
			}
		case path == ".Chain.Activation" || path == ".Chain.Expiration":
			if fp != want || len(diff) != 1 {
				t.Errorf("%s: fingerprint changed %v, differences %v", path, fp != want, diff)
			}
		default:
			if fp == want {
				t.Errorf("%s: not in the fingerprint", path)
			}
			// a client's wish that the source does not have is no contradiction
			if len(diff) == 0 && !hasSuffix(path, ".KeepUnsealed") {
				t.Errorf("%s: not in the differences", path)
			}
		}
	})
	if leaves < 80 {
		t.Fatalf("only %d leaves were tried", leaves)
	}
	if diff := Diff(full(t), full(t)); len(diff) != 0 {
		t.Errorf("equal records differ: %v", diff)
	}
}

func hasSuffix(s, suffix string) bool {
	return len(s) >= len(suffix) && s[len(s)-len(suffix):] == suffix
}

func TestDiffKnowsLess(t *testing.T) {
	have := full(t)
	want := &Record{ID: have.ID, Status: Finished, Upgraded: true, Update: &Replica{}}
	if diff := Diff(have, want); len(diff) != 0 {
		t.Errorf("a record that knows less contradicts: %v", diff)
	}
	// the other way, everything it now knows is news
	if diff := Diff(want, have); len(diff) < 15 {
		t.Errorf("got %d differences, want all that was unknown: %v", len(diff), diff)
	}
	cc := full(t)
	cc.Upgraded, cc.Update = false, nil
	diff := Diff(have, cc)
	if len(diff) != 1 || diff[0].Field != "Upgraded" {
		t.Errorf("an upgraded sector against a CC one: %v", diff)
	}
}

func BenchmarkFingerprint(b *testing.B) {
	r := full(&testing.T{})
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Fingerprint()
	}
}
