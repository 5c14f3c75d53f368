package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/serve"
)

// errNoKey is what the original's database says of a key that it does not have.
var errNoKey = errors.New("key not found")

// listSectors streams a workspace. A job that is unknown selects nothing, as in the
// original.
func (d *Daemon) listSectors(_ context.Context, a *args) (any, error) {
	name, job := arg[string](a, 0, "core.SectorWorkerState"), arg[int](a, 1, "core.SectorWorkerJob")
	if a.err != nil {
		return nil, a.err
	}
	ws, err := workspace(name, "get iter for All: get iter")
	if err != nil {
		return nil, err
	}
	return d.elements(ws, nil, selects(job)), nil
}

func selects(job int) func(*damocles.SectorState) bool {
	const all, sealing, snapup, rebuild, unseal = 0, 1, 2, 3, 4
	if job == all {
		return func(*damocles.SectorState) bool { return true }
	}
	return damocles.ListJobs{
		Sealing: job == sealing, Snapup: job == snapup, Rebuild: job == rebuild, Unseal: job == unseal,
	}.Shows
}

// elements are the states of a workspace that are wanted, re-encoded as the original
// does. likely, if not nil, spares the reading of a record that cannot be wanted.
func (d *Daemon) elements(ws damocles.Workspace, likely func([]byte) bool, wanted func(*damocles.SectorState) bool) serve.Elements {
	return func(ctx context.Context, emit func(json.RawMessage) error) error {
		return spoken(d.each(ctx, ws, likely, func(s *damocles.SectorState) error {
			if !wanted(s) {
				return nil
			}
			raw, err := damocles.EncodeState(s)
			if err != nil {
				return err
			}
			return emit(raw)
		}))
	}
}

// maxLeftOut is how many records that are left out of one list are logged by name.
const maxLeftOut = 10

// each goes through a workspace. A record that cannot be read is left out and logged:
// in the original one of them makes every list fail. It shows as unreadable in the
// census, and FindSector says what is wrong with it.
func (d *Daemon) each(ctx context.Context, ws damocles.Workspace, likely func([]byte) bool, fn func(*damocles.SectorState) error) error {
	left := 0
	err := d.Home.Each(ctx, ws, nil, func(kv damocles.KV) error {
		if kv.ValueErr == nil && likely != nil && !likely(kv.Value) {
			return nil
		}
		state, err := readKV(kv)
		if err == nil {
			return fn(state)
		}
		if left++; left <= maxLeftOut {
			d.Log.Warn("a sector is left out: its record cannot be read", "workspace", ws, "key", kv.Key, "error", err)
		}
		return nil
	})
	if left > maxLeftOut {
		d.Log.Warn("more sectors are left out", "workspace", ws, "sectors", left-maxLeftOut)
	}
	return err
}

func readKV(kv damocles.KV) (*damocles.SectorState, error) {
	if kv.ValueErr != nil {
		return nil, kv.ValueErr
	}
	return damocles.DecodeState(kv.Value)
}

func (d *Daemon) findSector(ctx context.Context, a *args) (any, error) {
	name, id := arg[string](a, 0, "core.SectorWorkerState"), a.sector(1)
	if a.err != nil {
		return nil, a.err
	}
	ws, err := workspace(name, "load")
	if err != nil {
		return nil, err
	}
	return d.encoded(ctx, ws, id)
}

func (d *Daemon) findSectorInAllStates(ctx context.Context, a *args) (any, error) {
	id := a.sector(0)
	if a.err != nil {
		return nil, a.err
	}
	raw, err := d.inEither(ctx, id)
	if !errors.Is(err, errNoKey) {
		return raw, err
	}
	// One that was moved between the two looks is in neither; while it is ours, it stays.
	release, err := d.locks.take(ctx, id)
	if err != nil {
		return nil, err
	}
	defer release()
	return d.inEither(ctx, id)
}

func (d *Daemon) inEither(ctx context.Context, id sector.ID) (json.RawMessage, error) {
	for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
		raw, err := d.encoded(ctx, ws, id)
		if err == nil || !errors.Is(err, errNoKey) {
			return raw, err
		}
	}
	return nil, errNoKey
}

func (d *Daemon) encoded(ctx context.Context, ws damocles.Workspace, id sector.ID) (json.RawMessage, error) {
	_, state, err := d.load(ctx, ws, id)
	if err != nil {
		return nil, err
	}
	return damocles.EncodeState(state)
}

// load returns what is stored of a sector, and what that says.
func (d *Daemon) load(ctx context.Context, ws damocles.Workspace, id sector.ID) ([]byte, *damocles.SectorState, error) {
	raw, found, err := d.Home.Get(ctx, ws, id.Miner, id.Number)
	if err == nil && !found {
		err = errNoKey
	}
	var state *damocles.SectorState
	if err == nil {
		state, err = damocles.DecodeState(raw)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("load state from %s: %w", ws, err)
	}
	return raw, state, nil
}
