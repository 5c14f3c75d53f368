package migrate

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
)

// ImportSource is a lotus-miner: its sectors and the numbers it has used.
type ImportSource interface {
	Source
	Numbered
}

// ImportTarget is a damocles: where sectors go, and the numbers it has used.
type ImportTarget interface {
	Target
	Numbered
	// NumberChange returns the change that makes damocles count on from last; ok
	// is false where that cannot be done from here, so that the user has to.
	NumberChange(ctx context.Context, miner abi.ActorID, last uint64) (change *Change, ok bool, err error)
}

// Import carries sectors of one miner from a lotus-miner into a damocles.
type Import struct {
	Options
	Source  ImportSource
	Target  ImportTarget
	Origins *Origins
	Chain   Chain // nil where no node was given
	// IncludeTerminated carries sectors that were terminated, too.
	IncludeTerminated bool
	// After is called when every sector is written, before the journal is ended:
	// what it changes under that journal is undone with the rest. It may be nil.
	After func(ctx context.Context) error

	raised *Change // of the numbers, before the first record
}

// numberRaiser is a target that can have its numbers raised before the first
// record is written, too: a run that is killed in between leaves no number of a
// sector to be given out again. Finish takes such a change as done.
type numberRaiser interface {
	Raise(ctx context.Context, change Change) error
}

// Run carries the sectors over. The report is there with an error, too, and
// says how far it came.
func (im *Import) Run(ctx context.Context) (*Report, error) {
	// Numbers that cannot be read are found out before anything is written.
	who := []Numbered{im.Source}
	if im.Chain != nil {
		who = append(who, chainNumbers{im.Chain})
	}
	used, err := highestOf(ctx, im.Miner, who...)
	if err != nil {
		return &Report{DryRun: im.DryRun}, err
	}
	options := im.Options
	options.first = func(ctx context.Context) error { return im.raise(ctx, used) }
	return execute(ctx, options, im.Source, im.Target, im.Origins, im.plan,
		func(ctx context.Context, report *Report) ([]Change, error) {
			if im.After != nil {
				if err := im.After(ctx); err != nil {
					return nil, err
				}
			}
			return im.numbers(ctx, used, report)
		})
}

func (im *Import) plan(ctx context.Context, raw Raw) (*Step, error) {
	s := &Step{ID: raw.ID, Key: raw.Key, Notes: raw.Notes}
	info, ok := im.decode(s, raw)
	if !ok {
		return s, nil
	}
	rec := info.Record(im.Miner)
	s.State = info.State
	fingerprint := rec.Fingerprint()
	v, err := settle(ctx, im.Chain, rec)
	if err != nil {
		return nil, err
	}
	s.Notes = append(s.Notes, v.notes...)
	s.Upgraded, s.Proven = rec.Upgraded, rec.Status == sector.Finished
	if v.wrong != "" {
		return s.fail(v.wrong, "check both before carrying this sector; the others are not held up"), nil
	}
	if !im.carries(s, rec, v) {
		return s, nil
	}
	if im.Chain == nil && rec.Status == sector.Finished && rec.Update != nil && !rec.Upgraded {
		s.note("upgrade-undecided", "it has a snap upgrade, and its state does not tell whether that is on chain: "+
			"it is carried as not upgraded; give a chain node with --chain to know")
	}
	return s, im.carry(ctx, s, rec, raw.Value, fingerprint)
}

func (im *Import) decode(s *Step, raw Raw) (*lotus.SectorInfo, bool) {
	const hint = "restore this record from a backup of the repo, or select the others with --numbers"
	if raw.Err != nil {
		s.fail(raw.Err.Error(), cmp.Or(fault.HintOf(raw.Err), hint))
		return nil, false
	}
	if len(raw.Value) == 0 {
		s.fail("its record is empty", hint)
		return nil, false
	}
	info, err := lotus.Decode(raw.Value)
	if err != nil {
		s.fail("its record cannot be decoded: "+err.Error(), hint)
		return nil, false
	}
	if uint64(info.SectorNumber) != uint64(raw.ID.Number) {
		s.fail(fmt.Sprintf("its key says sector %d, its record says %d", raw.ID.Number, info.SectorNumber),
			"find out which is true before carrying it")
		return nil, false
	}
	return info, true
}

// carries decides by the status whether the sector comes along; where it does
// not, the step says why.
func (im *Import) carries(s *Step, rec *sector.Record, v verdict) bool {
	switch {
	case v.gone:
		s.skip("the chain does not have it (any more)")
	case rec.Status == sector.Finished || rec.Status == sector.Lost:
		return true
	case rec.Status == sector.Terminated && im.IncludeTerminated:
		return true
	case rec.Status == sector.Terminated:
		s.skip("it was terminated")
	case rec.Status == sector.Removed:
		s.skip("it was removed")
	case rec.Status == sector.Failed:
		s.skip("it failed before it reached the chain")
	case rec.Status == sector.InDoubt || (rec.Status == sector.Committing && im.Chain == nil):
		s.unfinished("it is on chain, or may be, and may have to be proven daily",
			"give a chain node with --chain to let the chain decide")
	default:
		s.unfinished("it is still being sealed", "let lotus-miner finish it, or give it up there, then run this again")
	}
	return false
}

