package migrate

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
)

// Counted knows in advance how many sectors of a miner a source will give, so that the
// time left can be told. Counting takes a second for a million.
type Counted interface {
	Count(ctx context.Context, miner abi.ActorID, numbers sector.Numbers) (int64, error)
}

var (
	_ Counted = (*Repo)(nil)
	_ Counted = (*LotusAPI)(nil)
	_ Counted = (*Home)(nil)
)

// Count counts the repo's selected sectors.
func (r *Repo) Count(ctx context.Context, _ abi.ActorID, numbers sector.Numbers) (n int64, err error) {
	err = r.Each(ctx, numbers, func(Raw) error { n++; return nil })
	return n, err
}

// Count counts the selected sectors that lotus-miner lists.
func (l *LotusAPI) Count(ctx context.Context, _ abi.ActorID, numbers sector.Numbers) (int64, error) {
	list, err := l.list(ctx, numbers)
	return int64(len(list)), err
}

// Count counts the home's selected sectors, by their keys.
func (h *Home) Count(ctx context.Context, miner abi.ActorID, numbers sector.Numbers) (n int64, err error) {
	for _, ws := range []damocles.Workspace{damocles.Offline, damocles.Online} {
		err = h.home.EachNumber(ctx, ws, &miner, func(number abi.SectorNumber) {
			if numbers.Has(number) {
				n++
			}
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}
