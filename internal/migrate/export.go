package migrate

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
)

// ExportSource is a damocles: its sectors and the numbers it has used.
type ExportSource interface {
	Source
	Numbered
}

// ExportTarget is a lotus-miner repo: where sectors go, and its numbers.
type ExportTarget interface {
	Target
	// Numbers returns what the repo knows of sector numbers.
	Numbers(ctx context.Context) (lotus.Numbers, error)
	// Value returns what a key holds, nil where it is not there.
	Value(ctx context.Context, store, key string) ([]byte, error)
}

// Export carries the finished sectors of one miner from a damocles into a
// lotus-miner repo.
type Export struct {
	Options
	Source  ExportSource
	Target  ExportTarget
	Origins *Origins
	Chain   Chain // nil where no node was given
	// KeepStates lets a sector that came from lotus-miner return in the state that
	// it had there, even one that lotus-miner acts on at its start.
	KeepStates bool
	// Next is what --next-number says; nil where it was not given.
	Next *uint64
	// LowerNumber lets Next lower a counter, though never below a sector.
	LowerNumber bool

	seenMu      sync.Mutex
	numbersSeen []uint64
}

// Run carries the sectors over. The report is there with an error, too, and
// says how far it came; a repo is written whole or not at all.
func (ex *Export) Run(ctx context.Context) (*Report, error) {
	return execute(ctx, ex.Options, ex.Source, ex.Target, ex.Origins, ex.plan, ex.numbers)
}

func (ex *Export) plan(ctx context.Context, raw Raw) (*Step, error) {
	nameless := raw.Key != ""
	if raw.ID.Miner != ex.Miner && !nameless {
		return nil, nil
	}
	if !nameless {
		ex.see(raw.ID.Number)
	}
	s := &Step{ID: raw.ID, Key: raw.Key, Notes: raw.Notes}
	state, ok := decodeState(s, raw)
	if !ok {
		return s, nil
	}
	rec := state.Record(workspaceOf(raw))
	s.State, s.Upgraded = rec.State, rec.Upgraded
	fingerprint := rec.Fingerprint()
	v, err := settle(ctx, ex.Chain, rec)
	if err != nil {
		return nil, err
	}
	s.Notes = append(s.Notes, v.notes...)
	if v.wrong != "" {
		return s.fail(v.wrong, "check both before carrying this sector; the others are not held up"), nil
	}
	carry, err := carries(ctx, ex.Chain, s, rec, state)
	if err != nil || !carry {
		return s, err
	}
	s.Upgraded = rec.Upgraded
	return s, ex.carry(ctx, s, rec, raw.Value, fingerprint)
}

// see keeps the number, to tell at the end which free ones are closed off.
func (ex *Export) see(n abi.SectorNumber) {
	ex.seenMu.Lock()
	defer ex.seenMu.Unlock()
	ex.numbersSeen = append(ex.numbersSeen, uint64(n))
}

const mendHint = "the others are not held up; restore this record from a backup of the home, then run this again"

func workspaceOf(raw Raw) damocles.Workspace {
	if raw.Online {
		return damocles.Online
	}
	return damocles.Offline
}

func decodeState(s *Step, raw Raw) (*damocles.SectorState, bool) {
	if raw.Err != nil {
		s.fail(raw.Err.Error(), cmp.Or(fault.HintOf(raw.Err), mendHint))
		return nil, false
	}
	if len(raw.Value) == 0 {
		s.fail("its record is empty", mendHint)
		return nil, false
	}
	state, err := damocles.DecodeState(raw.Value)
	if err != nil {
		s.fail("its record cannot be decoded: "+err.Error(), mendHint)
		return nil, false
	}
	if got := (sector.ID{Miner: state.ID.Miner, Number: state.ID.Number}); got != raw.ID {
		s.fail(fmt.Sprintf("its key says %s, its record says %s", raw.ID, got), "find out which is true before carrying it")
		return nil, false
	}
	return state, true
}

// carries decides by the status whether the sector comes along; where it does
// not, the step says why.
func carries(ctx context.Context, chain Chain, s *Step, rec *sector.Record, state *damocles.SectorState) (bool, error) {
	switch rec.Status {
	case sector.Finished, sector.Lost:
		return true, nil
	case sector.Terminated:
		s.skipAs("Terminated", "it was terminated")
	case sector.Removed:
		s.skipAs("Removed", "it was removed")
	case sector.Failed:
		reason := "it was never on chain"
		if state.AbortReason != "" {
			reason += " (" + state.AbortReason + ")"
		}
		s.skipAs("Aborted", reason)
	default:
		return false, sealing(ctx, chain, s, rec)
	}
	return false, nil
}

