package audit

import (
	"context"
	"fmt"
	"slices"

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
	// Known says of a state whether it is one that the system is known to have; it
	// may be nil.
	Known func(state string) bool
}

// Unfinished is a sector that is still being sealed, or of which that is not known.
type Unfinished struct {
	System string
	ID     sector.ID
	Key    string // where the database names no sector
	State  string
	// Err says why its record cannot be read or understood; nil where it is being sealed.
	Err error
}

// Looked is what there was to look at.
type Looked struct {
	// Records counts those of the selected sectors, on all sides.
	Records int
	// Missing are numbers that were asked for and that no side has.
	Missing []string
}

// SealingDone calls fn for every sector of the miner, or of all with nil, that is
// still being sealed on one of the sides.
func SealingDone(ctx context.Context, miner *abi.ActorID, numbers sector.Numbers, sides []Side, fn func(Unfinished) error) (out Looked, err error) {
	var seen []abi.SectorNumber
	for _, side := range sides {
		err := side.Metadata.Each(ctx, numbers, func(id sector.ID, key string, rec *sector.Record, err error) error {
			if key == "" && miner != nil && id.Miner != *miner {
				return nil
			}
			out.Records++
			if key == "" && !numbers.All() {
				seen = append(seen, id.Number)
			}
			switch {
			case rec == nil:
				return fn(Unfinished{System: side.System, ID: id, Key: key, Err: err})
			case rec.Status == sector.Sealing || rec.Status == sector.Committing, side.Busy != nil && side.Busy(rec.State):
				return fn(Unfinished{System: side.System, ID: id, State: rec.State})
			case side.Known != nil && !side.Known(rec.State):
				return fn(Unfinished{System: side.System, ID: id, State: rec.State,
					Err: fmt.Errorf("the state %q is that of a newer %s, or the record is damaged", rec.State, side.System)})
			}
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	slices.Sort(seen)
	out.Missing = numbers.Missing(slices.Compact(seen))
	return out, nil
}