// carry fills the step with what is to be written, after a look at what
// damocles has already.
func (im *Import) carry(ctx context.Context, s *Step, rec *sector.Record, value []byte, fingerprint [32]byte) error {
	state, encoded, err := im.convert(s, rec, fingerprint)
	if err != nil {
		s.failErr(err)
		return nil
	}
	held, err := im.Target.Holds(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("look for %s in damocles: %w", s.ID, err)
	}
	want := state.Record(damocles.Offline)
	origin := &Origin{System: Lotus, ID: s.ID, Fingerprint: want.Fingerprint(), Value: value}
	switch {
	case held.Online != nil:
		s.conflict("it is online in damocles, where it is being worked on",
			"finalize it there if it is on chain, or abort it, then run this again", nil)
	case held.Offline == nil:
		s.write(Change{Store: damocles.CollectionOffline, Key: offlineKey(s.ID), After: encoded}, origin)
	case bytes.Equal(held.Offline, encoded):
		return im.unchanged(s, origin)
	default:
		return im.compare(s, held.Offline, encoded, want, origin)
	}
	return nil
}

// convert makes damocles's state of the record, or takes the very bytes that
// damocles had if they came from there and the sector has not changed since.
func (im *Import) convert(s *Step, rec *sector.Record, fingerprint [32]byte) (*damocles.SectorState, []byte, error) {
	origin, err := im.Origins.Get(Damocles, rec.ID)
	if err != nil {
		return nil, nil, err
	}
	if origin != nil && origin.Fingerprint == fingerprint {
		state, err := damocles.DecodeState(origin.Value)
		upgradedSince := err == nil && rec.Chain != nil && rec.Upgraded && !state.Record(damocles.Offline).Upgraded
		if !upgradedSince { // only the chain knows of that: neither of the two records has changed
			return state, origin.Value, err
		}
	}
	state, notes, err := damocles.FromRecord(rec)
	s.Notes = append(s.Notes, notes...)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := damocles.EncodeState(state)
	return state, encoded, err
}

// unchanged notes the origin again if it is not known, as after an import that
// kept its origins elsewhere.
func (im *Import) unchanged(s *Step, origin *Origin) error {
	s.Action = Unchanged
	known, err := im.Origins.Get(Lotus, s.ID)
	if err != nil {
		return err
	}
	if known == nil && im.Origins != nil {
		s.Origin = origin
	}
	return nil
}

func (im *Import) compare(s *Step, have, encoded []byte, want *sector.Record, origin *Origin) error {
	change := Change{Store: damocles.CollectionOffline, Key: offlineKey(s.ID), Before: have, After: encoded}
	old, err := damocles.DecodeState(have)
	if err != nil {
		if im.Override {
			s.write(change, origin)
			return nil
		}
		s.conflict("damocles has a record of it that cannot be decoded: "+err.Error(), "write over it with --override", nil)
		return nil
	}
	diff := sector.Diff(old.Record(damocles.Offline), want)
	switch {
	case len(diff) == 0:
		s.Action = Unchanged
	case im.Override:
		s.Differences = diff
		s.write(change, origin)
	default:
		s.conflict("damocles has it, and differs", "write over it with --override", diff)
	}
	return nil
}

func offlineKey(id sector.ID) string { return damocles.StateKey(damocles.Offline, id.Miner, id.Number) }

// raise raises the numbers where that can be done before the end; used is as in
// numbers.
func (im *Import) raise(ctx context.Context, used highest) error {
	target, ok := im.Target.(numberRaiser)
	if !ok {
		return nil
	}
	h, err := im.highest(ctx, used)
	if err != nil || !h.known {
		return err
	}
	change, ok, err := im.Target.NumberChange(ctx, im.Miner, h.n)
	if err != nil || !ok || change == nil {
		return err
	}
	im.raised = change
	return target.Raise(ctx, *change)
}

// highest is the highest number that any side knows.
func (im *Import) highest(ctx context.Context, used highest) (highest, error) {
	h, err := highestOf(ctx, im.Miner, im.Target)
	if err == nil && used.known {
		h.add(used.n)
	}
	return h, err
}

// numbers makes damocles count on above every number that any side knows; used
// is the highest that lotus-miner and the chain know.
func (im *Import) numbers(ctx context.Context, used highest, report *Report) ([]Change, error) {
	h, err := im.highest(ctx, used)
	if err != nil || !h.known {
		return nil, err
	}
	report.Numbers.Last = h.ptr()
	change, ok, err := im.Target.NumberChange(ctx, im.Miner, h.n)
	if err != nil {
		return nil, err
	}
	if !ok {
		report.Numbers.ConfigLines = minNumberLines(im.Miner, h.n)
		return nil, nil
	}
	first := cmp.Or(im.raised, change)
	change = cmp.Or(change, im.raised)
	if change == nil {
		return nil, nil
	}
	if was, err := damocles.DecodeNumber(first.Before); err == nil && first.Before != nil {
		report.Numbers.Was = &was
	}
	report.Numbers.Written = true
	return []Change{*change}, nil
}
