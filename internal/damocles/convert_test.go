package damocles

import (
	"fmt"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/sector"
)

// cidTail is the end of a CID, which is enough to tell two apart here.
func cidTail(c cid.Cid) string {
	if !c.Defined() {
		return "none"
	}
	s := c.String()
	return s[len(s)-8:]
}

func bytesHead(b []byte) string { return fmt.Sprintf("%.8x(%d)", b[:min(len(b), 4)], len(b)) }

// describe spells out all that a record says.
func describe(r *sector.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: type %d, %s, %s, upgraded %t\n", r.ID, r.SealProof, r.Status, r.State, r.Upgraded)
	fmt.Fprintf(&b, "ticket %s@%d, seed %s@%d\n", bytesHead(r.Ticket.Value), r.Ticket.Epoch, bytesHead(r.Seed.Value), r.Seed.Epoch)
	describeReplica(&b, "original", &r.Original)
	if r.Update != nil {
		describeReplica(&b, "update", r.Update)
	}
	m := r.Messages
	fmt.Fprintf(&b, "messages %s %s %s\n", cidTail(m.PreCommit), cidTail(m.Commit), cidTail(m.Update))
	if t := r.Termination; t != (sector.Termination{}) {
		fmt.Fprintf(&b, "terminated %d, message %s\n", t.Epoch, cidTail(t.Message))
	}
	if r.Chain != nil {
		fmt.Fprintf(&b, "chain %+v\n", *r.Chain)
	}
	return b.String()
}

func describeReplica(b *strings.Builder, name string, r *sector.Replica) {
	fmt.Fprintf(b, "%s: R %s, D %s, proof %s\n", name, cidTail(r.CommR), cidTail(r.CommD), bytesHead(r.Proof))
	for _, p := range r.Pieces {
		fmt.Fprintf(b, " piece %d %s ", p.Size, cidTail(p.CID))
		d := p.Deal
		if d == nil {
			fmt.Fprintf(b, "filler\n")
			continue
		}
		kind := map[sector.DealKind]string{sector.BuiltinMarket: "built-in", sector.DDO: "DDO"}[d.Kind]
		fmt.Fprintf(b, "%s %d, published %s, allocation %d, %s to %s, %d-%d, payload %d", kind, d.ID,
			cidTail(d.PublishCid), d.AllocationID, d.Client, d.Provider, d.StartEpoch, d.EndEpoch, d.PayloadSize)
		if d.Proposal != nil {
			label, _ := d.Proposal.Label.ToString()
			fmt.Fprintf(b, ", proposal %s", label)
		}
		fmt.Fprintf(b, "\n")
	}
}

