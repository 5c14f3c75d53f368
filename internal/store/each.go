package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// portion is how many entries of a directory are read at a time: one may hold
// a million.
const portion = 1024

// Entry is what stands in a type directory.
type Entry struct {
	Name string
	ID   sector.ID
	// Err says why the name is not that of a sector's file; ID is zero then.
	Err error
}

// Each calls fn with every entry of a type directory but FetchingName, in the
// directory's own order, until fn returns an error, which is returned as it is.
// A type directory that is not there has no entries. What an entry is, a file or
// a directory, is not looked at.
func (s Store) Each(ctx context.Context, kind sector.FileKind, fn func(Entry) error) error {
	return eachName(ctx, s.TypeDir(kind), func(name string) error {
		if name == FetchingName {
			return nil
		}
		e := Entry{Name: name}
		id, ok := sector.ParseFileName(name)
		if ok {
			e.ID = id
		} else {
			e.Err = fmt.Errorf("%q is not the name of a sector's file: want one as s-t01000-16", name)
		}
		return fn(e)
	})
}

// eachName calls fn with every name in a directory; none where it is missing.
func eachName(ctx context.Context, dir string, fn func(string) error) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return readError(err)
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(portion)
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readError(err)
		}
	}
}

func readError(err error) error {
	hint := "check that the disk is mounted and sound, then run the command again"
	if errors.Is(err, fs.ErrPermission) {
		hint = "run this as a user who may read it"
	}
	return fault.New(hint, "read the store: %w", err)
}
