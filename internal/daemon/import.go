package daemon

import (
	"bytes"
	"context"
	"fmt"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// maxState is far above what a record of a sector full of the smallest deals takes.
const maxState = 4 << 20

// importSector takes a whole record in. false says that the workspace has one already.
func (d *Daemon) importSector(ctx context.Context, a *args) (any, error) {
	name, override := arg[string](a, 0, "core.SectorWorkerState"), arg[bool](a, 2, "bool")
	if a.err != nil {
		return nil, a.err
	}
	raw := a.params[1]
	if string(raw) == "null" {
		return false, nil
	}
	state, err := damocles.DecodeState(raw)
	if err != nil {
		a.invalid("*core.SectorState", err)
		return nil, a.err
	}
	prefix := "save"
	if !override {
		prefix = "import"
	}
	ws, err := workspace(name, prefix)
	if err != nil {
		return nil, err
	}
	id := sector.ID{Miner: state.ID.Miner, Number: state.ID.Number}
	a.id = id
	if err := checkEmptyDeals(raw, state); err != nil {
		return nil, refusedImport(id, err)
	}
	if err := checkState(ws, state); err != nil {
		return nil, refusedImport(id, err)
	}
	value, err := damocles.EncodeState(state)
	if err == nil && len(value) > maxState {
		err = refusedImport(id, fmt.Errorf("it takes %d bytes, and a record may take %d", len(value), maxState))
	}
	if err != nil {
		return nil, err
	}
	release, err := d.locks.take(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	return d.put(ctx, ws, id, value, override)
}

func refusedImport(id sector.ID, err error) error {
	return fault.New("correct the record", "sector %s is not imported: %w", id, err)
}

func (d *Daemon) put(ctx context.Context, ws damocles.Workspace, id sector.ID, value []byte, override bool) (added bool, err error) {
	err = d.writer.do(ctx, func() ([]damocles.Change, error) {
		added = false
		before, exists, err := d.Home.Get(ctx, ws, id.Miner, id.Number)
		if err != nil || exists && !override {
			return nil, err
		}
		if err := d.checkOther(ctx, ws, id); err != nil {
			return nil, err
		}
		added = true
		if exists && bytes.Equal(before, value) {
			return nil, nil
		}
		return []damocles.Change{{Store: ws.Collection(), Key: damocles.StateKey(ws, id.Miner, id.Number), Before: before, After: value}}, nil
	})
	return added && err == nil, err
}

// checkOther refuses a sector that the other workspace has: whoever asks would be told
// of one of the two only.
func (d *Daemon) checkOther(ctx context.Context, ws damocles.Workspace, id sector.ID) error {
	other, hint := damocles.Online, "finalize it first, with: damocles-manager util sealer sectors finalize"
	if ws == damocles.Online {
		other, hint = damocles.Offline, "restore it with Venus.RestoreSector, if it is to be online again"
	}
	_, exists, err := d.Home.Get(ctx, other, id.Miner, id.Number)
	if err != nil || !exists {
		return err
	}
	return fault.New(hint, "sector %s is not imported: it is %s", id, other)
}
