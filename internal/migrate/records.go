package migrate

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// Records has the sectors of a system in the neutral form, as its metadata alone
// tells them: the chain is not asked.
type Records struct {
	source Source
	decode func(*Step, Raw) *sector.Record // nil where the step says why not
}

// DamoclesRecords reads the sectors of a damocles, of both workspaces: a sector
// that is just being finalized may be in both.
func DamoclesRecords(source Source) Records {
	return Records{source, func(s *Step, raw Raw) *sector.Record {
		state, ok := decodeState(s, raw)
		if !ok {
			return nil
		}
		return state.Record(workspaceOf(raw))
	}}
}

// LotusRecords reads the sectors of the lotus-miner of a miner.
func LotusRecords(source Source, miner abi.ActorID) Records {
	return Records{source, func(s *Step, raw Raw) *sector.Record {
		info, ok := (&Import{}).decode(s, raw)
		if !ok {
			return nil
		}
		return info.Record(miner)
	}}
}

// Each calls fn for every selected sector, from one goroutine. For a record that
// cannot be read, rec is nil and err says why; key is its name in the database
// where that is no sector's, and id is zero then. The error that fn returns ends it.
func (r Records) Each(ctx context.Context, numbers sector.Numbers, fn func(id sector.ID, key string, rec *sector.Record, err error) error) error {
	return r.source.Each(ctx, numbers, func(raw Raw) error {
		s := &Step{ID: raw.ID, Key: raw.Key}
		rec := r.decode(s, raw)
		if rec == nil {
			return fn(raw.ID, raw.Key, nil, fault.New(s.Hint, "%s", s.Reason))
		}
		return fn(raw.ID, raw.Key, rec, nil)
	})
}
