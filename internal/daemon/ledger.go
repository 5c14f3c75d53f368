package daemon

import (
	"context"

	"damocles-manager/internal/migrate"
)

// maxLedger is how many changes a journal takes before the next one is begun.
const maxLedger = 50_000

// ledger journals what is replaced or deleted, with the value before, so that
// `import rollback --backup` can take it back. A journal is undone run by run, the
// newest first, and each run in its own order; so a key stands in a run once only.
type ledger struct {
	home *migrate.Home
	run  map[string]bool // the keys of this run
	size int             // of the journal
}

// record returns when the changes are on disk in the journal.
func (l *ledger) record(changes []migrate.Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := l.turn(changes); err != nil {
		return err
	}
	for _, c := range changes {
		l.run[c.Store+"\x00"+c.Key] = true
	}
	l.size += len(changes)
	if err := l.home.Record(changes); err != nil {
		// What follows half a line is taken for no journal: the next one begins by
		// cutting that off. What Abandon says is the same again.
		l.run = nil
		_ = l.home.Abandon()
		return err
	}
	return nil
}

// turn begins a new run, or a new journal, where it is time for one.
func (l *ledger) turn(changes []migrate.Change) error {
	if l.size+len(changes) > maxLedger {
		if err := l.end(); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if l.run[c.Store+"\x00"+c.Key] {
			l.run = nil
			if err := l.home.Abandon(); err != nil {
				return err
			}
			break
		}
	}
	if l.run == nil {
		l.run = map[string]bool{}
	}
	return nil
}

// end ends the journal, also one that a daemon left open which was killed.
func (l *ledger) end() error {
	l.run, l.size = nil, 0
	_, err := l.home.Finish(context.Background(), nil)
	return err
}
