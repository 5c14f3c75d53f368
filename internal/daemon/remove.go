package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/quarantine"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/serve"
)

// File is one of a sector's files or directories, in the place that a store has for it.
type File = quarantine.File

// Quarantine takes the files of removed sectors away from where a prover looks for
// them, and keeps them. Put returns when they are there, and may be called again with
// what is left where it was interrupted.
type Quarantine interface {
	Put(ctx context.Context, id sector.ID, files []File, why string) error
}

// removeSector takes a sector's files out of its stores and marks it removed. Other
// than the original it does so only where the chain says that the sector is gone, and
// it deletes nothing. A call that was interrupted is finished by the same call.
func (d *Daemon) removeSector(ctx context.Context, id sector.ID, _ *args) (any, error) {
	raw, state, err := d.load(ctx, damocles.Offline, id)
	if err != nil {
		return nil, fmt.Errorf("load sector state: %w", err)
	}
	if state.Removed {
		return serve.Void{}, nil
	}
	if state.ID != abi.SectorID(id) {
		return nil, fmt.Errorf("sector %s is not removed: its record is that of sector %d of miner %d", id, state.ID.Number, state.ID.Miner)
	}
	if err := d.remove(ctx, id, raw, state); err != nil {
		return nil, err
	}
	return serve.Void{}, nil
}

func (d *Daemon) remove(ctx context.Context, id sector.ID, raw []byte, state *damocles.SectorState) error {
	if _, online, err := d.Home.Get(ctx, damocles.Online, id.Miner, id.Number); err != nil || online {
		return errors.Join(err, notRemoved(online, id, "", "it is online, too"))
	}
	why, err := d.gone(ctx, id, state)
	if err != nil {
		return err
	}
	files, err := look(ctx, d.looks, func() ([]File, error) { return d.filesOf(ctx, id, neverOnChain(state)) })
	if errors.Is(err, errNoAnswer) {
		err = notRemoved(true, id, "look whether the disks of its stores are mounted and answer", "its files cannot be looked for: %w", err)
	}
	if err != nil {
		return err
	}
	if len(files) > 0 {
		if d.Quarantine == nil {
			return notRemoved(true, id, "", "there is no quarantine for its files")
		}
		if err := d.Quarantine.Put(ctx, id, files, why); err != nil {
			return fmt.Errorf("move the files of %s to the quarantine: %w", id, err)
		}
	}
	state.Removed = true
	after, err := damocles.EncodeState(state)
	if err != nil {
		return err
	}
	change := damocles.Change{
		Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, id.Miner, id.Number), Before: raw, After: after,
	}
	err = d.writer.do(ctx, func() ([]damocles.Change, error) { return []damocles.Change{change}, nil })
	if err != nil {
		return fmt.Errorf("update sector Removed failed: %w", err)
	}
	return nil
}

// notRemoved is the error that refuses a removal, where it is to be refused.
func notRemoved(refused bool, id sector.ID, hint, format string, args ...any) error {
	if !refused {
		return nil
	}
	return fault.New(hint, "sector %s is not removed: %w", id, fmt.Errorf(format, args...))
}
