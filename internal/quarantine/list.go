package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/store"
)

// List calls fn with every entry of the stores, in the order of the stores and,
// in each, of the names, until fn returns an error, which is returned as it is.
// What cannot be read is given with its Err and stops nothing. A store that is
// named twice is looked at once.
func List(ctx context.Context, stores []store.Store, fn func(Entry) error) error {
	for _, s := range distinct(stores) {
		names, err := entryNames(s)
		if err != nil {
			if err := fn(Entry{Store: s, Err: err}); err != nil {
				return err
			}
			continue
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			e := load(s, name)
			if errors.Is(e.Err, fs.ErrNotExist) {
				continue // it has gone meanwhile
			}
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// distinct leaves out stores that are another one under a second path.
func distinct(stores []store.Store) []store.Store {
	var out []store.Store
	var seen []os.FileInfo
	for _, s := range stores {
		info, err := os.Stat(s.Dir)
		if err == nil && slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
			continue
		}
		if err == nil {
			seen = append(seen, info)
		}
		out = append(out, s)
	}
	return out
}

// entryNames lists what is in a store's quarantine, which need not exist.
func entryNames(s store.Store) ([]string, error) {
	if err := store.CheckDir(s.Dir); err != nil {
		return nil, fmt.Errorf("look into the quarantine: %w", err)
	}
	there, err := checkDir(s)
	if !there || err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(s.Dir, DirName))
	if err != nil {
		return nil, fmt.Errorf("look into the quarantine: %w", err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// checkDir refuses a quarantine that is no directory of the store itself.
func checkDir(s store.Store) (there bool, err error) {
	dir := filepath.Join(s.Dir, DirName)
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look into the quarantine: %w", err)
	case info.Mode()&fs.ModeSymlink != 0:
		return false, fault.Refuse("put a directory in its place", "%s is a symbolic link: what is moved there would leave the store", dir)
	case !info.IsDir():
		return false, fault.Refuse("move it away", "%s is no directory, and the quarantine has to be there", dir)
	}
	return true, nil
}
