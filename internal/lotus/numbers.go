package lotus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/filecoin-project/go-bitfield"
	rle "github.com/filecoin-project/go-bitfield/rle"
	"github.com/syndtr/goleveldb/leveldb/util"

	"damocles-manager/internal/fault"
)

// The keys under which lotus-miner keeps which sector numbers are used.
const (
	nextIDKey      = "/storage/nextid"
	allocatedKey   = "/storage/sectorsids/allocated"
	reservedKey    = "/storage/sectorsids/reserved"
	reservedPrefix = reservedKey + "/"
)

// maxNumber is the highest sector number there can be.
const maxNumber = math.MaxInt64

// Numbers is what a repo knows of used sector numbers.
type Numbers struct {
	NextID        *uint64 // the last number used, in spite of its name; nil: never written
	Allocated     *bitfield.BitField
	Reserved      *bitfield.BitField // all reservations together
	Reservations  map[string]bitfield.BitField
	HighestSector *uint64           // of the records; nil: there is none
	Sectors       bitfield.BitField // numbers of the records
}

// KV is a key of the metadata with its value to be.
type KV struct {
	Key   string
	Value []byte
}

// Numbers reads what the repo knows of used numbers. A value that cannot be
// read is an error that names its key: to guess here is to use a number twice.
func (r *Repo) Numbers(ctx context.Context) (Numbers, error) {
	n := Numbers{Reservations: map[string]bitfield.BitField{}}
	var err error
	if n.NextID, err = r.counter(nextIDKey); err != nil {
		return Numbers{}, err
	}
	if n.Allocated, err = r.bits(allocatedKey); err != nil {
		return Numbers{}, err
	}
	if n.Reserved, err = r.bits(reservedKey); err != nil {
		return Numbers{}, err
	}
	err = r.each(ctx, util.BytesPrefix([]byte(reservedPrefix)), func(key, value []byte) error {
		b, err := decodeBits(string(key), value)
		n.Reservations[strings.TrimPrefix(string(key), reservedPrefix)] = b
		return err
	})
	if err != nil {
		return Numbers{}, err
	}
	var numbers []uint64
	err = r.Sectors(ctx, func(kv SectorKV) error {
		if kv.KeyErr == nil {
			numbers = append(numbers, kv.Number)
		}
		return nil
	})
	if err != nil {
		return Numbers{}, err
	}
	if n.Sectors, err = NumberSet(numbers); err != nil {
		return Numbers{}, err
	}
	if highest, ok := lastBit(n.Sectors); ok {
		n.HighestSector = &highest
	}
	return n, nil
}

func (r *Repo) counter(key string) (*uint64, error) {
	b, found, err := r.Get(key)
	if err != nil || !found {
		return nil, err
	}
	v, size := binary.Uvarint(b)
	if size != len(b) || size == 0 || v > maxNumber {
		return nil, badNumbers(key, fmt.Errorf("%x is no sector number", b))
	}
	return &v, nil
}

func (r *Repo) bits(key string) (*bitfield.BitField, error) {
	b, found, err := r.Get(key)
	if err != nil || !found {
		return nil, err
	}
	bits, err := decodeBits(key, b)
	return &bits, err
}

// decodeBits checks the whole field, so that no later use of it can fail.
func decodeBits(key string, value []byte) (bitfield.BitField, error) {
	var b bitfield.BitField
	in := bytes.NewReader(value)
	err := b.UnmarshalCBOR(in)
	if err == nil && in.Len() > 0 {
		err = fmt.Errorf("%d bytes follow it", in.Len())
	}
	if err == nil {
		_, err = b.Count()
	}
	if err != nil {
		return bitfield.BitField{}, badNumbers(key, err)
	}
	if last, ok := lastBit(b); ok && last > maxNumber {
		return bitfield.BitField{}, badNumbers(key, fmt.Errorf("number %d is above any sector's", last))
	}
	return b, nil
}

func badNumbers(key string, err error) error {
	return fault.Refuse("lotus-miner could not read it either: restore the repo from a backup",
		"the repo's %s cannot be read: %w", key, err)
}

