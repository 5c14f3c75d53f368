package migrate

import (
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// FileSet is where the files of the chosen sectors are, in the order of their
// numbers. A sector takes 32 bytes, so that a million of them are no burden.
type FileSet struct {
	stores  []store.Store
	sectors []fileEntry
}

// fileEntry has, for each kind of file, the number of its store plus one; 0 is
// a kind that does not come along.
type fileEntry struct {
	id   sector.ID
	size uint8
	at   [6]uint16
}

// SectorFiles is where the files of one sector are.
type SectorFiles struct {
	ID      sector.ID
	Size    abi.SectorSize
	Objects []FileObject
}

// FileObject is a replica file or a cache directory in a store.
type FileObject struct {
	Kind  sector.FileKind
	Store store.Store
}

var sectorSizes = store.SectorSizes() // a fileEntry has the place in it

// fileOrder is the order in which a sector's files are carried and printed.
var fileOrder = []sector.FileKind{
	sector.Sealed, sector.Cache, sector.Update, sector.UpdateCache, sector.Unsealed,
}

func kindIndex(kind sector.FileKind) int { return slices.Index(sector.FileKinds(), kind) }

// Len is how many sectors there are.
func (fs *FileSet) Len() int { return len(fs.sectors) }

// Each gives the sectors in the order of their numbers until fn returns false.
func (fs *FileSet) Each(fn func(SectorFiles) bool) {
	for i := range fs.sectors {
		if !fn(fs.At(i)) {
			return
		}
	}
}

// At returns the sector that Each gives as the i-th, from 0.
func (fs *FileSet) At(i int) SectorFiles {
	e := fs.sectors[i]
	out := SectorFiles{ID: e.id, Size: sectorSizes[e.size]}
	for _, kind := range fileOrder {
		if at := e.at[kindIndex(kind)]; at > 0 {
			out.Objects = append(out.Objects, FileObject{Kind: kind, Store: fs.stores[at-1]})
		}
	}
	return out
}

func (fs *FileSet) plan(p *PlanWriter, target store.Store) (err error) {
	fs.Each(func(s SectorFiles) bool {
		err = p.Files(s, target)
		return err == nil
	})
	return err
}
