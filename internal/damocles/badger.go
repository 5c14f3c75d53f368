package damocles

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v2"
	"github.com/dgraph-io/badger/v2/options"
	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// badgerOptions are damocles's own, as far as the files on disk go: synced
// writes, no compression, no encryption, values of 1 KiB and more in the value
// log. The rest bounds memory, which with damocles's options grows to 1.7 GB
// over a million sectors:
//   - files are read, not mapped: mapped pages count as ours, and a disk error
//     in one kills the process;
//   - tables of 8 MiB in place of 64, and two of them in memory in place of
//     five, because each is built and merged in memory. What is live stays
//     below 50 MB then; what the process takes above that is garbage, which its
//     memory limit bounds.
//
// Checksums are verified where Badger offers it: what is damaged must be
// reported, and not carried to another system.
//
// To close does not merge tables, which would be only for speed: what cannot be read just
// then, as on a disk that fails, Badger leaves out of the merged one, and deletes.
//
// The index is small, and asked for several keys of every sector: its blocks are
// kept, or each answer would be read and checked anew.
func badgerOptions(dir string, log badger.Logger) badger.Options {
	cache := int64(0)
	if filepath.Base(dir) == CollectionIndex {
		cache = 8 << 20
	}
	return badger.DefaultOptions(dir).
		WithBlockCacheSize(cache).
		WithTableLoadingMode(options.FileIO).
		WithValueLogLoadingMode(options.FileIO).
		WithMaxTableSize(8 << 20).
		WithNumMemtables(2).
		WithCompactL0OnClose(false).
		WithVerifyValueChecksum(true).
		WithChecksumVerificationMode(options.OnTableRead).
		WithLogger(log)
}

// badgerLog sends Badger's messages to our log. Errors stay visible, because
// Badger tries again for ever where it cannot write a table, on a full disk
// for one. It also picks up where a value log is torn, which Badger's error
// does not say.
type badgerLog struct {
	log  *slog.Logger
	torn *tornLog
}

var _ badger.Logger = (*badgerLog)(nil)

func (l *badgerLog) Errorf(format string, args ...any) {
	l.log.Warn("badger: " + firstLine(fmt.Sprintf(format, args...)))
}

func (l *badgerLog) Warningf(format string, args ...any) {
	if strings.HasPrefix(format, "Truncate Needed.") {
		l.torn = parseTorn(args)
	}
	l.Debugf(format, args...)
}

func (l *badgerLog) Infof(format string, args ...any) { l.Debugf(format, args...) }

func (l *badgerLog) Debugf(format string, args ...any) {
	l.log.Debug("badger: " + firstLine(fmt.Sprintf(format, args...)))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// openToRead opens a collection read-only, after a replay where it needs one;
// nil for one that is not there or holds nothing yet.
func (b *badgerEngine) openToRead(name, dir string) (*badger.DB, error) {
	is, err := b.look(name, dir, unix.LOCK_SH)
	if err != nil || is.empty {
		return nil, err
	}
	readOnly := func() (*badger.DB, error) {
		// The table in memory stays empty: a large one would only be cleared at each opening.
		return badger.Open(badgerOptions(dir, &badgerLog{log: b.opt.Log}).WithMaxTableSize(1 << 20).WithReadOnly(true))
	}
	if !is.leftovers {
		db, err := readOnly()
		if err == nil {
			return db, nil
		}
		if !failedWith(err, badger.ErrReplayNeeded) {
			return nil, openError(name, dir, err)
		}
	}
	if err := b.replay(name, dir); err != nil {
		return nil, err
	}
	db, err := readOnly()
	if err != nil {
		return nil, openError(name, dir, err)
	}
	return db, nil
}

// replay opens a collection once for writing, in which Badger brings its
// tables up to its value log, and closes it.
func (b *badgerEngine) replay(name, dir string) error {
	if err := durable.CheckOwner(dir); err != nil {
		return err
	}
	b.opt.Notice(fmt.Sprintf("the database %s in %s was not closed cleanly: replaying it, as damocles would at its next start",
		name, b.base))
	log := &badgerLog{log: b.opt.Log}
	db, err := b.openWritable(dir, badgerOptions(dir, log))
	if err == nil {
		return errors.Join(db.Close(), b.adopt(dir))
	}
	if log.torn == nil {
		return openError(name, dir, err)
	}
	if err := log.torn.mendable(); err != nil {
		return corruptError(name, dir, err)
	}
	return fault.Refuse("run the interrupted command again: it backs up and mends the database first",
		"the database %s in %s ends in an interrupted write", name, b.base)
}

// openToWrite opens a collection for writing, makes it where it is missing and
// mends it where its last write was interrupted.
func (b *badgerEngine) openToWrite(name, dir string) (*badger.DB, error) {
	if err := durable.CheckOwner(dir); err != nil {
		return nil, err
	}
	if err := b.opt.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the database %s: %w", name, err)
	}
	if _, err := b.look(name, dir, unix.LOCK_EX); err != nil {
		return nil, err
	}
	log := &badgerLog{log: b.opt.Log}
	db, err := b.openWritable(dir, badgerOptions(dir, log))
	if log.torn != nil {
		if err := b.mend(name, dir, log.torn); err != nil {
			return nil, err
		}
		db, err = b.openWritable(dir, badgerOptions(dir, &badgerLog{log: b.opt.Log}))
	}
	if err != nil {
		return nil, openError(name, dir, err)
	}
	return db, nil
}

