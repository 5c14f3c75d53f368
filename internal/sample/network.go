package sample

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// Network is a miner with sealed sectors, to be written to the disk: the stores
// with Build, then as many repos and homes that know of them as are wanted.
type Network struct {
	// Dir is where the stores are made, as Dir/store-1, Dir/store-2 and so on.
	Dir string
	// FirstStore is the number of the first of them; 0 is 1. Two networks in one Dir
	// need numbers of their own.
	FirstStore int
	Miner      abi.ActorID
	// Size is that of all sectors; 0 is 2 KiB. One of 8 MiB takes some seconds.
	Size abi.SectorSize
	// Stores is how many there are; 0 is one. The sectors go to them in turn.
	Stores  int
	Sectors []Wanted
	// Distinct, if not 0, is how many sectors of a kind are sealed; the others get the
	// same files again. All of them pass every check, as nothing in a sector's files
	// says its number. Leave it at 0 where two sectors have to differ, as where files
	// are swapped.
	Distinct int
	FS       durable.FS
}

// Wanted is a sector of the network.
type Wanted struct {
	Number abi.SectorNumber
	// Data says that it is sealed with data; else it is committed capacity.
	Data bool
	// Snap says that data was put into it later. It has its first replica as well as
	// the update then. Data and Snap together are an error.
	Snap bool
	// Deal makes the data one piece of half the sector, a deal of the built-in market,
	// and a filler behind it. Without, it is one piece of direct data onboarding that
	// fills the sector. Deal without data is an error.
	Deal bool
	// Split puts the cache directories into the store after that of the replicas.
	Split bool
}

// Member is a sector of a network that was built.
type Member struct {
	// Record is what a system knows of it, proofs left out: nothing here makes a
	// SNARK. There is no chain, either, and its messages are nowhere.
	Record *sector.Record
	// Replica and Cache are the indexes of the stores that hold its files.
	Replica, Cache int
}

// Built is a network whose stores are on the disk.
type Built struct {
	Miner abi.ActorID
	// Stores are their directories, and Members the sectors as they were ordered.
	Stores  []string
	Members []Member

	fs durable.FS
}

// Build seals the sectors and writes the stores, which must not be there yet. Each
// has a sectorstore.json, as lotus wants one, and can be a store of damocles as it
// is. What an interrupted call leaves is of no use.
func (n Network) Build(ctx context.Context) (*Built, error) {
	dir, err := filepath.Abs(n.Dir)
	if err != nil {
		return nil, err
	}
	if n.Dir = dir; n.Size == 0 {
		n.Size = 2 << 10
	}
	b := &Built{Miner: n.Miner, fs: n.FS}
	for i := range max(n.Stores, 1) {
		b.Stores = append(b.Stores, filepath.Join(n.Dir, fmt.Sprintf("store-%d", n.first()+i)))
	}
	w := writer{fs: n.FS, stores: b.Stores}
	if err := w.makeStores(n.Dir, n.first()); err != nil {
		return nil, err
	}
	volume, err := n.FS.OpenVolume(n.Dir)
	if err != nil {
		return nil, err
	}
	defer volume.Close()
	seen := map[abi.SectorNumber]bool{}
	made := maker{network: n, turns: map[template]int{}, known: map[template]*replicas{}}
	for i, want := range n.Sectors {
		if seen[want.Number] {
			return nil, fault.BadUsage("give every sector a number of its own", "sector %d is wanted twice", want.Number)
		}
		seen[want.Number] = true
		r, err := made.replicas(ctx, want)
		if err != nil {
			return nil, fmt.Errorf("seal sector %d: %w", want.Number, err)
		}
		m := Member{Replica: i % len(b.Stores), Cache: i % len(b.Stores)}
		if want.Split {
			m.Cache = (i + 1) % len(b.Stores)
		}
		id := sector.ID{Miner: n.Miner, Number: want.Number}
		if m.Record, err = r.record(id); err != nil {
			return nil, err
		}
		if err := w.sector(id, r, m); err != nil {
			return nil, err
		}
		b.Members = append(b.Members, m)
	}
	return b, volume.Sync()
}

func (n Network) first() int { return max(n.FirstStore, 1) }
