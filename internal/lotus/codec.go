package lotus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"

	cbg "github.com/whyrusleeping/cbor-gen"
)

// encodedSize is room for a usual record, so that encoding seldom has to grow.
const encodedSize = 2 << 10

// Decode reads a sector as lotus does, from any version that wrote maps: keys in
// any order, unknown ones skipped, missing ones left zero, bytes after the map
// ignored. It takes what lotus takes and refuses what lotus refuses, because
// what lotus reads is what the sector is.
func Decode(raw []byte) (*SectorInfo, error) {
	// cbor-gen allocates what a header claims, up to 2 MiB, before it reads on.
	// After this look ahead no header can claim more than the input holds.
	if _, err := skipItem(raw, 0); err != nil {
		return nil, fmt.Errorf("decode sector: %w", err)
	}
	si := new(SectorInfo)
	if err := si.UnmarshalCBOR(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("decode sector: %w", err)
	}
	return si, nil
}

// Encode writes a sector as every lotus since v1.23 does.
func Encode(si *SectorInfo) ([]byte, error) {
	if si == nil {
		return nil, errors.New("encode sector: there is none")
	}
	buf := bytes.NewBuffer(make([]byte, 0, encodedSize))
	if err := si.MarshalCBOR(buf); err != nil {
		return nil, fmt.Errorf("encode sector %d: %w", si.SectorNumber, err)
	}
	return buf.Bytes(), nil
}

// WithState returns the record with another State and every other byte as it
// is: the order of its keys, keys that a newer lotus knows, and what follows.
func WithState(raw []byte, state string) ([]byte, error) {
	at, end, err := findState(raw)
	if err != nil {
		return nil, fmt.Errorf("change state of sector record: %w", err)
	}
	out := make([]byte, 0, len(raw)+len(state)+2)
	out = append(out, raw[:at]...)
	out = append(out, cbg.CborEncodeMajorType(cbg.MajTextString, uint64(len(state)))...)
	out = append(out, state...)
	return append(out, raw[end:]...), nil
}

// findState returns where the value of the top-level key State begins and ends.
// Two of them would leave open which one is meant, so they are refused.
func findState(raw []byte) (at, end int, err error) {
	err = eachPair(raw, func(key []byte, value, next int) error {
		if string(key) != "\x65State" {
			return nil
		}
		if at != 0 || raw[value]>>5 != cbg.MajTextString {
			return errors.New("its State is not one text")
		}
		at, end = value, next
		return nil
	})
	if err == nil && at == 0 {
		err = errors.New("it has no State")
	}
	return at, end, err
}

// eachPair calls fn for the pairs of the map that raw begins with: the key with its
// header, and where its value begins and ends.
func eachPair(raw []byte, fn func(key []byte, value, next int) error) error {
	major, pairs, off, err := readHeader(raw, 0)
	if err != nil {
		return err
	}
	if major != cbg.MajMap {
		return errors.New("not a CBOR map")
	}
	for ; pairs > 0; pairs-- {
		value, err := skipItem(raw, off)
		if err != nil {
			return err
		}
		next, err := skipItem(raw, value)
		if err != nil {
			return err
		}
		if err := fn(raw[off:value], value, next); err != nil {
			return err
		}
		off = next
	}
	return nil
}

// UnknownFields names the fields of a record that SectorInfo has no place for, as
// those of a newer lotus. The one that lotus itself gave up in v1.18 is none.
func UnknownFields(raw []byte) (names []string, err error) {
	known := reflect.TypeFor[SectorInfo]()
	err = eachPair(raw, func(key []byte, _, _ int) error {
		_, _, from, err := readHeader(key, 0)
		name := string(key[from:])
		if _, ok := known.FieldByName(name); !ok && name != "PreCommitInfo" {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// skipItem returns the offset behind the CBOR item at off. It neither allocates
// nor recurses, and fails where the item does not end within b.
func skipItem(b []byte, off int) (int, error) {
	for left := uint64(1); left > 0; left-- {
		major, n, next, err := readHeader(b, off)
		if err != nil {
			return 0, err
		}
		off = next
		rest := uint64(len(b) - off)
		switch major {
		case cbg.MajByteString, cbg.MajTextString:
			if n > rest {
				return 0, io.ErrUnexpectedEOF
			}
			off += int(n)
		case cbg.MajArray, cbg.MajMap:
			// Each entry takes a byte at least, which also keeps left from overflowing.
			if n > rest {
				return 0, io.ErrUnexpectedEOF
			}
			left += n
			if major == cbg.MajMap {
				left += n
			}
		case cbg.MajTag:
			left++
		}
	}
	return off, nil
}

// readHeader reads the head of the item at off: its major type, its argument and
// the offset of what follows. cbor-gen knows no indefinite lengths and wants the
// shortest form; the latter is left to it.
func readHeader(b []byte, off int) (major byte, n uint64, next int, err error) {
	if off >= len(b) {
		return 0, 0, 0, io.ErrUnexpectedEOF
	}
	major, low := b[off]>>5, b[off]&0x1f
	off++
	if low < 24 {
		return major, uint64(low), off, nil
	}
	if low > 27 {
		return 0, 0, 0, fmt.Errorf("unsupported CBOR header %#x", b[off-1])
	}
	size := 1 << (low - 24)
	if len(b)-off < size {
		return 0, 0, 0, io.ErrUnexpectedEOF
	}
	for _, c := range b[off : off+size] {
		n = n<<8 | uint64(c)
	}
	return major, n, off + size, nil
}
