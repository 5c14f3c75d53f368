package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
)

// BadName is an entry of a type directory with which lotus-miner would go wrong.
type BadName struct {
	Path string
	// Taken says that lotus-miner would take it for the sector ID, which it is not.
	// Otherwise lotus-miner does not start with the store at all.
	Taken bool
	ID    sector.ID
}

// String says what is wrong with it.
func (b BadName) String() string {
	if b.Taken {
		return fmt.Sprintf("%s is none of a sector's files, and lotus-miner would take it for %s", b.Path, b.ID)
	}
	return b.Path + " is none of a sector's files, and lotus-miner does not start with it there"
}

// BadNames calls fn with every entry of the type directories that lotus-miner,
// when it opens the store, would refuse or take for what it is not.
func (s Store) BadNames(ctx context.Context, fn func(BadName) error) error {
	for _, kind := range sector.FileKinds() {
		if info, err := os.Stat(s.TypeDir(kind)); err == nil && !info.IsDir() {
			if err := fn(BadName{Path: s.TypeDir(kind)}); err != nil {
				return err
			}
			continue
		}
		err := s.Each(ctx, kind, func(e Entry) error {
			if e.Err == nil {
				return nil
			}
			id, taken := lotusTakes(e.Name)
			return fn(BadName{Path: filepath.Join(s.TypeDir(kind), e.Name), Taken: taken, ID: id})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lotusTakes reads a name as lotus-miner does. It looks at the beginning only,
// so that s-t01000-1.tmp is sector 1 to it.
func lotusTakes(name string) (sector.ID, bool) {
	var miner abi.ActorID
	var number abi.SectorNumber
	_, err := fmt.Sscanf(name, "s-t0%d-%d", &miner, &number)
	return sector.ID{Miner: miner, Number: number}, err == nil
}
