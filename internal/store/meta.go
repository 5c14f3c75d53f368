package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"damocles-manager/internal/fault"
)

// MetaName is the file in the root of a store that says what the store is. lotus
// (and curio) and damocles have it under one name, each with a schema of its own.
const MetaName = "sectorstore.json"

// MetaPath is where the file is in a store's directory.
func MetaPath(dir string) string { return filepath.Join(dir, MetaName) }

// Meta is a sectorstore.json as it stands: every key in its order, the unknown
// ones included, so that what one system has written survives the other.
type Meta struct {
	fields []metaField
}

type metaField struct {
	key   string
	value json.RawMessage
}

// ReadMeta reads the file of the store in dir, and returns its bytes, too. Where
// there is none the error wraps fs.ErrNotExist.
func ReadMeta(dir string) (*Meta, []byte, error) {
	path := MetaPath(dir)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil, fault.New("run as a user who may read it", "%w", err)
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := ParseMeta(raw)
	if err != nil {
		return nil, raw, fault.New("correct the file; a program that reads it does not start with it", "%s: %w", path, err)
	}
	return m, raw, nil
}

// ParseMeta takes a file apart. It has to be one JSON object and nothing else.
func ParseMeta(raw []byte) (*Meta, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	open, err := dec.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	if open != json.Delim('{') {
		return nil, errors.New("it is JSON, but not an object")
	}
	m := &Meta{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		var f metaField
		f.key, _ = key.(string) // the decoder takes no other key
		if err := dec.Decode(&f.value); err != nil {
			return nil, notJSON(err)
		}
		m.fields = append(m.fields, f)
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return m, nil
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is not whole JSON: it ends too early")
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// Encode writes the file as lotus does: indented by two blanks, no newline at
// the end.
func (m *Meta) Encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range m.fields {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(f.key)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(f.value)
	}
	b.WriteByte('}')
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// get returns the value of a key. Both systems read with encoding/json, which
// does not tell upper case from lower, and lets the last one win.
func (m *Meta) get(key string) (json.RawMessage, bool) {
	for i := len(m.fields) - 1; i >= 0; i-- {
		if strings.EqualFold(m.fields[i].key, key) {
			return m.fields[i].value, true
		}
	}
	return nil, false
}

// set puts a value in the place where the key stands, else at the end.
func (m *Meta) set(key string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and lists of them
	}
	for i := len(m.fields) - 1; i >= 0; i-- {
		if strings.EqualFold(m.fields[i].key, key) {
			m.fields[i].value = raw
			return
		}
	}
	m.fields = append(m.fields, metaField{key, raw})
}

func (m *Meta) clone() *Meta { return &Meta{fields: append([]metaField(nil), m.fields...)} }
