package sector

import (
	"fmt"
	"math/big"
	"sort"
	"strconv"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

// ID names a sector on its network: a miner actor and the sector's number.
type ID struct {
	Miner  abi.ActorID
	Number abi.SectorNumber
}

// String gives the name that sector files have everywhere, as s-t01000-16.
func (id ID) String() string {
	return "s-t0" + strconv.FormatUint(uint64(id.Miner), 10) + "-" + strconv.FormatUint(uint64(id.Number), 10)
}

// MinerString writes a miner the way damocles prints it on every network, as f01000.
func MinerString(miner abi.ActorID) string {
	return "f0" + strconv.FormatUint(uint64(miner), 10)
}

// ParseMiner reads a miner as users write it: t01000, f01000 or 1000.
func ParseMiner(s string) (abi.ActorID, error) {
	const hint = "write the miner as t01000, f01000 or 1000"
	if s == "" {
		return 0, fault.BadUsage(hint, "no miner given")
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		return abi.ActorID(n), nil
	}
	addr, err := address.NewFromString(s)
	if err != nil {
		return 0, fault.BadUsage(hint, "%q is not a miner address: %w", s, err)
	}
	id, err := address.IDFromAddress(addr)
	if err != nil {
		return 0, fault.BadUsage(hint, "%q is not the ID address of a miner", s)
	}
	return abi.ActorID(id), nil
}

// ParseNumber reads one sector number.
func ParseNumber(s string) (abi.SectorNumber, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil || n > abi.MaxSectorNumber {
		return 0, fault.BadUsage(fmt.Sprintf("write a number from 0 to %d", uint64(abi.MaxSectorNumber)),
			"%q is not a sector number", s)
	}
	return abi.SectorNumber(n), nil
}

// Numbers is a selection of sector numbers: ranges, ends included, in rising
// order and without overlap. The zero value selects every sector.
type Numbers struct {
	ranges []numberRange
}

type numberRange struct{ first, last abi.SectorNumber }

// ParseNumbers reads what --numbers takes, each part as 5 or 10-20, parts
// separated by commas, the flag given any number of times.
func ParseNumbers(flags []string) (Numbers, error) {
	var out Numbers
	for _, flag := range flags {
		for part := range strings.SplitSeq(flag, ",") {
			r, err := parseRange(part)
			if err != nil {
				return Numbers{}, err
			}
			out.ranges = append(out.ranges, r)
		}
	}
	out.normalize()
	return out, nil
}

func parseRange(s string) (numberRange, error) {
	first, last, isRange := strings.Cut(s, "-")
	lo, err := ParseNumber(first)
	if err != nil {
		return numberRange{}, fault.BadUsage("write --numbers as 5, as 1,2,7 or as 10-20", "--numbers %q: %w", s, err)
	}
	if !isRange {
		return numberRange{lo, lo}, nil
	}
	hi, err := ParseNumber(last)
	if err != nil {
		return numberRange{}, fault.BadUsage("write --numbers as 5, as 1,2,7 or as 10-20", "--numbers %q: %w", s, err)
	}
	if hi < lo {
		return numberRange{}, fault.BadUsage("write the smaller number first", "--numbers %q: the range is empty", s)
	}
	return numberRange{lo, hi}, nil
}

func (n *Numbers) normalize() {
	sort.Slice(n.ranges, func(i, j int) bool { return n.ranges[i].first < n.ranges[j].first })
	var merged []numberRange
	for _, r := range n.ranges {
		if k := len(merged) - 1; k >= 0 && (r.first <= merged[k].last || r.first == merged[k].last+1) {
			merged[k].last = max(merged[k].last, r.last)
			continue
		}
		merged = append(merged, r)
	}
	n.ranges = merged
}

// All says that no selection was made.
func (n Numbers) All() bool { return len(n.ranges) == 0 }

// Has says whether the selection takes the number.
func (n Numbers) Has(number abi.SectorNumber) bool {
	if n.All() {
		return true
	}
	i := sort.Search(len(n.ranges), func(i int) bool { return n.ranges[i].last >= number })
	return i < len(n.ranges) && n.ranges[i].first <= number
}

// Count returns how many numbers the selection holds; a range may be as wide
// as all numbers there are.
func (n Numbers) Count() *big.Int {
	total := new(big.Int)
	for _, r := range n.ranges {
		total.Add(total, new(big.Int).SetUint64(uint64(r.last-r.first)))
		total.Add(total, big.NewInt(1))
	}
	return total
}

// Missing lists, as ranges in rising order, what the selection asks for and
// seen does not have. seen must be sorted.
func (n Numbers) Missing(seen []abi.SectorNumber) []string {
	var out []string
	for _, r := range n.ranges {
		next := r.first
		i := sort.Search(len(seen), func(i int) bool { return seen[i] >= r.first })
		for ; i < len(seen) && seen[i] <= r.last; i++ {
			if seen[i] > next {
				out = append(out, formatRange(next, seen[i]-1))
			}
			next = seen[i] + 1
		}
		if next <= r.last {
			out = append(out, formatRange(next, r.last))
		}
	}
	return out
}

func formatRange(first, last abi.SectorNumber) string {
	if first == last {
		return first.String()
	}
	return first.String() + "-" + last.String()
}