// Values are those of the fixtures' README and JSON.
func TestRecordOfFixtures(t *testing.T) {
	for _, test := range []struct {
		number string
		ws     Workspace
		want   string
	}{
		{"100", Offline, `
s-t01000-100: type 5, finished, offline, upgraded false
ticket 145edd39(32)@4100, seed c4b7d18a(32)@4300
original: R 526hmljq, D hxqmpqmy, proof a1712124(192)
messages none none none
`},
		{"104", Offline, `
s-t01000-104: type 5, finished, offline, upgraded false
ticket f71fcaf0(32)@4104, seed 8e6e1268(32)@4304
original: R osygwncw, D tpozlgny, proof a103a788(192)
 piece 1024 uu2tnsjq built-in 7104, published none, allocation 0, f02104 to f01000, 6000-600000, payload 900, proposal label-104
 piece 1024 2imidoly filler
messages none none none
`},
		{"106", Offline, `
s-t01000-106: type 5, finished, offline, upgraded false
ticket c43e4b5e(32)@4106, seed b8f73730(32)@4306
original: R mtwkttqu, D jg6zwwda, proof 43b3eb91(192)
 piece 1024 srwk7qpq built-in 7106, published xw2o53mc, allocation 0, f02106 to f01000, 6000-600000, payload 900
 piece 1024 2imidoly filler
messages none none none
`},
		{"108", Offline, `
s-t01000-108: type 5, finished, offline, upgraded false
ticket ec7bf8c1(32)@4108, seed a0fb247a(32)@4308
original: R uancnnkg, D 4mylvmni, proof 4f34f6b2(192)
 piece 2048 4mylvmni DDO 0, published none, allocation 9000, f03108 to f01000, 7000-700000, payload 1900
messages none none none
`},
		{"110", Offline, `
s-t01000-110: type 5, finished, offline, upgraded true
ticket fa0f23ea(32)@4110, seed fa02c453(32)@4310
original: R twlnsh27, D hxqmpqmy, proof d477c07a(192)
update: R quxzj4to, D wob3qqbi, proof 45b3348b(128)
 piece 2048 wob3qqbi DDO 0, published none, allocation 9100, f03110 to f01000, 7000-700000, payload 1900
messages none none none
chain {Absent:false SealedCID:b SectorKey:b Activation:5000 Expiration:1500000}
`},
		{"113", Offline, `
s-t01000-113: type 5, lost, offline, upgraded false
ticket f7ca7f9f(32)@4113, seed dfb72542(32)@4313
original: R ivqo2nsx, D hxqmpqmy, proof 75ed7c26(192)
messages none none none
`},
		{"114", Offline, `
s-t01000-114: type 5, failed, offline, upgraded false
ticket bc6360aa(32)@4114, seed (0)@0
original: R none, D none, proof (0)
messages none none none
`},
		{"115", Offline, `
s-t01000-115: type 5, terminated, offline, upgraded false
ticket dfef95b6(32)@4115, seed c579bc93(32)@4315
original: R oamhiwai, D hxqmpqmy, proof b3286ad2(192)
messages none none none
terminated 90000, message none
`},
		{"116", Offline, `
s-t01000-116: type 5, removed, offline, upgraded false
ticket 953d448c(32)@4116, seed b6b453c1(32)@4316
original: R g2mybw3a, D hxqmpqmy, proof dbd1a30c(192)
messages none none none
terminated 80000, message none
`},
		{"117", Online, `
s-t01000-117: type 5, sealing, online, upgraded false
ticket 38d916c9(32)@4117, seed bf879b9c(32)@4317
original: R ce2hgn2n, D hxqmpqmy, proof a2f29d18(192)
messages none none none
`},
		{"118", Online, `
s-t01000-118: type 5, sealing, online, upgraded false
ticket 4c973731(32)@4118, seed (0)@0
original: R none, D none, proof (0)
messages none none none
`},
		{"119", Offline, `
s-t01000-119: type 5, finished, offline, upgraded false
ticket 56be2ef1(32)@4119, seed eb58d075(32)@4319
original: R 6c4hwrs6, D hxqmpqmy, proof 15656af2(192)
messages none none none
`},
		{"121", Offline, `
s-t01000-121: type 5, finished, offline, upgraded false
ticket 8ea19cd4(32)@4121, seed 0bc43310(32)@4321
original: R i3acricl, D hxqmpqmy, proof a9058fa3(192)
messages xqaic3mk ucux6mnk none
`},
		{"122", Offline, `
s-t01000-122: type 5, finished, offline, upgraded true
ticket c79b9881(32)@4122, seed e2f51eeb(32)@4322
original: R ei4gpriv, D hxqmpqmy, proof 5e8544a6(192)
update: R none, D none, proof (0)
messages vudcnbag j6v5ubow none
chain {Absent:false SealedCID:b SectorKey:b Activation:5000 Expiration:1500000}
`},
		{"123", Offline, `
s-t01000-123: type 5, finished, offline, upgraded false
ticket 750e2f6f(32)@4123, seed 6ffb7cb5(32)@4323
original: R fpzlk6jm, D hxqmpqmy, proof eaca9f75(192)
messages none none none
`},
	} {
		got := describe(mustDecode(t, fixture(t, test.number)).Record(test.ws))
		if want := strings.TrimPrefix(test.want, "\n"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", test.number, got, want)
		}
	}
}

