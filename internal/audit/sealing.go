package audit

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
)

// Side is a system that may still be sealing.
type Side struct {
	System   string
	Metadata Metadata
	// Busy says of a state that would otherwise count as done that work goes on in
	// it; it may be nil.
	Busy func(state string) bool
}

// Unfinished is a sector that is still being sealed, or of which that is not known.
type Unfinished struct {
	System string
	ID     sector.ID
	Key    string // where the database names no sector
	State  string
	// Err says why its record cannot be read; nil where it is being sealed.
	Err error
}

// SealingDone calls fn for every sector of the miner, or of all with nil, that is
// still being sealed on one of the sides.
func SealingDone(ctx context.Context, miner *abi.ActorID, numbers sector.Numbers, sides []Side, fn func(Unfinished) error) error {
	for _, side := range sides {
		err := side.Metadata.Each(ctx, numbers, func(id sector.ID, key string, rec *sector.Record, err error) error {
			switch {
			case key == "" && miner != nil && id.Miner != *miner:
				return nil
			case rec == nil:
				return fn(Unfinished{System: side.System, ID: id, Key: key, Err: err})
			case rec.Status == sector.Sealing || rec.Status == sector.Committing, side.Busy != nil && side.Busy(rec.State):
				return fn(Unfinished{System: side.System, ID: id, State: rec.State})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
