package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/sector"
)

// Daemon is a damocles reached through its running damocles-manager: a source
// of an export and a target of an import.
type Daemon struct {
	client  *damocles.Client
	jobs    int
	journal recorder

	highest map[abi.ActorID]highest // filled by a pass over all sectors
}

var (
	_ ExportSource = (*Daemon)(nil)
	_ ImportTarget = (*Daemon)(nil)
)

// NewDaemon wraps a client. journalDir is where the values before are kept,
// empty for nowhere; target names the daemon in the journal.
func NewDaemon(client *damocles.Client, jobs int, journalDir, target, command string, miner abi.ActorID, fs durable.FS) *Daemon {
	return &Daemon{client: client, jobs: max(jobs, 1), journal: recorder{
		fs: fs, dir: journalDir, now: time.Now,
		header: durable.Header{Command: command, Miner: sector.MinerString(miner), Target: target},
	}}
}

// Each streams the sectors of both workspaces, of all miners. The online ones
// come first: one that damocles finalizes meanwhile is seen twice then, where the
// other way round it would not be seen at all.
func (d *Daemon) Each(ctx context.Context, numbers sector.Numbers, fn func(Raw) error) error {
	seen := map[abi.ActorID]highest{}
	for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
		err := d.client.ListSectors(ctx, ws, func(value json.RawMessage) error {
			if err := ctx.Err(); err != nil { // what has arrived would still be given
				return err
			}
			id, err := stateID(value)
			if err == nil {
				h := seen[id.Miner]
				h.add(uint64(id.Number))
				seen[id.Miner] = h
				if !numbers.Has(id.Number) {
					return nil
				}
			}
			raw := Raw{ID: id, Online: ws == damocles.Online, Value: bytes.Clone(value), Err: err}
			if err != nil {
				raw.Key = "a record of the workspace " + string(ws)
			}
			return fn(raw)
		})
		if err != nil {
			return err
		}
	}
	d.highest = seen
	return nil
}

func stateID(value []byte) (sector.ID, error) {
	var head struct{ ID abi.SectorID }
	if err := json.Unmarshal(value, &head); err != nil {
		return sector.ID{}, fmt.Errorf("a sector that damocles lists has no readable ID: %w", fault.JSON(err))
	}
	if head.ID.Number > abi.MaxSectorNumber {
		return sector.ID{}, fmt.Errorf("a sector that damocles lists has the number %d, which is above any sector's", head.ID.Number)
	}
	return sector.ID{Miner: head.ID.Miner, Number: head.ID.Number}, nil
}

// HighestNumber lists all sectors, unless that was done before. The allocator
// itself cannot be seen from outside.
func (d *Daemon) HighestNumber(ctx context.Context, miner abi.ActorID) (uint64, bool, error) {
	if d.highest == nil {
		if err := d.Each(ctx, sector.Numbers{}, func(Raw) error { return nil }); err != nil {
			return 0, false, err
		}
	}
	h := d.highest[miner]
	return h.n, h.known, nil
}

// Holds asks for the sector in both workspaces.
func (d *Daemon) Holds(ctx context.Context, id sector.ID) (Held, error) {
	var held Held
	var err error
	if held.Online, _, err = d.client.FindSector(ctx, damocles.Online, abi.SectorID(id)); err != nil {
		return held, err
	}
	held.Offline, _, err = d.client.FindSector(ctx, damocles.Offline, abi.SectorID(id))
	return held, err
}

// BatchSize keeps all jobs busy and a broken connection from costing much.
func (d *Daemon) BatchSize() int { return 8 * d.jobs }

// Write imports the sectors one by one, several at once; a step that the daemon
// refuses is marked, and only a lost connection ends it.
func (d *Daemon) Write(ctx context.Context, steps []*Step) error {
	if err := d.note(steps); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(d.jobs)
	for _, s := range steps {
		g.Go(func() error { return d.importOne(ctx, s) })
	}
	return g.Wait()
}

