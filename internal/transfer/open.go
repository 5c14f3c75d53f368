package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/store"
)

// open locks the target and makes its directories. It refuses a target that is
// the source under another name, and leaves nothing behind then. In a dry run
// it only reads the manifest.
func (r *run) open(s *survey) (err error) {
	if r.DryRun {
		r.manifest, err = readManifest(r.Target)
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.tidy(), r.manifest.close(), r.unmake())
		}
	}()
	if err := r.mkdir(r.Target); err != nil {
		return fault.New("name a directory on a disk that is mounted and that you may write to", "make the target: %w", err)
	}
	if r.manifest, err = openManifest(r.FS, r.Target); err != nil {
		return err
	}
	// First the directories that were there: a new one is nobody's other name.
	if err := r.probeAll(s); err != nil {
		return err
	}
	if err := r.sweep(); err != nil {
		return err
	}
	for _, dir := range s.to {
		if err := r.mkFetching(dir); err != nil {
			return fmt.Errorf("make the target's directories: %w", err)
		}
		if r.fresh[dir], err = holdsNothing(dir); err != nil {
			return err
		}
	}
	return nil
}

// holdsNothing says that a type directory has no sector yet. This run has it
// locked, so that none needs to be looked for: where another program puts one
// there meanwhile, it is found when ours is published, as nothing is replaced.
func holdsNothing(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return len(names) == 0 || len(names) == 1 && names[0] == store.FetchingName, nil
}

func (r *run) mkFetching(typeDir string) error {
	dir := filepath.Join(typeDir, store.FetchingName)
	r.opened.fetching = append(r.opened.fetching, dir)
	return r.mkdir(dir)
}

// unmake removes the directories that this run has made, where they are empty.
func (r *run) unmake() error {
	for i := len(r.opened.made) - 1; i >= 0; i-- {
		if _, err := r.FS.RemoveFiles(r.opened.made[i], nil); err != nil {
			return err
		}
	}
	return nil
}

// probeAll looks for each of the target's directories among those of the
// sources. Numbers of devices would not do: one directory can have two of them
// (NFS), and two can have one.
func (r *run) probeAll(s *survey) error {
	roots := map[string]bool{}
	for _, dir := range s.from {
		roots[filepath.Dir(dir)] = true
	}
	if err := r.probe(r.Target, keys(roots)); err != nil {
		return err
	}
	var at []string
	for _, dir := range s.from {
		at = append(at, filepath.Join(dir, store.FetchingName))
	}
	for _, dir := range s.to {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := r.mkFetching(dir); err != nil {
			return fmt.Errorf("make a place for the probe: %w", err)
		}
		if err := r.probe(filepath.Join(dir, store.FetchingName), at); err != nil {
			return err
		}
	}
	return nil
}

// probe makes a file in dir and refuses if it is in one of the others, too.
func (r *run) probe(dir string, others []string) (err error) {
	name, remove, err := r.FS.Probe(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	for _, other := range others {
		_, err := os.Lstat(filepath.Join(other, name))
		if err == nil {
			return fault.Refuse("choose another directory: nothing was changed",
				"%s and %s are one directory: the target is the source under another name", dir, other)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for the probe file: %w", err)
		}
	}
	return nil
}
