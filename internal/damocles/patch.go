package damocles

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// member is one key of a JSON object, and where it stands in it: the key from
// start on, its value from value to end.
type member struct {
	key               string
	start, value, end int
}

var errNoObject = errors.New("it is no JSON object")

// members finds the keys of an object, so that one value can be changed and
// every other byte kept.
func members(raw []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errNoObject
	}
	var out []member
	for dec.More() {
		from := int(dec.InputOffset())
		m := member{start: from + len(raw[from:]) - len(bytes.TrimLeft(raw[from:], ", \t\r\n"))}
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m.key, _ = key.(string) // in an object, it is one
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		m.end = int(dec.InputOffset())
		m.value = m.end - len(value)
		out = append(out, m)
	}
	_, err := dec.Token()
	return out, err
}

// find returns the place of the key as encoding/json finds it: in any case, the
// last one of several; -1 where it is not there.
func find(ms []member, key string) int {
	for i := len(ms) - 1; i >= 0; i-- {
		if strings.EqualFold(ms[i].key, key) {
			return i
		}
	}
	return -1
}

// without returns the object without its i-th key.
func without(raw []byte, ms []member, i int) []byte {
	from, to := ms[i].start, ms[i].end
	switch {
	case i > 0:
		from = ms[i-1].end
	case len(ms) > 1:
		to = ms[1].start
	}
	return splice(raw, from, to, nil)
}

// splice returns raw with what stands from from to to replaced.
func splice(raw []byte, from, to int, with []byte) []byte {
	return slices.Concat(raw[:from], with, raw[to:])
}

// FinalizedState returns a state with Finalized set, as damocles writes it. A
// state that damocles would write otherwise than we do, as a newer one with
// keys that are not known here, keeps every other byte.
func FinalizedState(raw []byte) ([]byte, error) {
	state, err := DecodeState(raw)
	if err != nil {
		return nil, err
	}
	same, err := EncodeState(state)
	if err != nil {
		return nil, err
	}
	state.Finalized = true
	encoded, err := EncodeState(state)
	if err != nil || bytes.Equal(same, raw) {
		return encoded, err
	}
	patched, err := patchFinalized(raw)
	if err != nil {
		return nil, fmt.Errorf("set Finalized: %w", err)
	}
	if state, err = DecodeState(patched); err != nil {
		return nil, fmt.Errorf("set Finalized: %w", err)
	}
	if now, err := EncodeState(state); err != nil || !bytes.Equal(now, encoded) {
		return nil, errors.Join(errors.New("set Finalized: the state cannot be changed without changing more"), err)
	}
	return patched, nil
}

func patchFinalized(raw []byte) ([]byte, error) {
	ms, err := members(raw)
	if err != nil {
		return nil, err
	}
	if i := find(ms, "Finalized"); i >= 0 {
		return splice(raw, ms[i].value, ms[i].end, []byte("true")), nil
	}
	if len(ms) == 0 {
		return nil, errors.New("the state is empty")
	}
	return splice(raw, ms[0].start, ms[0].start, []byte(`"Finalized":true,`)), nil
}
