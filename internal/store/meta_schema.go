package store

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

// LotusMeta is what lotus reads of a sectorstore.json. Weights count among the
// stores of one lotus-miner; sizes are in bytes, 0 for no limit.
type LotusMeta struct {
	ID         string
	Weight     uint64
	CanSeal    bool
	CanStore   bool
	MaxStorage uint64
	Groups     []string
	AllowTo    []string
	AllowTypes []string
	DenyTypes  []string
	// AllowMiners and DenyMiners are addresses, as "t01000".
	AllowMiners []string
	DenyMiners  []string
}

// DamoclesMeta is what damocles reads of it, where ScanPersistStores matches the
// directory. It overwrites Path with that directory.
type DamoclesMeta struct {
	ID, Name, Path   string
	Meta             map[string]string
	Strict, ReadOnly bool
	// Weight 0 counts as 1.
	Weight uint
	// AllowMiners and DenyMiners are numbers, as 1000.
	AllowMiners, DenyMiners []abi.ActorID
	Plugin, PluginName      string
}

// StoreName is the name that damocles gives a store that it found in dir.
func (d DamoclesMeta) StoreName(dir string) string {
	for _, name := range []string{d.Name, d.ID} {
		if name != "" {
			return name
		}
	}
	return dir
}

// Lotus decodes the file as lotus does, and refuses what lotus refuses.
func (m *Meta) Lotus() (LotusMeta, error) {
	var out LotusMeta
	if err := m.decode(&out); err != nil {
		return out, fmt.Errorf("lotus cannot read it: %w", err)
	}
	return out, nil
}

// Damocles decodes the file as damocles does, and refuses what it refuses.
func (m *Meta) Damocles() (DamoclesMeta, error) {
	var out DamoclesMeta
	if err := m.decode(&out); err != nil {
		return out, fmt.Errorf("damocles cannot read it: %w", err)
	}
	return out, nil
}

func (m *Meta) decode(v any) error {
	raw, err := m.Encode()
	if err != nil {
		return err
	}
	return fault.JSON(json.Unmarshal(raw, v))
}

// Writer is the system whose program wrote a sectorstore.json.
type Writer string

// The writers. Nobody stands for a file without any key that tells.
const (
	Nobody     Writer = ""
	ByLotus    Writer = "lotus"
	ByDamocles Writer = "damocles"
	ByBoth     Writer = "both"
)

// Keys that one system alone has.
var (
	lotusKeys    = []string{"CanSeal", "CanStore", "MaxStorage", "Groups", "AllowTo", "AllowTypes", "DenyTypes"}
	damoclesKeys = []string{"Name", "Path", "Meta", "Strict", "ReadOnly", "Plugin", "PluginName"}
)

// Writer tells by the keys whose file it is.
func (m *Meta) Writer() Writer {
	lotus, damocles := m.hasAny(lotusKeys), m.hasAny(damoclesKeys)
	switch {
	case lotus && damocles:
		return ByBoth
	case lotus:
		return ByLotus
	case damocles:
		return ByDamocles
	default:
		return Nobody
	}
}

func (m *Meta) hasAny(keys []string) bool {
	for _, key := range keys {
		if _, ok := m.get(key); ok {
			return true
		}
	}
	return false
}

// miners reads a list of miners in either spelling: numbers, or addresses. known
// is false for any other content.
func (m *Meta) miners(key string) (list []abi.ActorID, known bool) {
	raw, ok := m.get(key)
	if !ok {
		return nil, true
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, false
	}
	for _, item := range items {
		id, ok := parseMiner(item)
		if !ok {
			return nil, false
		}
		list = append(list, id)
	}
	return list, true
}

func parseMiner(item json.RawMessage) (abi.ActorID, bool) {
	var number abi.ActorID
	if err := json.Unmarshal(item, &number); err == nil && string(item) != "null" {
		return number, true
	}
	var text string
	if err := json.Unmarshal(item, &text); err != nil {
		return 0, false
	}
	return MinerNumber(text)
}

// MinerNumber reads a miner as lotus's lists have it, t01000 or f01000; false for
// anything else.
func MinerNumber(text string) (abi.ActorID, bool) {
	addr, err := address.NewFromString(strings.TrimSpace(text))
	if err != nil {
		return 0, false
	}
	id, err := address.IDFromAddress(addr)
	return abi.ActorID(id), err == nil
}

// lotusMiners writes a list as lotus wants it.
func lotusMiners(list []abi.ActorID) []string {
	out := make([]string, len(list))
	for i, id := range list {
		out[i] = fmt.Sprintf("t0%d", id)
	}
	return out
}