// NumberSet makes the set of the given numbers, whose slice it takes over. A number
// may come twice, as that of a sector in both workspaces of a damocles does.
func NumberSet(numbers []uint64) (bitfield.BitField, error) {
	slices.Sort(numbers)
	runs, err := rle.RunsFromSlice(slices.Compact(numbers)) // which makes no set of one that comes twice
	if err != nil {
		return bitfield.BitField{}, err
	}
	return bitfield.NewFromIter(runs)
}

// lastBit returns the highest number of a set that was checked; false if the
// set is empty.
func lastBit(b bitfield.BitField) (uint64, bool) {
	last, err := b.Last()
	return last, err == nil
}

// Highest returns the highest number that the repo knows of in any way; false
// if it knows none.
func (n Numbers) Highest() (highest uint64, ok bool) {
	for _, v := range []*uint64{n.NextID, n.HighestSector} {
		if v != nil {
			highest, ok = max(highest, *v), true
		}
	}
	for _, b := range n.sets() {
		if v, some := lastBit(b); some {
			highest, ok = max(highest, v), true
		}
	}
	return highest, ok
}

func (n Numbers) sets() []bitfield.BitField {
	sets := n.reserved()
	if n.Allocated != nil {
		sets = append(sets, *n.Allocated)
	}
	return sets
}

func (n Numbers) reserved() []bitfield.BitField {
	var sets []bitfield.BitField
	if n.Reserved != nil {
		sets = append(sets, *n.Reserved)
	}
	for _, b := range n.Reservations {
		sets = append(sets, b)
	}
	return sets
}

// PlanRaise returns what to put so that lotus-miner gives no number up to last
// to a new sector, nor any that the repo knows of: the counter, and where the
// repo has allocated bits, which then decide alone, all bits up to there.
// Reservations stay as they are. gapsClosed counts the numbers that lotus-miner
// would have used without that: not allocated, not reserved, and of no sector
// in the repo or in sectors, the numbers of the other side.
func PlanRaise(n Numbers, last uint64, sectors bitfield.BitField) (puts []KV, gapsClosed uint64, err error) {
	if known, ok := n.Highest(); ok {
		last = max(last, known)
	}
	return n.plan(last, sectors)
}

// PlanLower is PlanRaise for a user who asked by name for a lower number. The
// counter becomes last, or floor if that is higher: the highest number of any
// sector on any side and on chain. Allocated bits above are cleared; there is
// no sector up there.
func PlanLower(n Numbers, last, floor uint64, sectors bitfield.BitField) (puts []KV, gapsClosed uint64, err error) {
	last = max(last, floor)
	if n.HighestSector != nil {
		last = max(last, *n.HighestSector)
	}
	if highest, ok := lastBit(sectors); ok {
		last = max(last, highest)
	}
	return n.plan(last, sectors)
}

// plan sets the counter to last, and allocated bits to 0 to last and no more.
func (n Numbers) plan(last uint64, sectors bitfield.BitField) (puts []KV, gapsClosed uint64, err error) {
	if last > maxNumber {
		return nil, 0, fault.BadUsage("give a number that a sector can have", "number %d is above any sector's", last)
	}
	if n.NextID == nil || *n.NextID != last {
		puts = append(puts, KV{nextIDKey, binary.AppendUvarint(nil, last)})
	}
	if n.Allocated == nil {
		return puts, 0, nil
	}
	full, err := bitfield.NewFromIter(&rle.RunSliceIterator{Runs: []rle.Run{{Val: true, Len: last + 1}}})
	if err != nil {
		return nil, 0, err
	}
	var was, will bytes.Buffer
	if err := errors.Join(n.Allocated.MarshalCBOR(&was), full.MarshalCBOR(&will)); err != nil {
		return nil, 0, fmt.Errorf("plan the allocated numbers: %w", err)
	}
	if !bytes.Equal(was.Bytes(), will.Bytes()) {
		puts = append(puts, KV{allocatedKey, will.Bytes()})
	}
	gaps := full
	for _, used := range append(n.sets(), n.Sectors, sectors) {
		if gaps, err = bitfield.SubtractBitField(gaps, used); err != nil {
			return nil, 0, fmt.Errorf("count the gaps in the numbers: %w", err)
		}
	}
	gapsClosed, err = gaps.Count()
	return puts, gapsClosed, err
}
