package store

import (
	"context"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
)

// Census is what a program finds that declares all of a store's sectors.
type Census struct {
	// Sectors counts the sectors of each miner of which there is any file.
	Sectors map[abi.ActorID]int
	// Missing says that a type directory is not there, which lotus-miner makes.
	Missing bool
}

// Census looks at every name in the type directories; see BadNames for those that
// are none. Of a million sectors it holds the numbers.
func (s Store) Census(ctx context.Context) (*Census, error) {
	numbers := map[abi.ActorID][]abi.SectorNumber{}
	for _, kind := range sector.FileKinds() {
		err := s.Each(ctx, kind, func(e Entry) error {
			if e.Err == nil {
				numbers[e.ID.Miner] = append(numbers[e.ID.Miner], e.ID.Number)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for miner, list := range numbers { // now, so that a sector's kinds do not add up
			slices.Sort(list)
			numbers[miner] = slices.Compact(list)
		}
	}
	c := &Census{Sectors: map[abi.ActorID]int{}, Missing: s.lacksTypeDirs()}
	for miner, list := range numbers {
		c.Sectors[miner] = len(list)
	}
	return c, nil
}
