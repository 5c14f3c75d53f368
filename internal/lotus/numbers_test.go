package lotus

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-bitfield"
	rle "github.com/filecoin-project/go-bitfield/rle"
	cbg "github.com/whyrusleeping/cbor-gen"

	"damocles-manager/internal/fault"
)

func bitsOf(t testing.TB, numbers ...uint64) *bitfield.BitField {
	t.Helper()
	b, err := NumberSet(numbers)
	if err != nil {
		t.Fatal(err)
	}
	return &b
}

func span(from, to uint64) []uint64 {
	var all []uint64
	for i := from; i <= to; i++ {
		all = append(all, i)
	}
	return all
}

func number(n uint64) *uint64 { return &n }

// applied is what the puts leave: the counter, and the allocated numbers.
func applied(t *testing.T, puts []KV) (next *uint64, allocated []uint64) {
	t.Helper()
	for _, kv := range puts {
		switch kv.Key {
		case nextIDKey:
			v, size := binary.Uvarint(kv.Value)
			if size != len(kv.Value) {
				t.Errorf("counter: got %x", kv.Value)
			}
			next = &v
		case allocatedKey:
			b, err := decodeBits(kv.Key, kv.Value)
			if err != nil {
				t.Fatal(err)
			}
			if allocated, err = b.All(10000); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("put of %s", kv.Key)
		}
	}
	return next, allocated
}

