package damocles

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"
)

// HighestNumber returns the highest number that the home knows of a miner: of a
// sector in either workspace, or the last one that its allocator gave out. It
// reads keys only. False where it knows none.
func (h *Home) HighestNumber(ctx context.Context, miner abi.ActorID) (highest uint64, known bool, err error) {
	highest, known, err = h.LastNumber(ctx, miner)
	for _, ws := range []Workspace{Online, Offline} {
		if err == nil {
			err = h.EachNumber(ctx, ws, &miner, func(n abi.SectorNumber) { highest, known = max(highest, uint64(n)), true })
		}
	}
	return highest, known, err
}

// EachNumber calls fn with the number of every sector of the workspace, or of
// one miner in it. It reads keys only; a key that names no sector is left out.
func (h *Home) EachNumber(ctx context.Context, ws Workspace, miner *abi.ActorID, fn func(abi.SectorNumber)) error {
	return h.scan(ctx, ws.Collection(), ws.statesOf(miner), false, func(r record) error {
		if _, number, err := ParseStateKey(ws, r.key); err == nil {
			fn(number)
		}
		return nil
	})
}