// mend cuts an interrupted write off the end of a value log, after a backup.
func (b *badgerEngine) mend(name, dir string, torn *tornLog) error {
	if err := torn.mendable(); err != nil {
		return corruptError(name, dir, err)
	}
	backup, err := torn.backUp(b.opt.FS, filepath.Join(b.dir, "switching", "mended"), name)
	if err != nil {
		return err
	}
	db, err := b.openWritable(dir, badgerOptions(dir, &badgerLog{log: b.opt.Log}).WithTruncate(true))
	if err != nil {
		return openError(name, dir, err)
	}
	if err := errors.Join(db.Close(), b.adopt(dir)); err != nil {
		return fmt.Errorf("mend the database %s: %w", name, err)
	}
	b.opt.Notice(fmt.Sprintf("the database %s in %s ended in an interrupted write: it was cut off; %s is the file as it was",
		name, b.base, backup))
	return nil
}

// look examines a collection, under its lock so that nobody changes it meanwhile.
func (b *badgerEngine) look(name, dir string, how int) (condition, error) {
	lock, err := lockDir(dir, how)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return condition{empty: true}, nil
	case errors.Is(err, errHeld):
		return condition{}, heldError(name, dir)
	case err != nil:
		return condition{}, openError(name, dir, err)
	}
	defer lock.Close()
	found, err := examine(dir)
	if err != nil {
		return condition{}, openError(name, dir, err)
	}
	return found, nil
}

// openWritable opens with these options, and hands the files that Badger makes
// in that over to the directory's owner. Badger's own lock file is one of them:
// left behind by a kill, it would keep damocles from starting.
func (b *badgerEngine) openWritable(dir string, opt badger.Options) (*badger.DB, error) {
	db, err := badger.Open(opt)
	adopted := b.adopt(dir)
	switch {
	case err != nil:
		return nil, err // what matters more
	case adopted != nil:
		return nil, errors.Join(adopted, db.Close())
	}
	return db, nil
}

// adopt tries again where Badger, which merges tables in the background,
// removes a file while it is being handed over.
func (b *badgerEngine) adopt(dir string) error {
	err := b.opt.FS.Adopt(dir)
	for range 10 {
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		err = b.opt.FS.Adopt(dir)
	}
	return err
}

// failedWith compares by text, because Badger flattens some of its errors into
// text on their way up.
func failedWith(err, target error) bool {
	return err != nil && strings.Contains(err.Error(), target.Error())
}

// openError is for what does not open and is not mended.
func openError(name, dir string, err error) error {
	cause := rootCause(err)
	switch {
	case errors.Is(cause, unix.EWOULDBLOCK):
		return heldError(name, dir)
	case errors.Is(cause, fs.ErrPermission):
		return fault.New("run as the user who owns the home", "open the database %s in %s: %w", name, filepath.Dir(dir), cause)
	}
	return corruptError(name, dir, errors.New(firstLine(err.Error())))
}

func corruptError(name, dir string, err error) error {
	return fault.Refuse("nothing was changed; restore the home from a backup, or go through the daemon if it still runs on this home",
		"the database %s in %s cannot be used: %w", name, filepath.Dir(dir), err)
}

// rootCause unwraps the older kind of wrapping that Badger uses.
func rootCause(err error) error {
	for {
		wrapped, ok := err.(interface{ Cause() error })
		if !ok {
			return err
		}
		err = wrapped.Cause()
	}
}
