package damocles

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// memoryEngine keeps the collections in memory.
type memoryEngine struct {
	mu   sync.Mutex // of data
	data map[string]map[string][]byte
}

var _ engine = (*memoryEngine)(nil)

// NewMemoryHome returns an empty home that is kept in memory and open for
// writing, for tests and demonstrations: it is gone with the process.
func NewMemoryHome() *Home {
	return &Home{engine: &memoryEngine{data: make(map[string]map[string][]byte)}, write: true}
}

func (m *memoryEngine) at(collection string) string {
	return "the collection " + collection + " in memory"
}

func (m *memoryEngine) close() error { return nil }

func (m *memoryEngine) find(_ context.Context, collection string, keys []string, fn func(string, []byte)) error {
	for _, key := range keys {
		m.mu.Lock()
		value := m.data[collection][key]
		m.mu.Unlock()
		fn(key, bytes.Clone(value)) // so that nobody can change what is kept
	}
	return nil
}

// each goes on over what was there at its start: values are replaced, and never
// changed.
func (m *memoryEngine) each(ctx context.Context, collection, prefix string, values bool, fn func(record) error) error {
	m.mu.Lock()
	all := maps.Clone(m.data[collection])
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r := record{key: key}
		if values {
			r.value = bytes.Clone(all[key])
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// commit takes all changes or none.
func (m *memoryEngine) commit(_ context.Context, collection string, changes []Change) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		if _, err := c.against(m.data[collection][c.Key]); err != nil {
			return 0, err
		}
	}
	if m.data[collection] == nil {
		m.data[collection] = make(map[string][]byte)
	}
	for _, c := range changes {
		if c.After == nil {
			delete(m.data[collection], c.Key)
		} else {
			m.data[collection][c.Key] = append([]byte{}, c.After...)
		}
	}
	return len(changes), nil
}
