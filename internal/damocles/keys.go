package damocles

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
)

// Workspace is one of damocles's two shelves of sectors.
type Workspace string

const (
	// Online holds the sectors that are still being worked on.
	Online Workspace = "online"
	// Offline holds the finished ones.
	Offline Workspace = "offline"
)

// The collections of a home; each is a Badger database in a directory of this
// name, or a collection of this name in MongoDB.
const (
	CollectionMeta    = "meta"
	CollectionOffline = "offline_meta"
	CollectionIndex   = "sector-index"
	CollectionCommon  = "common"
)

// collections lists every collection that damocles makes. meta comes first:
// damocles opens it first, and its lock is what says that the home is in use.
func collections() []string {
	return []string{
		CollectionMeta, CollectionOffline, CollectionIndex, CollectionCommon,
		"snapup", "rebuild", "unseal", "worker", "prover",
	}
}

func knownCollection(name string) bool { return slices.Contains(collections(), name) }

// Collection returns the collection that holds the workspace's sectors.
func (ws Workspace) Collection() string {
	if ws == Online {
		return CollectionMeta
	}
	return CollectionOffline
}

func (ws Workspace) prefix() string {
	if ws == Online {
		return "sector-states/"
	}
	return "sector-states-offline/"
}

func (ws Workspace) minerPrefix(miner abi.ActorID) string {
	return fmt.Sprintf("%sm-%d-n-", ws.prefix(), miner)
}

// statesOf is the prefix of the states of all miners, or of one.
func (ws Workspace) statesOf(miner *abi.ActorID) string {
	if miner == nil {
		return ws.prefix()
	}
	return ws.minerPrefix(*miner)
}

func sectorKey(miner abi.ActorID, number abi.SectorNumber) string {
	return fmt.Sprintf("m-%d-n-%d", miner, number)
}

// StateKey returns the key of a sector's state in the workspace's collection.
func StateKey(ws Workspace, miner abi.ActorID, number abi.SectorNumber) string {
	return ws.prefix() + sectorKey(miner, number)
}

// ParseStateKey is the inverse of StateKey. It takes exactly the keys that
// StateKey makes: under another spelling damocles would not find the sector. A
// number above any sector's is none: to count on above it would begin at 0 again.
func ParseStateKey(ws Workspace, key string) (abi.ActorID, abi.SectorNumber, error) {
	rest, ok := strings.CutPrefix(key, ws.prefix()+"m-")
	miner, number, cut := strings.Cut(rest, "-n-")
	if ok && cut {
		m, errM := strconv.ParseUint(miner, 10, 63)
		n, errN := strconv.ParseUint(number, 10, 63)
		if errM == nil && errN == nil && StateKey(ws, abi.ActorID(m), abi.SectorNumber(n)) == key {
			return abi.ActorID(m), abi.SectorNumber(n), nil
		}
	}
	return 0, 0, fmt.Errorf("key %q in %s is not one of a sector: want %sm-<miner>-n-<number>",
		key, ws.Collection(), ws.prefix())
}

// NumberKey returns the key, in the meta collection, of the last sector number
// given out for a miner. Both slashes are in damocles's own key: its wrapper
// adds one and the key starts with another.
func NumberKey(miner abi.ActorID) string {
	return fmt.Sprintf("sector-number//m-%d", miner)
}

// EncodeNumber writes a sector number as damocles's allocator stores it.
func EncodeNumber(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// DecodeNumber is the inverse of EncodeNumber.
func DecodeNumber(value []byte) (uint64, error) {
	n, size := binary.Uvarint(value)
	if size <= 0 || size != len(value) {
		return 0, fmt.Errorf("%x is not a sector number in uvarint form", value)
	}
	return n, nil
}

// IndexKeys returns the keys, in the sector-index collection, under which the
// names of the stores of a sector's replica and cache directory stand; those
// of the update files with upgrade.
func IndexKeys(miner abi.ActorID, number abi.SectorNumber, upgrade bool) (sealed, cache string) {
	prefix := ""
	if upgrade {
		prefix = "sector-upgrade/"
	}
	key := sectorKey(miner, number)
	return prefix + key, prefix + "cache/" + key
}
