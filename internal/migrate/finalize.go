package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
)

// FinalizeTarget is a damocles in which sectors are finalized.
type FinalizeTarget interface {
	Target
	// Released returns the change that gives back the room which damocles has
	// reserved in its stores for the sectors; nil where there is none, or where
	// damocles sees to that itself.
	Released(ctx context.Context, ids []sector.ID) (*Change, error)
}

// Finalize moves sectors of a damocles from online to offline, as finished, by
// the owner's word and the chain's.
type Finalize struct {
	Target FinalizeTarget
	// Chain is asked whether the sector is there. Nil only where damocles asks a
	// node of its own, or the user said by name to go without.
	Chain   Chain
	DryRun  bool
	Plan    *PlanWriter
	Observe func(Event)

	done []sector.ID
}

// Run finalizes each of the sectors; one that cannot be does not stop the rest.
func (f *Finalize) Run(ctx context.Context, ids []sector.ID) (*Report, error) {
	report := &Report{DryRun: f.DryRun}
	for _, id := range ids {
		s, err := f.one(ctx, id)
		if err != nil {
			return report, joinAbandon(err, f.Target)
		}
		report.add(s)
		f.Observe(s.event())
	}
	release, err := f.release(ctx)
	if err == nil {
		err = f.Plan.Changes("reserved room", release)
	}
	if err != nil {
		return report, joinAbandon(err, f.Target)
	}
	if f.DryRun {
		return report, nil
	}
	undo, err := f.Target.Finish(ctx, release)
	report.Journal = undo.Journal
	return report, err
}

func (f *Finalize) one(ctx context.Context, id sector.ID) (*Step, error) {
	s, err := f.step(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.Action == Write || s.Action == Unchanged {
		f.releases(ctx, s)
	}
	if err := f.Plan.Step(s); err != nil {
		return nil, err
	}
	switch {
	case s.Action != Write:
	case f.DryRun:
		s.Action = WouldWrite
	default:
		err = f.Target.Write(ctx, []*Step{s})
	}
	return s, err
}

// releases notes that the sector's room is to be given back at the end, also
// that of one which an interrupted run has finalized. What is reserved being
// unreadable holds nothing up.
func (f *Finalize) releases(ctx context.Context, s *Step) {
	if _, err := f.Target.Released(ctx, []sector.ID{s.ID}); err != nil {
		s.note("reservation-kept", "the room reserved for it in damocles's stores stays reserved: "+err.Error())
		return
	}
	f.done = append(f.done, s.ID)
}

func (f *Finalize) release(ctx context.Context) ([]Change, error) {
	c, err := f.Target.Released(ctx, f.done)
	if err != nil || c == nil {
		return nil, err
	}
	return []Change{*c}, nil
}

func (f *Finalize) step(ctx context.Context, id sector.ID) (*Step, error) {
	s := &Step{ID: id, State: string(damocles.Online)}
	held, err := f.Target.Holds(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case held.Online == nil && held.Offline != nil:
		s.State, s.Action = string(damocles.Offline), Unchanged
		return s, nil
	case held.Online == nil:
		s.Action, s.Reason, s.Hint = Missing, "damocles has no sector "+id.String(), "`util sealer sectors list` shows the online ones"
		return s, nil
	}
	state, err := damocles.DecodeState(held.Online)
	if err != nil {
		s.fail("its record cannot be decoded: "+err.Error(), "restore the record from a backup")
		return s, nil //nolint:nilerr // the step carries it: one bad sector stops nothing
	}
	rec := state.Record(damocles.Online)
	s.Upgraded = rec.Upgraded
	if why, err := f.refuse(ctx, rec, state); why != "" || err != nil {
		return s.fail(why, "only a sector that is on chain may be finalized"), err
	}
	encoded, err := damocles.FinalizedState(held.Online)
	if err != nil {
		s.failErr(err)
		return s, nil
	}
	// A stop of damocles itself between the two may have left it in both.
	if held.Offline != nil && !sameJSON(held.Offline, encoded) && !sameJSON(held.Offline, held.Online) {
		s.conflict("it is offline, too, and the two differ", "look at both with `util sealer sectors state`", nil)
		return s, nil
	}
	// Offline first: a stop between the two leaves it in both, never in none.
	s.Action = Write
	s.Changes = []Change{
		{Store: damocles.CollectionOffline, Key: offlineKey(id), Before: held.Offline, After: encoded},
		{Store: damocles.CollectionMeta, Key: damocles.StateKey(damocles.Online, id.Miner, id.Number), Before: held.Online},
	}
	return s, nil
}

// refuse says why a sector may not be finalized, "" where it may.
func (f *Finalize) refuse(ctx context.Context, rec *sector.Record, state *damocles.SectorState) (string, error) {
	if why := NotFinal(state); why != "" {
		return why, nil
	}
	if f.Chain == nil {
		if state.Upgraded && !rec.Upgraded {
			return "its upgrade has not landed as far as damocles knows: give a chain node with --chain that decides", nil
		}
		return "", nil
	}
	on, err := f.Chain.Sector(ctx, rec.ID)
	if err != nil {
		return "", fmt.Errorf("ask the chain for %s: %w", rec.ID, err)
	}
	return NotFinalOnChain(state, on), nil
}

// NotFinal says why a sector may not be finalized whatever the chain says, ""
// where that decides.
func NotFinal(state *damocles.SectorState) string {
	switch {
	case state.AbortReason != "":
		return "it was aborted (" + state.AbortReason + ")"
	case state.Pre == nil || !state.Pre.CommR.Defined():
		return "it has no CommR: its sealing never came so far"
	}
	return ""
}

// NotFinalOnChain says what on the chain keeps a sector from being finalized that
// NotFinal lets pass, "" where nothing does.
func NotFinalOnChain(state *damocles.SectorState, on sector.OnChain) string {
	original := on.SealedCID
	if on.SectorKey.Defined() {
		original = on.SectorKey
	}
	switch upgraded := on.SectorKey.Defined(); {
	case on.Absent:
		return "the chain does not have it"
	case state.Upgraded != upgraded:
		return fmt.Sprintf("its metadata says upgraded %t, the chain %t", state.Upgraded, upgraded)
	case original != state.Pre.CommR:
		return fmt.Sprintf("the chain's CommR is %s, the metadata's %s", original, state.Pre.CommR)
	case upgraded && state.UpgradedInfo != nil && state.UpgradedInfo.SealedCID.Defined() && state.UpgradedInfo.SealedCID != on.SealedCID:
		return fmt.Sprintf("the CommR of its update is %s on chain, and %s in the metadata", on.SealedCID, state.UpgradedInfo.SealedCID)
	}
	return ""
}

// sameJSON compares all that two documents say, also what is not known here.
func sameJSON(a, b []byte) bool {
	x, errX := anyJSON(a)
	y, errY := anyJSON(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func anyJSON(raw []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}
