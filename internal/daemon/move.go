package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/serve"
)

// codeNoState is the original's own code for a sector that is not online.
const codeNoState = 11001

// restoreSector moves a sector from offline to online.
func (d *Daemon) restoreSector(ctx context.Context, id sector.ID, a *args) (any, error) {
	forced := arg[bool](a, 1, "bool")
	if a.err != nil {
		return nil, a.err
	}
	err := d.writer.do(ctx, func() ([]damocles.Change, error) {
		before, state, err := d.load(ctx, damocles.Offline, id)
		if err != nil {
			return nil, fmt.Errorf("load from offline store: %w", err)
		}
		if !forced {
			if err := unabort(state); err != nil {
				return nil, fmt.Errorf("callback failed before restore: %w", err)
			}
		}
		state.Finalized = false
		if err := checkState(damocles.Online, state); err != nil {
			return nil, fault.New("leave it offline", "sector %s is not restored: %w", id, err)
		}
		after, err := damocles.EncodeState(state)
		if err != nil {
			return nil, err
		}
		return d.moved(ctx, id, damocles.Offline, before, after)
	})
	if err != nil {
		return nil, err
	}
	return null, nil
}

// unabort lets a sector go on that was given up before it had data.
func unabort(state *damocles.SectorState) error {
	switch {
	case len(state.Pieces) > 0 || len(state.Deals) > 0:
		return errors.New("sector with deals can not be normally restored")
	case state.AbortReason == "":
		return errors.New("sector is not aborted, can not be normally restored")
	}
	state.AbortReason = ""
	return nil
}

// moved writes the sector into the other workspace first: a stop between the two leaves
// it in both, never in none. What such a stop has left there is no obstacle.
func (d *Daemon) moved(ctx context.Context, id sector.ID, from damocles.Workspace, before, after []byte) ([]damocles.Change, error) {
	to := damocles.Offline
	if from == damocles.Offline {
		to = damocles.Online
	}
	there, exists, err := d.Home.Get(ctx, to, id.Miner, id.Number)
	if err != nil {
		return nil, err
	}
	if exists && !bytes.Equal(there, after) && !bytes.Equal(there, before) {
		return nil, fault.New("look at both with: damocles-manager util sealer sectors state", "sector %s is %s and %s, and the two differ", id, damocles.Online, damocles.Offline)
	}
	var changes []damocles.Change
	if !bytes.Equal(there, after) {
		changes = append(changes, damocles.Change{Store: to.Collection(), Key: damocles.StateKey(to, id.Miner, id.Number), Before: there, After: after})
	}
	return append(changes, damocles.Change{Store: from.Collection(), Key: damocles.StateKey(from, id.Miner, id.Number), Before: before}), nil
}

// finalizeSector moves a sector from online to offline, once the chain has it, and
// gives back the room that was reserved for it.
func (d *Daemon) finalizeSector(ctx context.Context, id sector.ID, _ *args) (any, error) {
	if d.Chain == nil {
		return nil, errNoChain("only a sector that is on chain can be finalized")
	}
	head, err := d.Chain.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("getting chain head: %w", err)
	}
	miner, err := address.NewIDAddress(uint64(id.Miner))
	if err != nil {
		return nil, err
	}
	on, err := d.Chain.At(head).SectorInfo(ctx, miner, id.Number)
	if err != nil {
		return nil, err
	}
	if on == nil {
		return nil, fmt.Errorf("sector %d for miner %s not found", abi.SectorID(id), miner)
	}
	err = d.writer.do(ctx, func() ([]damocles.Change, error) { return d.finalized(ctx, id, on) })
	if err != nil {
		return nil, err
	}
	return serve.Void{}, nil
}

func (d *Daemon) finalized(ctx context.Context, id sector.ID, on *chain.Sector) ([]damocles.Change, error) {
	before, exists, err := d.Home.Get(ctx, damocles.Online, id.Miner, id.Number)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, &serve.Error{Code: codeNoState, Message: "error code 11001: sector state not found"}
	}
	after, err := damocles.FinalizedState(before)
	if err != nil {
		return nil, fmt.Errorf("load from online store: %w", err)
	}
	if err := checkFinalized(after, on); err != nil {
		return nil, fault.New("look at it with: damocles-manager util sealer sectors state", "sector %s is not finalized: %w", id, err)
	}
	changes, err := d.moved(ctx, id, damocles.Online, before, after)
	if err != nil {
		return nil, err
	}
	freed, err := d.released(ctx, id)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil { // as in the original, that holds nothing up
		d.Log.Error("the room reserved for a finalized sector stays reserved", "sector", id, "error", err)
	}
	return append(changes, freed...), nil
}

// checkFinalized asks the same as `finalize` does without a daemon, and whether
// the original could live with the record.
func checkFinalized(after []byte, on *chain.Sector) error {
	s, err := damocles.DecodeState(after)
	if err != nil {
		return err
	}
	if why := migrate.NotFinal(s); why != "" {
		return errors.New(why)
	}
	if err := checkState(damocles.Offline, s); err != nil {
		return err
	}
	if why := migrate.NotFinalOnChain(s, migrate.OnChain(on)); why != "" {
		return errors.New(why)
	}
	return nil
}

// released takes what the sector has reserved out of the summary.
func (d *Daemon) released(ctx context.Context, id sector.ID) ([]damocles.Change, error) {
	before, err := d.Home.Reserved(ctx)
	if err != nil || before == nil {
		return nil, err
	}
	after, err := damocles.ReleaseReserved(before, id.String())
	if err != nil || bytes.Equal(before, after) {
		return nil, err
	}
	return []damocles.Change{{Store: damocles.CollectionCommon, Key: damocles.ReserveKey, Before: before, After: after}}, nil
}

func (d *Daemon) storeReleaseReserved(ctx context.Context, id sector.ID, _ *args) (any, error) {
	done := false
	err := d.writer.do(ctx, func() ([]damocles.Change, error) {
		freed, err := d.released(ctx, id)
		done = len(freed) > 0
		return freed, err
	})
	if err != nil {
		return nil, fmt.Errorf("release reserved: %w", err)
	}
	return done, nil
}
