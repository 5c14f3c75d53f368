package damocles

import (
	"time"

	"github.com/dgraph-io/badger/v2"

	"damocles-manager/internal/fault"
)

// sinceChecked is for how long the tables count as readable where one key is not found:
// to read all of them for each key would take too long.
const sinceChecked = 10 * time.Second

const diskHint = "look at the disk and at the system's log; then repeat the command, or restore the home from a backup"

// whole says whether every table of a collection can be read, unless it was so less than
// recent ago. What is in one that cannot be read any more, as on a disk that fails while
// the home is open, Badger takes for not there, and says nothing: a walk would be short,
// and a record be written over as if it were new.
func (b *badgerEngine) whole(collection string, db *badger.DB, recent time.Duration) error {
	b.checking.Lock()
	defer b.checking.Unlock()
	if at, ok := b.checked[collection]; ok && time.Since(at) < recent {
		return nil
	}
	if err := trusting(db.VerifyChecksum); err != nil {
		return fault.New(diskHint, "a table of the database %s can no longer be read: %s", collection, firstLine(err.Error()))
	}
	b.checked[collection] = time.Now()
	return nil
}

// trusting runs a reading of Badger's, which takes the lengths within a table on trust,
// and panics over one that is damaged.
func trusting(read func() error) (err error) {
	defer func() {
		if damage := recover(); damage != nil {
			err = fault.New(diskHint, "the database is damaged: %v", damage)
		}
	}()
	return read()
}