// sealing says of a sector in damocles's online workspace what can be done
// about it, which depends on whether it is on chain.
func sealing(ctx context.Context, chain Chain, s *Step, rec *sector.Record) error {
	finalize := fmt.Sprintf("`util sealer sectors finalize --miner %s %d --really-do-it`, then run this again",
		sector.MinerString(rec.ID.Miner), rec.ID.Number)
	if chain == nil {
		s.unfinished("damocles has not finished it ("+rec.State+", not finalized)", "if it is on chain: "+finalize)
		return nil
	}
	on, err := chain.Sector(ctx, rec.ID)
	if err != nil {
		return fmt.Errorf("ask the chain for %s: %w", rec.ID, err)
	}
	if on.Absent {
		s.unfinished("it is still being sealed, and not on chain", "let damocles finish or abort it, then run this again")
	} else {
		s.unfinished("it is on chain, but damocles has not finalized it", finalize)
	}
	return nil
}

func (ex *Export) carry(ctx context.Context, s *Step, rec *sector.Record, value []byte, fingerprint [32]byte) error {
	held, err := ex.Target.Holds(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("look for %s in the repo: %w", s.ID, err)
	}
	origin, err := ex.Origins.Get(Lotus, s.ID)
	if err != nil {
		return err
	}
	unchanged := origin != nil && origin.Fingerprint == fingerprint && !ex.upgradedSince(origin, rec)
	if unchanged && bytes.Equal(held.Offline, origin.Value) {
		s.Action = Unchanged
		return nil
	}
	var want encodedSector
	if unchanged {
		want, err = ex.restore(s, rec, origin.Value, held.Offline)
	} else {
		want, err = ex.convert(s, rec, origin, held.Offline)
	}
	if err != nil {
		s.failErr(err)
		return nil
	}
	return ex.compare(s, held.Offline, want, value)
}

// upgradedSince says whether the chain has an upgrade of the sector that its origin does
// not know: damocles's record has not changed, but as it was it would pass for
// committed capacity, and be snapped again. What cannot be decoded fails later.
func (ex *Export) upgradedSince(origin *Origin, rec *sector.Record) bool {
	if rec.Chain == nil || !rec.Upgraded {
		return false
	}
	info, err := lotus.Decode(origin.Value)
	if err != nil {
		return false
	}
	old := info.Record(ex.Miner)
	return old.Update == nil || old.Update.CommR != rec.Update.CommR
}

// encodedSector is a record for the repo, what it says, and the one that it was
// made of where it was written anew.
type encodedSector struct {
	raw  []byte
	info *lotus.SectorInfo
	base []byte
}

// decoded goes by what the bytes say, not by what they were made of.
func decoded(raw []byte, err error) (encodedSector, error) {
	if err != nil {
		return encodedSector{}, err
	}
	info, err := lotus.Decode(raw)
	if err != nil {
		return encodedSector{}, fmt.Errorf("decode what was encoded: %w", err)
	}
	return encodedSector{raw: raw, info: info}, nil
}

// restore returns a sector as lotus-miner had it, but for a state that
// lotus-miner would act on at its start.
func (ex *Export) restore(s *Step, rec *sector.Record, value, have []byte) (encodedSector, error) {
	info, err := lotus.Decode(value)
	if err != nil {
		return encodedSector{}, fmt.Errorf("decode its origin: %w", err)
	}
	// An import over RPC has not seen all that the repo holds of it.
	if held, err := lotus.Decode(have); err == nil && held.State == info.State && ex.agree(held, info) {
		value, info = have, held
	}
	if ex.KeepStates || !lotus.Transient(info.State) {
		return encodedSector{raw: value, info: info}, nil
	}
	if old := info.Record(ex.Miner); old.Update != nil && !rec.Upgraded {
		// In Proving, an update that never reached the chain would pass for one that did.
		s.note("update-dropped", "it was in "+info.State+" with an update that was not on chain: it returns as Proving, without the update")
		return ex.encode(s, rec, value, info)
	}
	s.note("state-changed", "it was in "+info.State+", which lotus-miner acts on at its start: it returns as Proving")
	return decoded(lotus.WithState(value, "Proving"))
}

