package damocles

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"damocles-manager/internal/fault"
)

const (
	// maxRecords and maxBytes bound one portion, and with it the memory it
	// takes: Badger holds it whole, and up to three times over while writing it.
	maxRecords = 4000
	maxBytes   = 4 << 20
)

// Change is one record of a collection, before and after. nil means that there
// is no such record.
type Change struct {
	Store  string
	Key    string
	Before []byte
	After  []byte
}

// Apply writes the changes in their order, in portions of at most 4,000 records
// of one collection, and reads each back. So states come first, and the index
// and the number after them, if the caller says so.
//
// A portion is one transaction, written whole or not at all. A MongoDB that is
// neither a replica set nor a sharded cluster has no transactions: there, each
// record is written whole or not at all, and an error, or a change by another at
// the same moment, can leave a portion half written. Who journals the changes
// first can repeat the call or take it back.
//
// A record must hold Before when its turn comes; one that holds After already
// is left alone, so that an interrupted call can be repeated. Otherwise Apply
// ends with an error that names the key, and its portion is not written; the
// ones before it are. A cancelled ctx ends it between two portions.
func (h *Home) Apply(ctx context.Context, changes []Change) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if !h.write {
		return errors.New("write to the home: it was opened to read")
	}
	if e, ok := h.engine.(spacious); ok {
		if err := e.checkSpace(changes); err != nil {
			return err
		}
	}
	for len(changes) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := changes[0].Store
		if err := h.usable(name); err != nil {
			return err
		}
		if changes[0].Key == "" {
			return fmt.Errorf("write to %s: a record needs a key", h.engine.at(name))
		}
		n, err := h.applySome(ctx, name, portion(changes))
		if err != nil {
			return fmt.Errorf("write to %s: %w", h.engine.at(name), err)
		}
		changes = changes[n:]
	}
	return nil
}

// portion returns as many changes as are written at once, from the first on:
// those of one collection. A key's second change waits for the next portion, so
// that each can be read back.
func portion(changes []Change) []Change {
	seen := make(map[string]bool)
	size := 0
	for n, c := range changes {
		size += len(c.After)
		if n == maxRecords || c.Key == "" || c.Store != changes[0].Store || seen[c.Key] || (n > 0 && size > maxBytes) {
			return changes[:n]
		}
		seen[c.Key] = true
	}
	return changes
}

// applySome carries out a portion, or as much of it as the engine takes, and
// returns how many changes that were. What was begun goes on when ctx is
// cancelled: half of it, or unread, it would be of no use.
func (h *Home) applySome(ctx context.Context, collection string, changes []Change) (int, error) {
	ctx = context.WithoutCancel(ctx)
	n, err := h.engine.commit(ctx, collection, changes)
	if err != nil {
		return 0, err
	}
	return n, h.readBack(ctx, collection, changes[:n])
}

func (h *Home) readBack(ctx context.Context, collection string, changes []Change) error {
	after := make(map[string][]byte, len(changes))
	keys := make([]string, 0, len(changes))
	for _, c := range changes {
		after[c.Key] = c.After
		keys = append(keys, c.Key)
	}
	var differs error
	err := h.engine.find(ctx, collection, keys, func(key string, now []byte) {
		if differs == nil && !sameValue(now, after[key]) {
			differs = fmt.Errorf("read back: key %q does not hold what was written", key)
		}
	})
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	return differs
}

// against compares the change with what is there now: whether it is still to be
// written, or what is wrong.
func (c Change) against(now []byte) (todo bool, err error) {
	switch {
	case sameValue(now, c.After):
		return false, nil
	case sameValue(now, c.Before):
		return true, nil
	}
	return false, c.changed()
}

// changed says that a record is not as it was.
func (c Change) changed() error {
	return fault.New("repeat the command: it looks at the database again",
		"key %q no longer holds the value that it had when this was planned", c.Key)
}

// sameValue compares two values, of which nil is no record at all.
func sameValue(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}