func TestNumberSetOfNumbersThatComeTwice(t *testing.T) {
	b, err := NumberSet([]uint64{5, 3, 9, 3, 10, 9, 9})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.All(100); err != nil || !slices.Equal(got, []uint64{3, 5, 9, 10}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPlanRaise(t *testing.T) {
	none := *bitsOf(t)
	for _, test := range []struct {
		name    string
		n       Numbers
		last    uint64
		sectors bitfield.BitField
		next    *uint64
		alloc   []uint64
		gaps    uint64
	}{
		{"never sealed", Numbers{}, 122, none, number(122), nil, 0},
		{"zero", Numbers{}, 0, none, number(0), nil, 0},
		{"only a counter", Numbers{NextID: number(5)}, 10, none, number(10), nil, 0},
		{"never lower than the counter", Numbers{NextID: number(50)}, 10, none, nil, nil, 0},
		{"never lower than a sector", Numbers{HighestSector: number(31)}, 10, none, number(31), nil, 0},
		{"never lower than a reservation",
			Numbers{Reservations: map[string]bitfield.BitField{"x": *bitsOf(t, 40)}}, 10, none, number(40), nil, 0},
		{"never lower than an allocated one", Numbers{NextID: number(3), Allocated: bitsOf(t, span(0, 9)...)},
			4, none, number(9), nil, 0},
		{"as it is", Numbers{NextID: number(9), Allocated: bitsOf(t, span(0, 9)...)}, 9, none, nil, nil, 0},
		{"gaps", Numbers{NextID: number(9), Allocated: bitsOf(t, 0, 1, 5, 9), Reserved: bitsOf(t, 3),
			Sectors: *bitsOf(t, 0, 1, 4), HighestSector: number(4)},
			12, *bitsOf(t, 11, 12), number(12), span(0, 12), 5}, // 2 6 7 8 10
		{"an empty field counts as one", Numbers{Allocated: bitsOf(t)}, 2, none, number(2), span(0, 2), 3},
	} {
		puts, gaps, err := PlanRaise(test.n, test.last, test.sectors)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		next, alloc := applied(t, puts)
		if !samePointer(next, test.next) || !slices.Equal(alloc, test.alloc) || gaps != test.gaps {
			t.Errorf("%s: got %v, %v, %d gaps; want %v, %v, %d", test.name,
				pointee(next), alloc, gaps, pointee(test.next), test.alloc, test.gaps)
		}
	}
	if _, _, err := PlanRaise(Numbers{}, math.MaxInt64+1, none); fault.KindOf(err) != fault.Usage {
		t.Errorf("a number above all: got %v", err)
	}
	puts, gaps, err := PlanRaise(Numbers{Allocated: bitsOf(t, 7)}, math.MaxInt64, none)
	if len(puts) != 2 || gaps != math.MaxInt64 || err != nil {
		t.Errorf("the highest number: got %v, %d, %v", puts, gaps, err)
	}
}

func TestPlanLower(t *testing.T) {
	none := *bitsOf(t)
	n := Numbers{NextID: number(1000), Allocated: bitsOf(t, append(span(0, 30), 500, 1000)...),
		Reserved: bitsOf(t, 600), Sectors: *bitsOf(t, 0, 25), HighestSector: number(25)}
	for _, test := range []struct {
		name        string
		last, floor uint64
		sectors     bitfield.BitField
		want        uint64
	}{
		{"as asked", 40, 30, none, 40},
		{"not below the floor", 10, 35, none, 35},
		{"not below the repo's sectors", 10, 0, none, 25},
		{"not below the other side's", 10, 0, *bitsOf(t, 700), 700},
	} {
		puts, _, err := PlanLower(n, test.last, test.floor, test.sectors)
		if err != nil {
			t.Fatal(err)
		}
		next, alloc := applied(t, puts)
		if pointee(next) != int64(test.want) || !slices.Equal(alloc, span(0, test.want)) {
			t.Errorf("%s: got %v, %v", test.name, pointee(next), alloc)
		}
	}
}

func samePointer(a, b *uint64) bool { return pointee(a) == pointee(b) }

func pointee(p *uint64) int64 {
	if p == nil {
		return -1
	}
	return int64(*p)
}

func TestNumbersOfTheFixture(t *testing.T) {
	dir := copyRepo(t)
	w := openRepo(t, dir, Options{Write: true})
	n, err := w.Numbers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if highest, ok := n.Highest(); !ok || highest < 31 || pointee(n.HighestSector) != 31 || n.Allocated != nil {
		t.Errorf("got %+v, highest %d", n, highest)
	}
	tx, _ := w.Begin()
	for _, kv := range []KV{
		{nextIDKey, []byte{40}}, {allocatedKey, cborBits(t, span(0, 40))}, {reservedKey, cborBits(t, []uint64{50, 60})},
		{reservedPrefix + "a", cborBits(t, []uint64{50})}, {reservedPrefix + "b-c", cborBits(t, []uint64{60})},
	} {
		noError(t, tx.Put(kv.Key, kv.Value))
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n, err = w.Numbers(t.Context()); err != nil {
		t.Fatal(err)
	}
	highest, ok := n.Highest()
	count, _ := n.Sectors.Count()
	if !ok || highest != 60 || pointee(n.NextID) != 40 || len(n.Reservations) != 2 || count != 32 {
		t.Errorf("got %+v, highest %d", n, highest)
	}
	if _, some := (Numbers{}).Highest(); some {
		t.Error("no numbers have a highest")
	}
	for _, test := range []struct {
		key, value string
	}{
		{nextIDKey, ""}, {nextIDKey, "\x80"}, {nextIDKey, "\x01\x02"}, {nextIDKey, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{allocatedKey, ""}, {allocatedKey, "\x41"}, {allocatedKey, "\x41\x00"}, {allocatedKey, "\x41\x03"},
		{allocatedKey, "\x40\x00"}, {allocatedKey, "\xf6"}, {reservedKey, "\x59\xff\xff"}, {reservedPrefix + "x", "x"},
	} {
		tx, _ := w.Begin()
		old, found, _ := w.Get(test.key)
		noError(t, tx.Put(test.key, []byte(test.value)))
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		_, err := w.Numbers(t.Context())
		if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), test.key) || fault.HintOf(err) == "" {
			t.Errorf("%s = %x: got %v", test.key, test.value, err)
		}
		tx, _ = w.Begin()
		if found {
			noError(t, tx.Put(test.key, old))
		} else {
			noError(t, tx.Delete(test.key))
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

func cborBits(t *testing.T, numbers []uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := bitsOf(t, numbers...).MarshalCBOR(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Fields of the greatest size and of absurd runs must cost neither time nor memory.
func TestHostileBitfields(t *testing.T) {
	encode := func(rlePlus []byte) []byte {
		return append(cbg.CborEncodeMajorType(cbg.MajByteString, uint64(len(rlePlus))), rlePlus...)
	}
	huge, err := rle.EncodeRuns(&rle.RunSliceIterator{Runs: []rle.Run{
		{Val: true, Len: 1 << 40}, {Val: false, Len: 1 << 50}, {Val: true, Len: 1 << 60}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dense := bytes.Repeat([]byte{0xff}, bitfield.MaxEncodedSize)
	dense[0] = 0xfc
	overflow, err := rle.EncodeRuns(&rle.RunSliceIterator{Runs: []rle.Run{
		{Val: true, Len: math.MaxUint64}, {Val: false, Len: math.MaxUint64}, {Val: true, Len: 1}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	random := make([]byte, bitfield.MaxEncodedSize)
	r := rand.NewChaCha8([32]byte{})
	if _, err := r.Read(random); err != nil {
		t.Fatal(err)
	}
	random[0] &^= 3
	start := time.Now()
	for _, test := range []struct {
		name    string
		rlePlus []byte
		ok      bool
	}{
		{"huge runs", huge, true}, {"the most runs", dense, true}, {"overflow", overflow, false},
		{"too long", append(dense, 1), false},
	} {
		b, err := decodeBits(allocatedKey, encode(test.rlePlus))
		if (err == nil) != test.ok {
			t.Errorf("%s: got %v", test.name, err)
		}
		if err != nil {
			continue
		}
		n := Numbers{Allocated: &b, Reserved: &b, Reservations: map[string]bitfield.BitField{"x": b}}
		puts, gaps, err := PlanRaise(n, 5, b)
		if err != nil || len(puts) != 2 {
			t.Errorf("%s: got %d puts, %d gaps, %v", test.name, len(puts), gaps, err)
		}
		if test.name == "huge runs" && gaps != 1<<50 {
			t.Errorf("%s: got %d gaps", test.name, gaps)
		}
	}
	if b, err := decodeBits(allocatedKey, encode(random)); err == nil {
		if _, _, err := PlanRaise(Numbers{Allocated: &b}, 5, b); err != nil {
			t.Errorf("random: %v", err)
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzBits(f *testing.F) {
	f.Add([]byte("\x42\x94\xb4"), uint64(3))
	f.Add([]byte("\x40"), uint64(0))
	f.Fuzz(func(t *testing.T, value []byte, last uint64) {
		b, err := decodeBits(allocatedKey, value)
		if err != nil {
			return
		}
		last &= maxNumber
		n := Numbers{Allocated: &b}
		puts, gaps, err := PlanRaise(n, last, b)
		if err != nil {
			t.Fatal(err)
		}
		if known, ok := n.Highest(); ok {
			last = max(last, known)
		}
		count, err := b.Count()
		if err != nil || gaps+count != last+1 {
			t.Errorf("%x: %d gaps and %d set up to %d, %v (%d puts)", value, gaps, count, last, err, len(puts))
		}
	})
}