// convert writes a sector from its present record. What lotus-miner alone keeps
// comes from its origin, or else from the record that is written over.
func (ex *Export) convert(s *Step, rec *sector.Record, origin *Origin, have []byte) (encodedSector, error) {
	switch {
	case origin != nil:
		base, err := lotus.Decode(origin.Value)
		if err != nil {
			return encodedSector{}, fmt.Errorf("decode its origin: %w", err)
		}
		return ex.encode(s, rec, origin.Value, ex.completed(base, have))
	case have != nil:
		base, err := lotus.Decode(have)
		if err != nil {
			base = nil // what cannot be read cannot be kept; compare reports it
		}
		return ex.encode(s, rec, have, base)
	}
	return ex.encode(s, rec, nil, nil)
}

// noteLost says what is lost where a record is not written as a newer lotus-miner
// left it: in the repo, or, from there, in its origin.
func noteLost(s *Step, after []byte, left ...[]byte) {
	kept, _ := lotus.UnknownFields(after)
	var names []string
	for _, raw := range left {
		unknown, _ := lotus.UnknownFields(raw) // what cannot be read is told of elsewhere
		for _, name := range unknown {
			if !slices.Contains(kept, name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) > 0 {
		s.note("fields-left-out", fmt.Sprintf("lotus-miner's record of it has fields that are not known here, and are left out: %.60q; "+
			"look for a newer version of this program first", names))
	}
}

// completed adds to an origin what lotus-miner did not tell when it was imported
// over RPC: in the repo that it came from it is still there, and would be lost.
func (ex *Export) completed(origin *lotus.SectorInfo, have []byte) *lotus.SectorInfo {
	held, err := lotus.Decode(have)
	if err != nil || !ex.agree(held, origin) {
		return origin
	}
	return origin.Completed(held)
}

// agree says whether the repo's record says all that an origin does.
func (ex *Export) agree(held, origin *lotus.SectorInfo) bool {
	return len(sector.Diff(held.Record(ex.Miner), origin.Record(ex.Miner))) == 0
}

// encode writes a record over base, which raw says, as far as base has a place for it.
func (ex *Export) encode(s *Step, rec *sector.Record, raw []byte, base *lotus.SectorInfo) (encodedSector, error) {
	info, notes, err := lotus.FromRecord(rec, base)
	s.Notes = append(s.Notes, notes...)
	if err != nil {
		return encodedSector{}, err
	}
	out, err := decoded(lotus.Encode(info))
	out.base = raw
	return out, err
}

// compare holds what is to be written against what the repo has.
func (ex *Export) compare(s *Step, have []byte, encoded encodedSector, value []byte) error {
	want := encoded.info.Record(ex.Miner)
	origin, err := ex.Origins.news(&Origin{System: Damocles, ID: s.ID, Fingerprint: want.Fingerprint(), Value: value})
	if err != nil {
		return err
	}
	change := Change{Store: metadataStore, Key: lotus.SectorKey(uint64(s.ID.Number)), Before: have, After: encoded.raw}
	write := func() {
		noteLost(s, encoded.raw, have, encoded.base)
		s.write(change, origin)
	}
	switch {
	case have == nil:
		write()
		return nil
	case bytes.Equal(have, encoded.raw):
		s.Action = Unchanged
		return nil
	}
	old, err := lotus.Decode(have)
	if err != nil {
		if ex.Override {
			write()
			return nil
		}
		s.conflict("the repo has a record of it that cannot be decoded: "+err.Error(), "write over it with --override", nil)
		return nil
	}
	diff := sector.Diff(old.Record(ex.Miner), want)
	switch {
	case len(diff) == 0:
		s.Action = Unchanged
	case ex.Override:
		s.Differences = diff
		write()
	default:
		s.conflict("the repo has it, and differs", "write over it with --override", diff)
	}
	return nil
}

// numbers makes lotus-miner count on above every number that any side knows.
func (ex *Export) numbers(ctx context.Context, report *Report) ([]Change, error) {
	who := []Numbered{ex.Source}
	if ex.Chain != nil {
		who = append(who, chainNumbers{ex.Chain})
	}
	floor, err := highestOf(ctx, ex.Miner, who...)
	if err != nil {
		return nil, err
	}
	repo, err := ex.Target.Numbers(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the repo's sector numbers: %w", err)
	}
	p := numberPlan{repo: repo, floor: floor, next: ex.Next, lower: ex.LowerNumber}
	p.others, err = lotus.NumberSet(ex.numbersSeen)
	ex.numbersSeen = nil
	if err != nil {
		return nil, err
	}
	return p.changes(ctx, ex.Target, &report.Numbers)
}

// skipAs counts a skipped sector under a word of its own, as damocles's states
// have none.
func (s *Step) skipAs(state, reason string) {
	s.State = state
	s.skip(reason)
}

func (s *Step) note(code, text string) {
	s.Notes = append(s.Notes, sector.Note{Code: code, Text: text})
}
