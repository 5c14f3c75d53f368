package sector

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

// Difference is one field in which two records of a sector disagree.
type Difference struct {
	Field string `json:"field"`
	Have  string `json:"have"`
	Want  string `json:"want"`
}

// Diff lists in which fields want says something else than have. What want does
// not know is no difference: a source that knows less contradicts nothing.
// State is left out, being each system's own word for the Status.
func Diff(have, want *Record) []Difference {
	d := differ{}
	d.text("ID", have.ID.String(), want.ID.String(), true)
	d.text("Status", have.Status.String(), want.Status.String(), true)
	d.number("SealProof", int64(have.SealProof), int64(want.SealProof))
	d.text("Upgraded", strconv.FormatBool(have.Upgraded), strconv.FormatBool(want.Upgraded), true)
	d.randomness("Ticket", have.Ticket, want.Ticket)
	d.randomness("Seed", have.Seed, want.Seed)
	d.replica("Original", &have.Original, &want.Original)
	if want.Update != nil {
		update := have.Update
		if update == nil {
			update = &Replica{}
		}
		d.replica("Update", update, want.Update)
	}
	d.cid("Messages.PreCommit", have.Messages.PreCommit, want.Messages.PreCommit)
	d.cid("Messages.Commit", have.Messages.Commit, want.Messages.Commit)
	d.cid("Messages.Update", have.Messages.Update, want.Messages.Update)
	d.cid("Termination.Message", have.Termination.Message, want.Termination.Message)
	d.number("Termination.Epoch", int64(have.Termination.Epoch), int64(want.Termination.Epoch))
	if want.Chain != nil {
		chain := have.Chain
		if chain == nil {
			chain = &OnChain{}
		}
		d.number("Activation", int64(chain.Activation), int64(want.Chain.Activation))
		d.number("Expiration", int64(chain.Expiration), int64(want.Chain.Expiration))
	}
	return d
}

type differ []Difference

// text compares values as they are shown; known says that want has one.
func (d *differ) text(field, have, want string, known bool) {
	if known && have != want {
		*d = append(*d, Difference{field, have, want})
	}
}

func (d *differ) number(field string, have, want int64) {
	if want != 0 && have != want {
		d.text(field, strconv.FormatInt(have, 10), strconv.FormatInt(want, 10), true)
	}
}

func (d *differ) cid(field string, have, want cid.Cid) {
	if want.Defined() && have != want {
		d.text(field, showCid(have), showCid(want), true)
	}
}

func (d *differ) bytes(field string, have, want []byte) {
	if len(want) > 0 && string(have) != string(want) {
		d.text(field, shorten(have), shorten(want), true)
	}
}

func (d *differ) randomness(field string, have, want Randomness) {
	d.bytes(field, have.Value, want.Value)
	if len(want.Value) > 0 && have.Epoch != want.Epoch {
		d.text(field+".Epoch", have.Epoch.String(), want.Epoch.String(), true)
	}
}

func (d *differ) replica(field string, have, want *Replica) {
	d.cid(field+".CommR", have.CommR, want.CommR)
	d.cid(field+".CommD", have.CommD, want.CommD)
	d.bytes(field+".Proof", have.Proof, want.Proof)
	if len(want.Pieces) == 0 {
		return
	}
	d.number(field+".Pieces", int64(len(have.Pieces)), int64(len(want.Pieces)))
	for i := range min(len(have.Pieces), len(want.Pieces)) {
		d.piece(fmt.Sprintf("%s.Pieces[%d]", field, i), &have.Pieces[i], &want.Pieces[i])
	}
}

func (d *differ) piece(field string, have, want *Piece) {
	d.number(field+".Size", int64(have.Size), int64(want.Size))
	d.cid(field+".CID", have.CID, want.CID)
	d.text(field+".Deal", showDeal(have.Deal), showDeal(want.Deal), true)
	if have.Deal != nil && want.Deal != nil {
		d.deal(field+".Deal", have.Deal, want.Deal)
	}
}

func (d *differ) deal(field string, have, want *Deal) {
	d.number(field+".ID", int64(have.ID), int64(want.ID))
	d.cid(field+".PublishCid", have.PublishCid, want.PublishCid)
	d.text(field+".Proposal", showProposal(have.Proposal), showProposal(want.Proposal), want.Proposal != nil)
	d.number(field+".AllocationID", int64(have.AllocationID), int64(want.AllocationID))
	d.text(field+".Client", have.Client.String(), want.Client.String(), want.Client != address.Undef)
	d.text(field+".Provider", have.Provider.String(), want.Provider.String(), want.Provider != address.Undef)
	d.number(field+".StartEpoch", int64(have.StartEpoch), int64(want.StartEpoch))
	d.number(field+".EndEpoch", int64(have.EndEpoch), int64(want.EndEpoch))
	d.number(field+".PayloadSize", int64(have.PayloadSize), int64(want.PayloadSize))
	if want.KeepUnsealed {
		d.text(field+".KeepUnsealed", strconv.FormatBool(have.KeepUnsealed), "true", true)
	}
	if len(want.Notify) > 0 {
		d.text(field+".Notify", fmt.Sprint(have.Notify), fmt.Sprint(want.Notify), true)
	}
}

