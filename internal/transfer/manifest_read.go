package transfer

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// place is where the record of an object begins. A million sectors have two
// million of them, of 24 bytes each.
type place struct {
	number uint64
	object uint64 // the miner, and the kind in the last 8 bits
	offset int64
}

func placeOf(id sector.ID, kind sector.FileKind, offset int64) place {
	return place{number: uint64(id.Number), object: uint64(id.Miner)<<8 | uint64(kind), offset: offset}
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.number, q.number), cmp.Compare(p.object, q.object), cmp.Compare(p.offset, q.offset))
}

// load reads where each record is, and where the last whole one ends.
func (m *manifest) load() error {
	n := 0
	if err := m.lines(func(_ int64, line []byte) error {
		if isRecord(line) {
			n++
		}
		return nil
	}); err != nil {
		return err
	}
	m.index = make([]place, 0, n) // at once: growing would take it twice
	// A record counts when its last line is there.
	var last struct {
		offset int64
		lines  int // that have to follow
	}
	err := m.lines(func(offset int64, line []byte) error {
		if !isRecord(line) {
			last.lines--
			m.size = offset + int64(len(line)) + 1
			return nil
		}
		r, id, kind, err := parseRecord(line)
		if err != nil {
			return fmt.Errorf("byte %d: %w", offset, err)
		}
		last.offset, last.lines = offset, 0
		for _, e := range r.Files {
			if e.Sum != nil {
				last.lines++
			}
		}
		m.size = offset + int64(len(line)) + 1
		m.index = append(m.index, placeOf(id, kind, offset))
		return nil
	})
	if err != nil {
		return fault.New("move the manifest away: existing files are hashed again then", "manifest %s: %w", m.path, err)
	}
	if last.lines > 0 {
		m.size = last.offset
		m.index = m.index[:len(m.index)-1]
	}
	slices.SortFunc(m.index, place.compare)
	return nil
}

// lines calls yield for each whole line, without its end.
func (m *manifest) lines(yield func(offset int64, line []byte) error) error {
	in := bufio.NewReaderSize(io.NewSectionReader(m.f, 0, 1<<62), 256<<10)
	var offset int64
	var long []byte
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil // what is left of a torn line does not count
		}
		if err != nil {
			return fmt.Errorf("read the manifest %s: %w", m.path, err)
		}
		if len(long) > 0 {
			line = append(long, line...)
			long = nil
		}
		if err := yield(offset, line[:len(line)-1]); err != nil {
			return err
		}
		offset += int64(len(line))
	}
}

// isRecord tells our lines from the hashes, and from comments of others.
func isRecord(line []byte) bool { return bytes.HasPrefix(line, []byte(`# {"v":`)) }

func parseRecord(line []byte) (*record, sector.ID, sector.FileKind, error) {
	r := &record{}
	if err := json.Unmarshal(line[len("# "):], r); err != nil {
		return nil, sector.ID{}, 0, fault.JSON(err)
	}
	if r.V != 1 {
		return nil, sector.ID{}, 0, fmt.Errorf("version %d is not known", r.V)
	}
	id, kind, err := r.object()
	return r, id, kind, err
}

// find returns the last record of an object that was there when the manifest
// was opened; nil where there is none, or it cannot be read any more.
func (m *manifest) find(id sector.ID, kind sector.FileKind) *record {
	if m == nil {
		return nil
	}
	want := placeOf(id, kind, 0)
	past := want
	past.object++ // of this object, the last is the one before the next
	i := sort.Search(len(m.index), func(i int) bool { return m.index[i].compare(past) >= 0 }) - 1
	if i < 0 || m.index[i].number != want.number || m.index[i].object != want.object {
		return nil
	}
	in := bufio.NewReader(io.NewSectionReader(m.f, m.index[i].offset, 1<<62))
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil
	}
	r, gotID, gotKind, err := parseRecord(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil || gotID != id || gotKind != kind {
		return nil
	}
	return r
}
