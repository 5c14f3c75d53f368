package damocles

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/filecoin-project/go-state-types/abi"
)

// MinerJSON returns a miner's section with all defaults filled in, as the struct
// of damocles v0.13 comes out of encoding/json: this is what GetMinerConfig
// answers. It is false where the file has no such section; of two the first
// counts. Amounts of FIL are numbers of attoFIL without quotes: damocles's type
// inherits that from big.Int.
func (c Config) MinerJSON(miner abi.ActorID) (json.RawMessage, bool, error) {
	root, flaws := readTOML(c.raw)
	if len(flaws) > 0 {
		return nil, false, fmt.Errorf("read %s: line %d: %s", c.Path, flaws[0].line, flaws[0].text)
	}
	for _, section := range root.tables("Miners") {
		id := uint64(0)
		if actor := section.find("Actor"); actor != nil {
			var err error
			if id, err = actor.natural(); err != nil {
				return nil, false, fmt.Errorf("read %s: line %d: Actor: %w", c.Path, actor.line, err)
			}
		}
		if abi.ActorID(id) != miner {
			continue
		}
		out, err := appendTable(nil, minerSchema(), section)
		if err != nil {
			return nil, false, fmt.Errorf("read %s: %w", c.Path, err)
		}
		return out, true, nil
	}
	return nil, false, nil
}

// appendTable writes a section; at is nil where the file has none.
func appendTable(out []byte, schema []configKey, at *tomlNode) ([]byte, error) {
	out = append(out, '{')
	for _, k := range schema {
		if k.gone != "" {
			continue
		}
		if out[len(out)-1] != '{' {
			out = append(out, ',')
		}
		out = append(strconv.AppendQuote(out, k.name), ':')
		var err error
		if out, err = appendKey(out, k, at.find(k.name)); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendKey(out []byte, k configKey, n *tomlNode) ([]byte, error) {
	if k.kind == kindTable {
		if n != nil && n.kind != tomlTable {
			return nil, fmt.Errorf("line %d: %s: %w", n.line, k.name, wrongKind("a section", n))
		}
		return appendTable(out, k.keys, n)
	}
	if n == nil {
		if k.value == "" {
			return append(out, "null"...), nil
		}
		n = defaultOf(k)
	}
	v, err := k.jsonOf(n)
	if err != nil {
		return nil, fmt.Errorf("line %d: %s: %w", n.line, k.name, err)
	}
	text, err := json.Marshal(v)
	return append(out, text...), err
}

// defaultOf reads the default of a key, which is written as in the file.
func defaultOf(k configKey) *tomlNode {
	root, _ := readTOML([]byte("value = " + k.value))
	return root.child("value")
}

// jsonOf returns what encoding/json is to marshal. The kinds are those of a
// miner's section.
func (k configKey) jsonOf(n *tomlNode) (any, error) {
	switch k.kind {
	case kindBool:
		return n.boolean()
	case kindInt:
		return n.whole()
	case kindUint, kindActor:
		return n.natural()
	case kindFloat:
		return n.float()
	case kindDuration:
		d, err := n.duration()
		return d.String(), err
	case kindFIL:
		amount, _, err := n.fil()
		if amount == nil {
			return nil, err
		}
		return amount, err
	case kindAddress:
		return n.address()
	case kindAddresses:
		return addressesOf(n)
	default:
		return n.string()
	}
}

func addressesOf(n *tomlNode) ([]string, error) {
	if n.kind != tomlArray {
		return nil, wrongKind("a list", n)
	}
	out := []string{}
	for _, item := range n.list {
		a, err := item.address()
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}
