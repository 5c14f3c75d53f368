package damocles

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"damocles-manager/internal/fault"
)

// DecodeState reads a state as damocles itself does: keys in any case, unknown
// ones ignored, null for an undefined CID. A deal of which nothing is known but
// the two flags is none: damocles would panic at it. An error names the field.
func DecodeState(raw []byte) (*SectorState, error) {
	f := form{buf: raw, reading: true}
	s := new(SectorState)
	if f.state(s); f.bad || len(f.buf) > 0 {
		s = nil
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("decode sector state: %w", locate(raw, reflect.TypeFor[SectorState](), err))
		}
	}
	if s == nil {
		return nil, errors.New("decode sector state: it is null")
	}
	for i := range s.Pieces {
		if d := s.Pieces[i].DealInfo; d != nil && d.empty() {
			s.Pieces[i].DealInfo = nil
		}
	}
	return s, nil
}

// locate says where in raw the value is that cannot be read as a part of t. The
// errors of CIDs, addresses and amounts do not say it themselves.
func locate(raw []byte, t reflect.Type, err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("at byte %d: %w", syntax.Offset, err)
	}
	path := ""
	for {
		inner, ok := firstBad(raw, t)
		if !ok && path == "" {
			return fault.JSON(err)
		}
		if !ok {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(path, "."), fault.JSON(err))
		}
		path, raw, t, err = path+inner.step, inner.raw, inner.t, inner.err
	}
}

// jsonPart is a field of a struct or an item of a list, and the step that leads to it.
type jsonPart struct {
	step string
	raw  []byte
	t    reflect.Type
	err  error
}

func firstBad(raw []byte, t reflect.Type) (jsonPart, bool) {
	for _, p := range partsOf(raw, t) {
		if p.err = json.Unmarshal(p.raw, reflect.New(p.t).Interface()); p.err != nil {
			return p, true
		}
	}
	return jsonPart{}, false
}

func partsOf(raw []byte, t reflect.Type) []jsonPart {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return fieldsOf(raw, t)
	case reflect.Slice:
		return itemsOf(raw, t.Elem())
	default:
		return nil
	}
}

func fieldsOf(raw []byte, t reflect.Type) []jsonPart {
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return nil
	}
	var out []jsonPart
	for i := range t.NumField() {
		field := t.Field(i)
		for key, value := range values {
			if strings.EqualFold(key, field.Name) {
				out = append(out, jsonPart{step: "." + field.Name, raw: value, t: field.Type})
			}
		}
	}
	return out
}

func itemsOf(raw []byte, t reflect.Type) []jsonPart {
	var values []json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return nil
	}
	var out []jsonPart
	for i, value := range values {
		out = append(out, jsonPart{step: fmt.Sprintf("[%d]", i), raw: value, t: t})
	}
	return out
}
