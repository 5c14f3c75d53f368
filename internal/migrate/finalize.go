package migrate

import (
	"context"
	"fmt"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
)

// Finalize moves sectors of a home from online to offline, as finished, by the
// owner's word and the chain's.
type Finalize struct {
	Home *Home
	// Chain is asked whether the sector is there. Nil only where the user said by
	// name to go without.
	Chain   Chain
	DryRun  bool
	Plan    *PlanWriter
	Observe func(Event)
}

// Run finalizes each of the sectors; one that cannot be does not stop the rest.
func (f *Finalize) Run(ctx context.Context, ids []sector.ID) (*Report, error) {
	report := &Report{DryRun: f.DryRun}
	for _, id := range ids {
		s, err := f.step(ctx, id)
		if err == nil {
			err = f.Plan.Step(s)
		}
		if err == nil && s.Action == Write && !f.DryRun {
			err = f.Home.Write(ctx, []*Step{s})
		}
		if err != nil {
			return report, joinAbandon(err, f.Home)
		}
		if s.Action == Write && f.DryRun {
			s.Action = WouldWrite
		}
		report.add(s)
		f.Observe(s.event())
	}
	if f.DryRun {
		return report, nil
	}
	undo, err := f.Home.Finish(ctx, nil)
	report.Journal = undo.Journal
	return report, err
}

func (f *Finalize) step(ctx context.Context, id sector.ID) (*Step, error) {
	s := &Step{ID: id, State: string(damocles.Online)}
	held, err := f.Home.Holds(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case held.Online == nil && held.Offline != nil:
		s.State, s.Action = string(damocles.Offline), Unchanged
		return s, nil
	case held.Online == nil:
		s.Action, s.Reason, s.Hint = Missing, "damocles has no such sector", "`util sealer sectors list` shows the online ones"
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
	state.Finalized = true
	encoded, err := damocles.EncodeState(state)
	if err != nil {
		return nil, err
	}
	if held.Offline != nil && !sameState(held.Offline, encoded) {
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
	switch {
	case state.AbortReason != "":
		return "it was aborted (" + state.AbortReason + ")", nil
	case !rec.Original.CommR.Defined():
		return "it has no CommR: its sealing never came so far", nil
	case f.Chain == nil:
		return "", nil
	}
	on, err := f.Chain.Sector(ctx, rec.ID)
	if err != nil {
		return "", fmt.Errorf("ask the chain for %s: %w", rec.ID, err)
	}
	if on.Absent {
		return "the chain does not have it", nil
	}
	original := on.SealedCID
	if on.SectorKey.Defined() {
		original = on.SectorKey
	}
	if original != rec.Original.CommR {
		return fmt.Sprintf("the chain's CommR is %s, the metadata's %s", original, rec.Original.CommR), nil
	}
	return "", nil
}
