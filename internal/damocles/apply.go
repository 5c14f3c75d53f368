package damocles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/dgraph-io/badger/v2"

	"damocles-manager/internal/fault"
)

const (
	// maxRecords and maxBytes bound one transaction, and with it the memory it
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

// Apply writes the changes in their order, in transactions of at most 4,000
// records of one collection, each of which is written whole or not at all, and
// reads each back. So states come first, and the index and the number after
// them, if the caller says so.
//
// A record must hold Before when its turn comes; one that holds After already
// is left alone, so that an interrupted call can be repeated. Otherwise Apply
// ends with an error that names the key, and its transaction is not written;
// the ones before it are. A cancelled ctx ends it between two transactions.
func (h *Home) Apply(ctx context.Context, changes []Change) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if !h.opt.Write {
		return errors.New("write to the home: it was opened to read")
	}
	if err := h.checkSpace(changes); err != nil {
		return err
	}
	for len(changes) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := h.applySome(changes)
		if err != nil {
			return fmt.Errorf("write to the database %s in %s: %w", changes[0].Store, h.base, err)
		}
		changes = changes[n:]
	}
	return nil
}

// checkSpace refuses to fill the disk, on which Badger would try to write its
// tables again for ever.
func (h *Home) checkSpace(changes []Change) error {
	const (
		tables    = 64 << 20 // for what Badger merges meanwhile
		perRecord = 256      // for the key, in the log and in up to two tables
	)
	need := uint64(tables)
	for _, c := range changes {
		need += perRecord + uint64(2*len(c.Key)+len(c.After))
	}
	free, known := freeSpace(h.base)
	if !known || free >= need {
		return nil
	}
	return fault.Refuse("make room on that disk and repeat the command",
		"no room in %s: %d MiB are needed and %d MiB free", h.base, need>>20, free>>20)
}

// applySome carries out one transaction and returns how many changes it took.
func (h *Home) applySome(changes []Change) (int, error) {
	name := changes[0].Store
	for i, c := range changes {
		if c.Store != name {
			changes = changes[:i]
			break
		}
	}
	db, err := h.db(name)
	if err != nil {
		return 0, err
	}
	n, err := h.commit(db, changes)
	if err != nil {
		return 0, err
	}
	if err := readBack(db, changes[:n]); err != nil {
		return 0, err
	}
	return n, h.adopt(filepath.Join(h.base, name))
}

func (h *Home) commit(db *badger.DB, changes []Change) (int, error) {
	// After a write that failed half way, Badger would put the next one in the
	// wrong place of its value log. Closing it cuts off what failed.
	if h.broken != nil {
		return 0, fmt.Errorf("an earlier write failed: %w", h.broken)
	}
	txn := db.NewTransaction(true)
	defer txn.Discard()
	n, err := fill(txn, changes)
	if err != nil {
		return 0, err
	}
	h.broken = txn.Commit()
	return n, h.broken
}

// fill puts into the transaction as many changes as it takes, from the first
// on, and returns how many that were. A key's second change waits for the next
// transaction, so that each can be read back.
func fill(txn *badger.Txn, changes []Change) (int, error) {
	seen := make(map[string]bool)
	size := 0
	for n, c := range changes {
		size += len(c.After)
		if n == maxRecords || seen[c.Key] || (n > 0 && size > maxBytes) {
			return n, nil
		}
		err := c.write(txn)
		if errors.Is(err, badger.ErrTxnTooBig) && n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		seen[c.Key] = true
	}
	return len(changes), nil
}

func (c Change) write(txn *badger.Txn) error {
	var done, expected bool
	err := lookUp(txn, c.Key, func(now []byte) {
		done, expected = sameValue(now, c.After), sameValue(now, c.Before)
	})
	switch {
	case err != nil || done:
		return err
	case !expected:
		return fault.New("repeat the command: it looks at the database again",
			"key %q no longer holds the value that it had when this was planned", c.Key)
	case c.After == nil:
		return txn.Delete([]byte(c.Key))
	default:
		return txn.Set([]byte(c.Key), c.After)
	}
}

// sameValue compares two values, of which nil is no record at all.
func sameValue(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

func readBack(db *badger.DB, changes []Change) error {
	return db.View(func(txn *badger.Txn) error {
		for _, c := range changes {
			var same bool
			err := lookUp(txn, c.Key, func(now []byte) { same = sameValue(now, c.After) })
			if err != nil {
				return fmt.Errorf("read back: %w", err)
			}
			if !same {
				return fmt.Errorf("read back: key %q does not hold what was written", c.Key)
			}
		}
		return nil
	})
}