// note journals the steps, each with its last change first, as a home does.
func (d *Daemon) note(steps []*Step) error {
	for _, s := range steps {
		for _, c := range slices.Backward(s.Changes) {
			if err := d.journal.record(c); err != nil {
				return err
			}
		}
	}
	return d.journal.sync()
}

func (d *Daemon) importOne(ctx context.Context, s *Step) error {
	c := s.Changes[0]
	// Not taken means that damocles has it, which may be this very record where
	// the answer to a first try was lost: reading back tells.
	_, err := d.client.ImportSector(ctx, damocles.Offline, c.After, c.Before != nil)
	if err == nil {
		err = d.readBack(ctx, s)
	}
	if refused, ok := errors.AsType[*rpc.RPCError](err); ok && !errors.Is(err, rpc.ErrPermission) {
		s.fail("damocles refused it: "+refused.Message, "")
		return nil
	}
	return err
}

func (d *Daemon) readBack(ctx context.Context, s *Step) error {
	have, found, err := d.client.FindSector(ctx, damocles.Offline, abi.SectorID(s.ID))
	if err != nil {
		return err
	}
	if !found || !sameState(have, s.Changes[0].After) {
		s.fail("damocles does not hold what was written", "look at it with `util sealer sectors state`, then run this again")
	}
	return nil
}

// sameState compares what two encodings say: a daemon may order or space them
// as it likes.
func sameState(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	return bytes.Equal(canonical(a), canonical(b))
}

func canonical(raw []byte) []byte {
	state, err := damocles.DecodeState(raw)
	if err != nil {
		return raw
	}
	out, err := damocles.EncodeState(state)
	if err != nil {
		return raw
	}
	return out
}

// NumberChange says that the counter of a running damocles-manager is out of reach.
func (d *Daemon) NumberChange(context.Context, abi.ActorID, uint64) (*Change, bool, error) {
	return nil, false, nil
}

// Finish ends the journal.
func (d *Daemon) Finish(context.Context, []Change) (Undo, error) {
	err := d.journal.end()
	return d.journal.undo(), err
}

// Abandon keeps the journal open for the next run: what was written stays.
func (d *Daemon) Abandon() error { return d.journal.abandon() }

// Finalizing is a Daemon whose steps are sectors to finalize, which the running
// damocles-manager does itself, after it has asked its own chain node.
type Finalizing struct{ *Daemon }

var _ FinalizeTarget = Finalizing{}

// Write finalizes the sectors one by one.
func (d Finalizing) Write(ctx context.Context, steps []*Step) error {
	if err := d.note(steps); err != nil {
		return err
	}
	for _, s := range steps {
		if err := d.finalize(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (d Finalizing) finalize(ctx context.Context, s *Step) error {
	err := d.client.FinalizeSector(ctx, abi.SectorID(s.ID))
	refused, isRefusal := errors.AsType[*rpc.RPCError](err)
	switch {
	case errors.Is(err, damocles.ErrNotOnChain):
		s.fail("the chain does not have it", fault.HintOf(err))
		return nil
	case isRefusal && !errors.Is(err, rpc.ErrPermission):
		s.fail("damocles refused it: "+refused.Message, "")
		return nil
	}
	// Where the answer was lost, the work may have been done all the same.
	held, lookErr := d.Holds(ctx, s.ID)
	switch {
	case lookErr == nil && held.Online == nil && sameState(held.Offline, s.Changes[0].After):
		return nil
	case err != nil && !errors.Is(err, damocles.ErrNotOnline):
		return err
	case lookErr != nil:
		return lookErr
	}
	s.fail("damocles does not hold it as finalized", "look at it with `util sealer sectors state`, then run this again")
	return nil
}

// Released has nothing to do: damocles gives the room back itself.
func (Finalizing) Released(context.Context, []sector.ID) (*Change, error) { return nil, nil }