func showCid(c cid.Cid) string {
	if !c.Defined() {
		return "none"
	}
	return c.String()
}

func shorten(b []byte) string {
	if len(b) == 0 {
		return "none"
	}
	if len(b) > 16 {
		sum := sha256.Sum256(b)
		return fmt.Sprintf("%s… (%d bytes, sha256 %s…)", hex.EncodeToString(b[:8]), len(b), hex.EncodeToString(sum[:4]))
	}
	return hex.EncodeToString(b)
}

func showDeal(d *Deal) string {
	switch {
	case d == nil:
		return "filler"
	case d.Kind == BuiltinMarket:
		return fmt.Sprintf("built-in market deal %d", d.ID)
	case d.AllocationID != 0:
		return fmt.Sprintf("DDO, allocation %d", d.AllocationID)
	default:
		return "DDO, unverified"
	}
}

func showProposal(p *market.DealProposal) string {
	if p == nil {
		return "none"
	}
	c, err := p.Cid()
	if err != nil {
		return "not encodable: " + err.Error()
	}
	return c.String()
}

// Fingerprint tells whether a record is the one that was written: equal records
// have the same, and any change of what a record says changes it. State and
// Chain are left out, as they are not the sector's own.
func (r *Record) Fingerprint() [sha256.Size]byte {
	f := fingerprint{buf: make([]byte, 0, 2048)}
	f.number(uint64(r.ID.Miner), uint64(r.ID.Number), uint64(r.SealProof), uint64(r.Status))
	f.flag(r.Upgraded)
	f.randomness(r.Ticket)
	f.randomness(r.Seed)
	f.replica(&r.Original)
	f.flag(r.Update != nil)
	if r.Update != nil {
		f.replica(r.Update)
	}
	f.cid(r.Messages.PreCommit)
	f.cid(r.Messages.Commit)
	f.cid(r.Messages.Update)
	f.cid(r.Termination.Message)
	f.number(uint64(r.Termination.Epoch))
	return sha256.Sum256(f.buf)
}

// fingerprint collects fields, each with its length, so that no two records
// that differ run together into the same bytes.
type fingerprint struct{ buf []byte }

func (f *fingerprint) number(ns ...uint64) {
	for _, n := range ns {
		f.buf = binary.AppendUvarint(f.buf, n)
	}
}

func (f *fingerprint) flag(b bool) {
	if b {
		f.buf = append(f.buf, 1)
	} else {
		f.buf = append(f.buf, 0)
	}
}

func (f *fingerprint) bytes(b []byte) {
	f.number(uint64(len(b)))
	f.buf = append(f.buf, b...)
}

func (f *fingerprint) text(s string) {
	f.number(uint64(len(s)))
	f.buf = append(f.buf, s...)
}

func (f *fingerprint) cid(c cid.Cid) { f.text(c.KeyString()) }

func (f *fingerprint) address(a address.Address) { f.bytes(a.Bytes()) }

func (f *fingerprint) randomness(r Randomness) {
	f.bytes(r.Value)
	f.number(uint64(r.Epoch))
}

func (f *fingerprint) replica(r *Replica) {
	f.cid(r.CommR)
	f.cid(r.CommD)
	f.bytes(r.Proof)
	f.number(uint64(len(r.Pieces)))
	for i := range r.Pieces {
		p := &r.Pieces[i]
		f.number(uint64(p.Size))
		f.cid(p.CID)
		f.flag(p.Deal != nil)
		if p.Deal != nil {
			f.deal(p.Deal)
		}
	}
}

func (f *fingerprint) deal(d *Deal) {
	f.number(uint64(d.Kind), uint64(d.ID), d.AllocationID, uint64(d.StartEpoch), uint64(d.EndEpoch), d.PayloadSize)
	f.cid(d.PublishCid)
	f.address(d.Client)
	f.address(d.Provider)
	f.flag(d.KeepUnsealed)
	f.flag(d.Proposal != nil)
	if d.Proposal != nil {
		f.proposal(d.Proposal)
	}
	f.number(uint64(len(d.Notify)))
	for _, n := range d.Notify {
		f.address(n.Address)
		f.bytes(n.Payload)
	}
}

func (f *fingerprint) proposal(p *market.DealProposal) {
	f.cid(p.PieceCID)
	f.number(uint64(p.PieceSize), uint64(p.StartEpoch), uint64(p.EndEpoch))
	f.flag(p.VerifiedDeal)
	f.address(p.Client)
	f.address(p.Provider)
	f.flag(p.Label.IsBytes())
	if label, err := p.Label.ToString(); err == nil {
		f.text(label)
	} else if label, err := p.Label.ToBytes(); err == nil {
		f.bytes(label)
	}
	for _, amount := range []abi.TokenAmount{p.StoragePricePerEpoch, p.ProviderCollateral, p.ClientCollateral} {
		if amount.Int == nil { // nil and zero say the same
			f.number(0)
			continue
		}
		f.flag(amount.Sign() < 0)
		f.bytes(amount.Int.Bytes())
	}
}
