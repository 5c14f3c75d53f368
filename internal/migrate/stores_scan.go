package migrate

import (
	"os"
	"path/filepath"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
)

// StoreScans returns what says whether damocles looks for a sectorstore.json in a
// directory, because one of the patterns in ScanPersistStores matches it.
func StoreScans(cfg damocles.Config) func(dir string) (bool, error) {
	return func(dir string) (bool, error) {
		info, err := os.Stat(dir)
		if err != nil {
			return false, err
		}
		for _, pattern := range cfg.Common.ScanPersistStores {
			matches, err := filepath.Glob(pattern)
			if err != nil {
				return false, fault.New("correct the pattern", "%s: ScanPersistStores: %q: %w", cfg.Path, pattern, err)
			}
			for _, match := range matches {
				if fi, err := os.Stat(match); err == nil && os.SameFile(fi, info) {
					return true, nil
				}
			}
		}
		return false, nil
	}
}

// ListedStores are the stores that a running damocles-manager has named.
func ListedStores(infos []damocles.StoreInfo) []HomeStore {
	var out []HomeStore
	for _, info := range infos {
		out = append(out, HomeStore{StoreConfig: damocles.StoreConfig{
			Name: info.Name, Path: info.Path, Strict: info.Strict, ReadOnly: info.ReadOnly, Weight: info.Weight,
		}})
	}
	return out
}
