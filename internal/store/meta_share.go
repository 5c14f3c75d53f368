package store

import (
	"encoding/json"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// The weights that a store gets which has none. In lotus 0 is the weight of a
// path that should get nothing more; in damocles 0 counts as 1.
const (
	lotusWeight    = 10
	damoclesWeight = 1
)

// Shared says what damocles does with a store whose sectorstore.json lotus is to
// read as well.
type Shared struct {
	// Dir is the store's directory, Name what damocles calls it.
	Dir, Name string
	// Scanned says that damocles reads the file, because ScanPersistStores matches
	// the directory. Otherwise lotus alone reads it.
	Scanned bool
	// ReadOnly, Allow and Deny are those of the configuration. Where the store is
	// scanned the lists of the file count.
	ReadOnly    bool
	Allow, Deny []abi.ActorID
	// NewID makes an ID for a store that has none.
	NewID func() (string, error)
}

// Share returns the file that both systems read with the same meaning, and
// whether it differs from m. m is nil where there is no file; it is not changed
// itself. What stands in it stays: lotus's ID above all, damocles's name, and keys
// that nobody knows.
//
// What damocles calls read-only is for lotus a path that neither seals nor stores
// (CanSeal and CanStore false, shown as "Use: ReadOnly"): it proves from it and
// puts nothing new there. A CanStore that is in the file already is lotus's own
// and stays, even if it says something else; a note tells.
//
// Lists of miners are numbers to damocles and addresses to lotus, so a file with
// one cannot be read by both. Where lotus alone reads it the list is written as
// addresses; where damocles reads it, too, that is an error with the way out.
func (m *Meta) Share(s Shared) (out *Meta, changed bool, notes []sector.Note, err error) {
	if m == nil {
		out, err = s.fresh()
		return out, true, nil, err
	}
	out = m.clone()
	readOnly := s.ReadOnly
	if s.Scanned {
		d, err := m.forDamocles(s.Dir)
		if err != nil {
			return nil, false, nil, err
		}
		readOnly = readOnly || d.ReadOnly
		if d.Name == "" && d.ID == "" {
			out.set("Name", s.Name) // or a new ID would take its place
		}
	} else if err := out.writeMiners(s, m.Writer()); err != nil {
		return nil, false, nil, err
	}
	if err := out.complete(s, m.Writer(), readOnly); err != nil {
		return nil, false, nil, err
	}
	l, err := out.Lotus()
	if err != nil {
		return nil, false, nil, fault.New("correct that key; lotus-miner would not start with it", "%w", err)
	}
	return out, !out.equal(m), shareNotes(l, readOnly), nil
}

// fresh is the file of a store that has none, as lotus writes one.
func (s Shared) fresh() (*Meta, error) {
	id, err := s.NewID()
	if err != nil {
		return nil, err
	}
	m := &Meta{}
	m.set("ID", id)
	m.set("Weight", lotusWeight)
	m.set("CanSeal", false)
	m.set("CanStore", !s.ReadOnly)
	m.set("MaxStorage", 0)
	for _, key := range []string{"Groups", "AllowTo", "AllowTypes", "DenyTypes", "AllowMiners", "DenyMiners"} {
		m.set(key, nil)
	}
	return m, m.writeMiners(s, Nobody)
}

// forDamocles reads what damocles reads, and refuses what lotus could not read.
func (m *Meta) forDamocles(dir string) (DamoclesMeta, error) {
	for _, key := range []string{"AllowMiners", "DenyMiners"} {
		raw, ok := m.get(key)
		var items []json.RawMessage
		if ok && (json.Unmarshal(raw, &items) != nil || len(items) > 0) {
			return DamoclesMeta{}, fault.New("take the list out of the file and the directory out of ScanPersistStores; "+
				"give damocles the store as one of [[Common.PersistStores]] with Path = \""+dir+"\", its old Name and the list there; restart it, and run this again",
				"%s lists miners, which damocles reads as numbers and lotus as addresses: no list can be read by both", key)
		}
	}
	d, err := m.Damocles()
	if err != nil {
		return d, fault.New("correct that key; damocles-manager would not start with it", "%w", err)
	}
	return d, nil
}

// writeMiners writes the lists of miners as lotus reads them. Those of damocles's
// configuration go into a file that lotus has not written.
func (m *Meta) writeMiners(s Shared, writer Writer) error {
	for _, l := range []struct {
		key    string
		config []abi.ActorID
	}{{"AllowMiners", s.Allow}, {"DenyMiners", s.Deny}} {
		list, known := m.miners(l.key)
		if !known {
			return fault.New("write it as a list of addresses, as [\"t01000\"]", "%s is no list of miners", l.key)
		}
		if len(list) == 0 && (writer == Nobody || writer == ByDamocles) {
			list = l.config
		}
		if raw, _ := m.get(l.key); len(list) > 0 && !isTexts(raw) {
			m.set(l.key, lotusMiners(list))
		}
	}
	return nil
}

func isTexts(raw json.RawMessage) bool {
	var texts []string
	return json.Unmarshal(raw, &texts) == nil && texts != nil
}

// complete adds what lotus needs and the file lacks.
func (m *Meta) complete(s Shared, writer Writer, readOnly bool) error {
	var id string
	if raw, ok := m.get("ID"); ok && json.Unmarshal(raw, &id) != nil {
		return fault.New("write it as a text", "the ID is not a text")
	}
	if id == "" {
		id, err := s.NewID()
		if err != nil {
			return err
		}
		m.set("ID", id)
	}
	if !m.weighs(writer) {
		weight := lotusWeight
		if s.Scanned {
			weight = damoclesWeight // what it has counted as there
		}
		m.set("Weight", weight)
	}
	for _, f := range []struct {
		key   string
		value any
	}{{"CanSeal", false}, {"CanStore", !readOnly}, {"MaxStorage", 0}} {
		if _, ok := m.get(f.key); !ok {
			m.set(f.key, f.value)
		}
	}
	return nil
}

// weighs says whether the file's weight is one for lotus, too: 0 is, if lotus
// has written it.
func (m *Meta) weighs(writer Writer) bool {
	raw, ok := m.get("Weight")
	if !ok || string(raw) == "null" {
		return false
	}
	return string(raw) != "0" || writer == ByLotus || writer == ByBoth
}

func shareNotes(l LotusMeta, readOnly bool) []sector.Note {
	switch {
	case !l.CanStore && !readOnly:
		return []sector.Note{{Code: "lotus-read-only", Text: "its sectorstore.json has CanStore false: lotus-miner proves from it and stores nothing new there"}}
	case l.CanStore && readOnly:
		return []sector.Note{{Code: "damocles-read-only", Text: "it is read-only in damocles, but its sectorstore.json has CanStore true: lotus-miner stores new sectors there"}}
	}
	return nil
}

func (m *Meta) equal(other *Meta) bool {
	if len(m.fields) != len(other.fields) {
		return false
	}
	for i, f := range m.fields {
		if f.key != other.fields[i].key || string(f.value) != string(other.fields[i].value) {
			return false
		}
	}
	return true
}
