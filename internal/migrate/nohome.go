package migrate

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
)

// NoHome stands for a home that is not there yet, in the dry run of the import
// that would make it.
type NoHome struct{}

var _ ImportTarget = NoHome{}

var errNoHome = errors.New("there is no home to write into")

// HighestNumber knows none.
func (NoHome) HighestNumber(context.Context, abi.ActorID) (uint64, bool, error) { return 0, false, nil }

// NumberChange is that of an empty home.
func (NoHome) NumberChange(_ context.Context, miner abi.ActorID, last uint64) (*Change, bool, error) {
	return &Change{Store: damocles.CollectionMeta, Key: damocles.NumberKey(miner), After: damocles.EncodeNumber(last)}, true, nil
}

// Holds has nothing.
func (NoHome) Holds(context.Context, sector.ID) (Held, error) { return Held{}, nil }

// BatchSize is that of a home.
func (NoHome) BatchSize() int { return (*Home)(nil).BatchSize() }

// Write cannot.
func (NoHome) Write(context.Context, []*Step) error { return errNoHome }

// Finish cannot.
func (NoHome) Finish(context.Context, []Change) (Undo, error) { return Undo{}, errNoHome }

// Abandon has nothing to give up.
func (NoHome) Abandon() error { return nil }
