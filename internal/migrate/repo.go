package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
)

// Repo is a lotus-miner repo: a source of an import and a target of an export.
// What is written into it is written whole or not at all.
type Repo struct {
	repo    *lotus.Repo
	dir     string
	miner   abi.ActorID
	fs      durable.FS
	now     func() time.Time
	journal recorder

	tx      *lotus.Tx
	changes int
}

var (
	_ ImportSource = (*Repo)(nil)
	_ ExportTarget = (*Repo)(nil)
)

// NewRepo wraps an open repo in dir. Backups and journals of command go to
// backups in it.
func NewRepo(repo *lotus.Repo, dir, command string, miner abi.ActorID, fs durable.FS) *Repo {
	return &Repo{
		repo: repo, dir: dir, miner: miner, fs: fs, now: time.Now,
		journal: recorder{
			fs: fs, dir: BackupDir(dir), now: time.Now,
			header: durable.Header{Command: command, Miner: sector.MinerString(miner), Target: dir},
		},
	}
}

// metadataStore is the name under which the repo's database stands in plans and
// journals.
const metadataStore = "metadata"

// BackupDir is where a repo keeps the backups and journals of what was written
// into it.
func BackupDir(repo string) string { return filepath.Join(repo, "backups") }

// Each streams the repo's sectors in the order of its keys.
func (r *Repo) Each(ctx context.Context, numbers sector.Numbers, fn func(Raw) error) error {
	return r.repo.Sectors(ctx, func(kv lotus.SectorKV) error {
		number := abi.SectorNumber(kv.Number)
		named := kv.KeyErr == nil
		switch {
		case !named && numbers.All(): // no selection takes what has no number
			return fn(Raw{Key: kv.Key, Err: kv.KeyErr})
		case !named || !numbers.Has(number):
			return nil
		}
		return fn(Raw{ID: sector.ID{Miner: r.miner, Number: number}, Value: bytes.Clone(kv.Raw)})
	})
}

// HighestNumber looks at the sectors, the counter, the bitfields and the reservations.
func (r *Repo) HighestNumber(ctx context.Context, _ abi.ActorID) (uint64, bool, error) {
	n, err := r.repo.Numbers(ctx)
	if err != nil {
		return 0, false, err
	}
	highest, known := n.Highest()
	return highest, known, nil
}

// Numbers returns all that the repo knows of sector numbers.
func (r *Repo) Numbers(ctx context.Context) (lotus.Numbers, error) { return r.repo.Numbers(ctx) }

// Holds reads the sector's record.
func (r *Repo) Holds(_ context.Context, id sector.ID) (Held, error) {
	raw, _, err := r.repo.Sector(uint64(id.Number))
	return Held{Offline: raw}, err
}

// BatchSize is small: the transaction itself holds no records in memory.
func (r *Repo) BatchSize() int { return 1000 }

// Write puts the steps into the transaction; Finish commits it.
func (r *Repo) Write(ctx context.Context, steps []*Step) error {
	for _, s := range steps {
		if err := r.put(ctx, s.Changes...); err != nil {
			return err
		}
	}
	return nil
}

// put makes the backup and opens the transaction at the first change.
func (r *Repo) put(ctx context.Context, changes ...Change) error {
	if r.tx == nil {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	if err := r.journal.record(changes...); err != nil {
		return err
	}
	for _, c := range changes {
		var err error
		if c.After == nil {
			err = r.tx.Delete(c.Key)
		} else {
			err = r.tx.Put(c.Key, c.After)
		}
		if err != nil {
			return fmt.Errorf("write %s into the repo: %w", c.Key, err)
		}
		r.changes++
	}
	return nil
}

func (r *Repo) begin(ctx context.Context) error {
	dir := BackupDir(r.dir)
	if err := r.fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of backups: %w", err)
	}
	if err := r.fs.Sweep(dir, lotus.BackupPattern); err != nil {
		return err
	}
	backup := filepath.Join(dir, lotus.BackupName(r.now().UTC()))
	if err := r.repo.Backup(ctx, backup, r.fs); err != nil {
		return fmt.Errorf("back the repo up: %w", err)
	}
	r.journal.header.Backup = backup
	tx, err := r.repo.Begin()
	if err != nil {
		return fmt.Errorf("begin to write into the repo: %w", err)
	}
	r.tx = tx
	return nil
}

// Finish commits the sectors and the numbers at once, and reads them back.
func (r *Repo) Finish(ctx context.Context, changes []Change) (Undo, error) {
	if len(changes) > 0 {
		if err := r.put(ctx, changes...); err != nil {
			return Undo{}, err
		}
	}
	if r.tx == nil {
		err := r.journal.end()
		return r.journal.undo(), err
	}
	if err := r.journal.sync(); err != nil {
		return Undo{}, err
	}
	if err := ctx.Err(); err != nil { // the last moment to turn back
		return Undo{}, err
	}
	tx := r.tx
	r.tx = nil
	if err := tx.Commit(); err != nil {
		return Undo{}, fmt.Errorf("write into the repo: %w", err)
	}
	undo := r.journal.undo()
	// From here on there is no turning back, only finishing.
	if err := r.readBack(context.WithoutCancel(ctx)); err != nil {
		return undo, err
	}
	return undo, r.journal.end()
}

// readBack holds the repo against the journal, which has the hash of every
// value that was to be written.
func (r *Repo) readBack(ctx context.Context) error {
	j, err := durable.OpenJournal(r.journal.path)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	left := r.changes // the newest run comes first; older ones are not this run's
	err = j.EachNewestRunFirst(ctx, func(e durable.Entry) error {
		if left == 0 {
			return errEnough
		}
		if e.Store == originsStore {
			return nil
		}
		left--
		have, _, err := r.repo.Get(e.Key)
		if err != nil {
			return fmt.Errorf("read back %s: %w", e.Key, err)
		}
		if !isAfter(have, e) {
			return fault.New("undo this run with `export rollback`, and check the disk",
				"the repo does not hold what was written for %s", e.Key)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

var errEnough = errors.New("enough")

// isAfter says whether a key holds what the entry says it was set to.
func isAfter(have []byte, e durable.Entry) bool {
	if e.After == nil || have == nil {
		return e.After == nil && have == nil
	}
	return durable.Sum(have) == *e.After
}

// isBefore says whether a key holds what it held before the entry.
func isBefore(have []byte, e durable.Entry) bool {
	return (have == nil) == (e.Before == nil) && bytes.Equal(have, e.Before)
}

// Abandon gives the transaction up: the repo stays as it was.
func (r *Repo) Abandon() error {
	if r.tx != nil {
		r.tx.Discard()
		r.tx = nil
	}
	return r.journal.abandon()
}