func TestRecordStatus(t *testing.T) {
	for _, test := range []struct {
		name, number, from, to string
		ws                     Workspace
		want                   sector.Status
	}{
		{"removed counts before terminated", "116", `"Finalized"`, `"Finalized"`, Offline, sector.Removed},
		{"removed, online", "117", `"Removed":false`, `"Removed":true`, Online, sector.Removed},
		{"terminated, online", "117", `"TerminatedAt":0`, `"TerminatedAt":7`, Online, sector.Terminated},
		{"termination not landed", "115", `"TerminatedAt":90000`, `"TerminatedAt":0`, Offline, sector.Finished},
		{"terminated counts before lost", "115", `"NeedRebuild":false`, `"NeedRebuild":true`, Offline, sector.Terminated},
		{"online, rebuilt", "113", `"NeedRebuild"`, `"NeedRebuild"`, Online, sector.Sealing},
		{"online, aborted", "114", `"Finalized":true`, `"Finalized":false`, Online, sector.Sealing},
		{"aborted with Pre", "100", `"AbortReason":""`, `"AbortReason":"x"`, Offline, sector.Failed},
		{"no Pre", "114", `"AbortReason":"aborted via CLI"`, `"AbortReason":""`, Offline, sector.Failed},
		{"not finalized", "100", `"Finalized":true`, `"Finalized":false`, Offline, sector.Sealing},
		{"not finalized, lost", "113", `"Finalized":true`, `"Finalized":false`, Offline, sector.Sealing},
	} {
		s := mustDecode(t, editState(t, fixture(t, test.number), test.from, test.to))
		if got := s.Record(test.ws).Status; got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestRecordForms(t *testing.T) {
	const chain = "bafy2bzacedegbxnfznee2rkwm63ryazi3dz7dpgqzqqbmstpwojsovyjipnm2"
	for _, test := range []struct {
		name, number, from, to string
		ws                     Workspace
		holds                  func(*sector.Record) bool
	}{
		{"upgrade message is a chain CID", "110", chain + "-1", chain, Offline,
			func(r *sector.Record) bool { return r.Messages.Update.String() == chain }},
		{"upgrade message of damocles", "110", chain + "-1", chain + "-snapup", Offline,
			func(r *sector.Record) bool { return !r.Messages.Update.Defined() }},
		{"upgrade message is another CID", "110", chain + "-1",
			"bagboea4b5abcbeakcf6cebbzf46ebdjn7ii2fhfuk6n5yajhnrv34m56twlnsh27", Offline,
			func(r *sector.Record) bool { return !r.Messages.Update.Defined() }},
		{"online, the update has not landed", "110", `"UpgradeLandedEpoch":8000`, `"UpgradeLandedEpoch":null`, Online,
			func(r *sector.Record) bool { return !r.Upgraded && r.Update != nil && r.Live() == &r.Original }},
		{"online, the update has landed", "110", `"Finalized":true`, `"Finalized":false`, Online,
			func(r *sector.Record) bool { return r.Upgraded && r.Update.Pieces != nil }},
		{"upgraded, nothing known", "110", `"UpgradedInfo":{`, `"UpgradedInfo":null,"x":{`, Offline,
			func(r *sector.Record) bool { return r.Upgraded && r.Update != nil && !r.Update.CommR.Defined() }},
		{"no ticket but in Pre", "100", `"SectorType":5,"Ticket":{`, `"SectorType":5,"x":{`, Offline,
			func(r *sector.Record) bool { return len(r.Ticket.Value) == 32 && r.Ticket.Epoch == 4100 }},
		{"no epochs of the chain", "122", `"Activation":5000,"Expiration":1500000`, `"x":0`, Offline,
			func(r *sector.Record) bool { return r.Chain == nil }},
		{"DDO without allocation", "108", `"AllocationID":9000`, `"AllocationID":0`, Offline,
			func(r *sector.Record) bool { return r.Original.Pieces[0].Deal.Kind == sector.DDO }},
		{"legacy deal without proposal", "104", `"Proposal":{`, `"Proposal":null,"x":{`, Offline,
			func(r *sector.Record) bool {
				d := r.Original.Pieces[0].Deal
				return d.ID == 7104 && d.Proposal == nil && d.Client == address.Undef && d.PayloadSize == 900
			}},
		{"Pieces count before Deals", "106", `"Deals":null`, `"Deals":[{"ID":1},{"ID":2},{"ID":3}]`, Offline,
			func(r *sector.Record) bool { return len(r.Original.Pieces) == 2 }},
		{"empty Pieces", "104", `"Pieces":null`, `"Pieces":[]`, Offline,
			func(r *sector.Record) bool { return len(r.Original.Pieces) == 2 }},
		{"empty lists", "100", `"Deals":null,"Pieces":null`, `"Deals":[],"Pieces":[]`, Offline,
			func(r *sector.Record) bool { return r.Original.Pieces == nil }},
	} {
		if s := mustDecode(t, editState(t, fixture(t, test.number), test.from, test.to)); !test.holds(s.Record(test.ws)) {
			t.Errorf("%s: wrong:\n%s", test.name, describe(s.Record(test.ws)))
		}
	}
}

func TestFillers(t *testing.T) {
	for _, d := range []*DealInfo{nil, {}, {StartEpoch: 5}, {StartEpoch: 5, EndEpoch: 5}, {EndEpoch: 5}, {IsBuiltinMarket: true}} {
		if d.deal() != nil {
			t.Errorf("%+v is a deal", d)
		}
	}
	for _, d := range []*DealInfo{{DealID: 1}, {AllocationID: 1}, {StartEpoch: 5, EndEpoch: 6}} {
		if d.deal() == nil {
			t.Errorf("%+v is a filler", d)
		}
	}
}

func TestIsChainCid(t *testing.T) {
	for text, want := range map[string]bool{
		"bafy2bzacedegbxnfznee2rkwm63ryazi3dz7dpgqzqqbmstpwojsovyjipnm2":                                                    true,
		"bafk4bzacial5tgtb4yxcefjoodiuf66lbqhlsnopldesggpiax4mnfrxfejqxlsofyhm3j7bebleo24bn427ezeujffh37f5sxfpvt662nzftxmq": false,
		"baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy":                                                  false,
		"bafyreieekdbbajubxcl27h4spbrv4sfasfyzqb5pmcyjj5xrfn2vzmrlqy":                                                       false,
		"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG":                                                                    false,
	} {
		c, err := cid.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := IsChainCid(c); got != want {
			t.Errorf("IsChainCid(%s) = %t", text, got)
		}
	}
	short := cid.NewCidV1(cid.DagCBOR, []byte{0xa0, 0xe4, 0x02, 4, 1, 2, 3, 4})
	if IsChainCid(cid.Undef) || IsChainCid(short) {
		t.Error("IsChainCid takes an undefined CID, or one cut short")
	}
}
