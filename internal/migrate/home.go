package migrate

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

// Home is a damocles home opened directly: a source of an export and a target
// of an import.
type Home struct {
	home    *damocles.Home
	journal recorder
	raised  *Change // of the numbers, carried out before Finish
}

var (
	_ ExportSource = (*Home)(nil)
	_ ImportTarget = (*Home)(nil)
	_ numberRaiser = (*Home)(nil)
)

// NewHome wraps an open home in dir. Journals of command go to switching/journal
// in it.
func NewHome(home *damocles.Home, dir, command string, miner abi.ActorID, fs durable.FS) *Home {
	return &Home{home: home, journal: recorder{
		fs: fs, dir: JournalDir(dir), now: time.Now,
		header: durable.Header{Command: command, Miner: sector.MinerString(miner), Target: dir},
	}}
}

// JournalDir is where a home keeps the journals of what was written into it.
func JournalDir(home string) string { return filepath.Join(home, "switching", "journal") }

// OriginsDir is where a home keeps its origins.
func OriginsDir(home string) string { return filepath.Join(home, "switching", "origins") }

// Each streams the sectors of both workspaces, of all miners, offline first.
func (h *Home) Each(ctx context.Context, numbers sector.Numbers, fn func(Raw) error) error {
	for _, ws := range []damocles.Workspace{damocles.Offline, damocles.Online} {
		err := h.home.Each(ctx, ws, nil, func(kv damocles.KV) error {
			named := kv.KeyErr == nil
			switch {
			case !named && numbers.All(): // no selection takes what has no number
				return fn(Raw{Key: kv.Key, Err: kv.KeyErr})
			case !named || !numbers.Has(kv.Number):
				return nil
			}
			return fn(Raw{
				ID: sector.ID{Miner: kv.Miner, Number: kv.Number}, Online: ws == damocles.Online,
				Value: bytes.Clone(kv.Value), Err: kv.ValueErr,
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// HighestNumber looks at the keys of both workspaces and at the allocator.
func (h *Home) HighestNumber(ctx context.Context, miner abi.ActorID) (uint64, bool, error) {
	return h.home.HighestNumber(ctx, miner)
}

// Holds reads the sector in both workspaces.
func (h *Home) Holds(ctx context.Context, id sector.ID) (Held, error) {
	var held Held
	var err error
	if held.Online, _, err = h.home.Get(ctx, damocles.Online, id.Miner, id.Number); err != nil {
		return held, err
	}
	held.Offline, _, err = h.home.Get(ctx, damocles.Offline, id.Miner, id.Number)
	return held, err
}

// BatchSize is what Badger takes in one transaction with room to spare.
func (h *Home) BatchSize() int { return 4000 }

// Write journals the steps, and carries them out in one transaction.
func (h *Home) Write(ctx context.Context, steps []*Step) error {
	changes := make([]Change, 0, len(steps))
	for _, s := range steps {
		changes = append(changes, s.Changes...)
	}
	return h.apply(ctx, changes)
}

// Record journals changes that the caller then carries out itself, and returns when
// that is on disk. The last one comes first: an undo goes through a run in the
// journal's order, and so takes a sector that was moved from one workspace to
// the other back without ever having it in neither.
func (h *Home) Record(changes []Change) error {
	for _, c := range slices.Backward(changes) {
		if err := h.journal.record(c); err != nil {
			return err
		}
	}
	return h.journal.sync()
}

func (h *Home) apply(ctx context.Context, changes []Change) error {
	if err := h.Record(changes); err != nil {
		return err
	}
	var out []damocles.Change
	var files []Change
	for _, c := range changes {
		if c.Store == configStore {
			files = append(files, c)
			continue
		}
		out = append(out, damocles.Change(c))
	}
	if len(out) > 0 {
		if err := h.home.Apply(ctx, out); err != nil {
			return fmt.Errorf("write into the home: %w", err)
		}
	}
	for _, c := range files {
		if err := writeFile(h.journal.fs, c); err != nil {
			return err
		}
	}
	return nil
}

// NumberChange raises the allocator, never lowers it; nil where it is there.
func (h *Home) NumberChange(ctx context.Context, miner abi.ActorID, last uint64) (*Change, bool, error) {
	have, known, err := h.home.LastNumber(ctx, miner)
	if err != nil {
		return nil, false, err
	}
	if known && have >= last {
		return nil, true, nil
	}
	c := &Change{Store: damocles.CollectionMeta, Key: damocles.NumberKey(miner), After: damocles.EncodeNumber(last)}
	if known {
		c.Before = damocles.EncodeNumber(have)
	}
	return c, true, nil
}

// Raise carries a change of the numbers out at once.
func (h *Home) Raise(ctx context.Context, change Change) error {
	h.raised = &change
	return h.apply(ctx, []Change{change})
}

// Released gives back what damocles has reserved, as damocles does when it
// finalizes a sector itself.
func (h *Home) Released(ctx context.Context, ids []sector.ID) (*Change, error) {
	before, err := h.home.Reserved(ctx)
	if err != nil || before == nil {
		return nil, err
	}
	after := before
	for _, id := range ids {
		if after, err = damocles.ReleaseReserved(after, id.String()); err != nil {
			return nil, err
		}
	}
	if bytes.Equal(before, after) {
		return nil, nil
	}
	return &Change{Store: damocles.CollectionCommon, Key: damocles.ReserveKey, Before: before, After: after}, nil
}

// Finish writes the numbers, after the states, and ends the journal.
func (h *Home) Finish(ctx context.Context, changes []Change) (Undo, error) {
	if h.raised != nil {
		changes = slices.DeleteFunc(slices.Clone(changes), h.isRaised)
	}
	if len(changes) > 0 {
		if err := h.apply(ctx, changes); err != nil {
			return Undo{}, err
		}
	}
	err := h.journal.end()
	return h.journal.undo(), err
}

func (h *Home) isRaised(c Change) bool {
	return c.Store == h.raised.Store && c.Key == h.raised.Key && bytes.Equal(c.After, h.raised.After)
}

// Abandon keeps the journal open for the next run: what was written stays.
func (h *Home) Abandon() error { return h.journal.abandon() }
