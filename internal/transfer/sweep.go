package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// isOurs says whether a name in a fetching directory is one of this package's.
func isOurs(name string) bool { return strings.HasPrefix(name, stagePrefix) }

// sweep removes what interrupted runs have left at the target, but for copies
// that this run can go on with.
func (r *run) sweep() error {
	if err := r.FS.Sweep(r.Target, ManifestName); err != nil {
		return fmt.Errorf("remove leftovers: %w", err)
	}
	if err := r.sweepProbes(r.Target); err != nil {
		return fmt.Errorf("remove leftovers: %w", err)
	}
	for _, kind := range sector.FileKinds() {
		dir := filepath.Join(r.Target, kind.String(), store.FetchingName)
		if err := r.sweepDir(dir); err != nil {
			return fmt.Errorf("remove leftovers: %w", err)
		}
	}
	return nil
}

func (r *run) sweepProbes(dir string) error {
	probes, err := filepath.Glob(filepath.Join(escapeGlob(dir), durable.ProbePrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range probes {
		if err := r.FS.Drop(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func escapeGlob(path string) string { return globEscaper.Replace(path) }

func (r *run) sweepDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.copier.sweepStates(dir); err != nil {
		return err
	}
	for _, e := range entries {
		if !isOurs(e.Name()) || strings.HasSuffix(e.Name(), stateSuffix) {
			continue
		}
		r.opened.fetching = append(r.opened.fetching, dir)
		path := filepath.Join(dir, e.Name())
		if err := r.sweepName(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := os.Lstat(path); err == nil {
			r.kept[path] = true
		}
	}
	return nil
}

// sweepName removes a staged object, unless a copy can be gone on with.
func (r *run) sweepName(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(filepath.Base(path), stagePrefix)
	_, known := sector.ParseFileName(name)
	final := filepath.Join(filepath.Dir(filepath.Dir(path)), name)
	if _, err := os.Lstat(final); err == nil && !info.IsDir() {
		known = false // it has arrived
	}
	if !info.IsDir() {
		if _, ok := readState(path); ok && known {
			return nil
		}
		if err := r.copier.removeState(path); err != nil {
			return err
		}
		return r.FS.Drop(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if _, ok := readState(filepath.Join(path, e.Name())); ok && known {
			return nil
		}
		names = append(names, e.Name())
	}
	_, err = r.FS.RemoveFiles(path, names)
	return err
}

// tidy removes the fetching directories that are empty. Lotus makes its own
// again when it needs it.
func (r *run) tidy() error {
	for _, dir := range r.opened.fetching {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			continue // a link is not ours
		}
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) || len(entries) > 0 {
			continue
		}
		if err == nil {
			_, err = r.FS.RemoveFiles(dir, nil)
		}
		if err != nil {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
	}
	return nil
}
