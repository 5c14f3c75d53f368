package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// File is the replica or the cache directory of a sector in a store.
type File struct {
	Store store.Store
	Kind  sector.FileKind
}

// Quarantine moves files into the quarantine, back, and away. It is safe for
// concurrent use, also by several processes: each change of a store's quarantine
// holds a lock on its directory.
type Quarantine struct {
	fs     durable.FS
	stores []store.Store
	now    func() time.Time
	log    *slog.Logger
}

// New makes a Quarantine of the stores, which are those that may be written to:
// it refuses to touch another one. now and log may be nil.
func New(fs durable.FS, stores []store.Store, now func() time.Time, log *slog.Logger) *Quarantine {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Quarantine{fs: fs, stores: stores, now: now, log: log}
}

func (q *Quarantine) knows(s store.Store) error {
	for _, known := range q.stores {
		if filepath.Clean(known.Dir) == filepath.Clean(s.Dir) {
			return nil
		}
	}
	return fault.Refuse("name a store of the configuration that is not read-only",
		"%s is none of the stores in which files may be moved", s.Dir)
}

// lockWait is how long a lock that another holds is waited for before it is
// tried again.
const lockWait = 20 * time.Millisecond

// lock keeps others out of a store's quarantine, which has to exist. A file
// system that knows no such lock goes without.
func lock(ctx context.Context, s store.Store) (unlock func(), err error) {
	dir := filepath.Join(s.Dir, DirName)
	if there, err := checkDir(s); err != nil || !there {
		return nil, cmp.Or(err, fmt.Errorf("there is no %s: %w", dir, fs.ErrNotExist))
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("lock the quarantine: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for the lock of %s: %w", dir, ctx.Err())
		case <-time.After(lockWait):
		}
	}
}

// who says in a manifest whose doing an entry is.
func who() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("damocles-manager as uid %d, process %d on %s", os.Geteuid(), os.Getpid(), host)
}

// reload reads an entry again under the lock.
func (q *Quarantine) reload(e Entry) (Entry, error) {
	if err := q.knows(e.Store); err != nil {
		return e, err
	}
	if e.Name == "" || e.Err != nil {
		return e, e.Err
	}
	now := load(e.Store, e.Name)
	if now.Err == nil && !now.Time.Equal(e.Time) {
		return e, fault.New("look at it again", "%s has changed meanwhile", e.Dir())
	}
	return now, now.Err
}

// dropEntry removes an entry's manifest and its directory. What else is in the
// directory keeps both, and is returned.
func (q *Quarantine) dropEntry(e *Entry) (left []string, err error) {
	if err := q.fs.Sweep(e.Dir(), manifestName); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(e.Dir())
	if err != nil {
		return nil, err
	}
	for _, f := range entries {
		if f.Name() != manifestName {
			left = append(left, filepath.Join(e.Dir(), f.Name()))
		}
	}
	if len(left) > 0 {
		return left, nil
	}
	if left, err = q.fs.RemoveFiles(e.Dir(), []string{manifestName}); err != nil {
		return nil, err
	}
	return left, q.fs.SyncDir(filepath.Dir(e.Dir()))
}
