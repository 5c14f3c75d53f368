package sector

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
)

// FileKind is one of the directories in which a store keeps sector files. The
// values are lotus's own bits, so that a set of kinds is their sum.
type FileKind uint8

// The kinds. Cache and UpdateCache hold a directory per sector, the others a file.
const (
	Unsealed FileKind = 1 << iota
	Sealed
	Cache
	Update
	UpdateCache
	PieceFile
)

var fileKindNames = map[FileKind]string{
	Unsealed: "unsealed", Sealed: "sealed", Cache: "cache",
	Update: "update", UpdateCache: "update-cache", PieceFile: "piece",
}

// FileKinds are all kinds that lotus and damocles know.
func FileKinds() []FileKind {
	return []FileKind{Unsealed, Sealed, Cache, Update, UpdateCache, PieceFile}
}

// String is the name of the kind's directory below a store.
func (k FileKind) String() string {
	if name, ok := fileKindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("FileKind(%d)", uint8(k))
}

// ParseFileKind is the inverse of FileKind.String; false for any other name.
func ParseFileKind(s string) (FileKind, bool) {
	for kind, name := range fileKindNames {
		if name == s {
			return kind, true
		}
	}
	return 0, false
}

// IsDir says whether a sector of this kind is a directory of files.
func (k FileKind) IsDir() bool { return k == Cache || k == UpdateCache }

// ParseFileName reads the name that a sector's files have in every store, as
// s-t01000-16. It takes exactly what ID.String writes: under another spelling
// neither lotus nor damocles would find the sector.
func ParseFileName(name string) (ID, bool) {
	rest, ok := strings.CutPrefix(name, "s-t0")
	if !ok {
		return ID{}, false
	}
	miner, number, ok := strings.Cut(rest, "-")
	if !ok {
		return ID{}, false
	}
	m, errM := strconv.ParseUint(miner, 10, 63)
	n, errN := strconv.ParseUint(number, 10, 63)
	id := ID{Miner: abi.ActorID(m), Number: abi.SectorNumber(n)}
	return id, errM == nil && errN == nil && id.String() == name
}

// The names in a cache directory that a finished sector has.
const (
	PAuxName = "p_aux"
	TAuxName = "t_aux"
)

// TreeRNames are the files of a sector's tree R, one for each base tree.
func TreeRNames(size abi.SectorSize) []string {
	var n int
	switch size {
	case 32 << 30:
		n = 8
	case 64 << 30:
		n = 16
	default:
		return []string{"sc-02-data-tree-r-last.dat"}
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("sc-02-data-tree-r-last-%d.dat", i)
	}
	return names
}

// CacheNames are the files that damocles wants to see in the cache directory of
// a finished sector: p_aux, t_aux and tree R.
func CacheNames(size abi.SectorSize) []string {
	return append([]string{PAuxName, TAuxName}, TreeRNames(size)...)
}
