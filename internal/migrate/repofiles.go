package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// ExportStoresCommand marks the journals of `export stores`.
const ExportStoresCommand = "export-stores"

// RollbackStoresCommand marks the journals of its undoing.
const RollbackStoresCommand = "rollback-stores"

// RepoFiles are the files by which a lotus-miner finds its storage paths: the
// repo's storage.json, and the sectorstore.json of each path. In plans and
// journals they stand under these names, with their paths as the keys.
type RepoFiles struct {
	dir     string
	fs      durable.FS
	journal recorder
}

var _ Store = (*RepoFiles)(nil)

// NewRepoFiles are the files of the repo in dir. Journals of command go to
// backups in it; they are the backup, too, as they hold each file as it was.
func NewRepoFiles(dir, command string, miner abi.ActorID, fs durable.FS) *RepoFiles {
	return &RepoFiles{dir: dir, fs: fs, journal: recorder{
		fs: fs, dir: BackupDir(dir), now: time.Now,
		header: durable.Header{Command: command, Miner: sector.MinerString(miner), Target: dir},
	}}
}

// isRepoFile says whether a journal's key is one of these files. A journal is a
// file that anybody may have changed, and an undo must not write elsewhere.
func (r *RepoFiles) isRepoFile(name, key string) bool {
	switch name {
	case lotus.StorageName:
		return key == lotus.StoragePath(r.dir)
	case store.MetaName:
		return filepath.IsAbs(key) && filepath.Base(key) == store.MetaName
	}
	return false
}

// Value reads a file, nil where it is not there.
func (r *RepoFiles) Value(_ context.Context, name, key string) ([]byte, error) {
	if !r.isRepoFile(name, key) {
		return nil, fault.Refuse("name the journal of an `export stores` into this repo", "the journal names %s %s, which is none of the repo's files", name, key)
	}
	return readFile(key)
}

// readFile reads a whole file; one that is not there is nil, an empty one is not.
func readFile(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if raw == nil {
		raw = []byte{}
	}
	return raw, err
}

// apply journals the changes, the last one first as an undo has to take them, and
// carries them out in their order.
func (r *RepoFiles) apply(ctx context.Context, changes []Change) error {
	for _, c := range slices.Backward(changes) {
		if err := r.journal.record(c); err != nil {
			return err
		}
	}
	if err := r.journal.sync(); err != nil {
		return err
	}
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeFile(r.fs, c); err != nil {
			return err
		}
	}
	return nil
}

// writeFile carries out the change of a file, if it still holds what the plan saw.
func writeFile(dfs durable.FS, c Change) error {
	have, err := readFile(c.Key)
	switch {
	case err != nil:
		return err
	case sameFile(have, c.After):
		return nil
	case !sameFile(have, c.Before):
		return fault.New("run this again", "%s was changed by somebody else meanwhile", c.Key)
	}
	if err := dfs.Sweep(filepath.Dir(c.Key), filepath.Base(c.Key)); err != nil {
		return err
	}
	if c.After == nil {
		err = dfs.Remove(c.Key)
	} else {
		err = dfs.Replace(c.Key, c.After)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", c.Key, err)
	}
	if have, err = readFile(c.Key); err == nil && !sameFile(have, c.After) {
		err = fault.New("check the disk, then run this again", "%s does not hold what was written", c.Key)
	}
	return err
}

func sameFile(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// finish ends the journal.
func (r *RepoFiles) finish() (Undo, error) {
	err := r.journal.end()
	return r.journal.undo(), err
}

// Undo writes the changes, journaled like any other.
func (r *RepoFiles) Undo(ctx context.Context, changes []Change) error { return r.apply(ctx, changes) }

// FinishUndo ends the journal.
func (r *RepoFiles) FinishUndo(context.Context) (Undo, error) { return r.finish() }

// AbandonUndo keeps what was undone, and the journal open.
func (r *RepoFiles) AbandonUndo() error { return r.journal.abandon() }

// Hold keeps the sectorstore.json of a path that storage.json goes on naming,
// because it was changed since: lotus-miner would not start without it.
func (r *RepoFiles) Hold(e durable.Entry, kept map[string]bool) (string, error) {
	if e.Store != store.MetaName || !kept[lotus.StoragePath(r.dir)] {
		return "", nil
	}
	storage, _, err := lotus.ReadStorage(r.dir)
	if err != nil {
		return "", err
	}
	dir, err := os.Stat(filepath.Dir(e.Key))
	if err != nil {
		return "", err
	}
	for _, path := range storage.Paths() {
		if fi, err := os.Stat(path); err == nil && os.SameFile(fi, dir) {
			return "storage.json, which has changed since, still names its directory", nil
		}
	}
	return "", nil
}

// IsStoresJournal says whether a journal is of files of stores and not of the
// repo's metadata. One holds changes of one kind only.
func IsStoresJournal(ctx context.Context, path string) (bool, error) {
	j, err := durable.OpenJournal(path)
	if err != nil {
		return false, err
	}
	return j.Header.Command == ExportStoresCommand || j.Header.Command == RollbackStoresCommand, ctx.Err()
}
