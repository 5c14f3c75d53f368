package migrate

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/store"
)

// HomeStore is a store that a damocles home knows.
type HomeStore struct {
	// Path is absolute.
	damocles.StoreConfig
	// Scanned says that it is not in the configuration itself, but was found
	// through its ScanPersistStores.
	Scanned bool
}

// Store is the store's directory. One with a PluginName is no directory that we
// could look into.
func (s HomeStore) Store() store.Store { return store.Store{Name: s.Name, Dir: s.Path} }

// HomeStores lists the stores of a home, as damocles finds them when it starts:
// those that the configuration names, then those that it finds by their
// sectorstore.json. Whether a directory is there is not looked at.
func HomeStores(cfg damocles.Config) ([]HomeStore, error) {
	var out []HomeStore
	for _, c := range cfg.Common.PersistStores {
		path, err := filepath.Abs(c.Path)
		if err != nil {
			return nil, err
		}
		c.Path = path
		out = append(out, HomeStore{StoreConfig: c})
	}
	for _, pattern := range cfg.Common.ScanPersistStores {
		found, err := scanStores(pattern)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, uniqueNames(cfg, out)
}

// scanStores finds the directories that match the pattern and hold a
// sectorstore.json; what matches and holds none is no store.
func scanStores(pattern string) ([]HomeStore, error) {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fault.New("correct it in sector-manager.cfg", "ScanPersistStores has %q, which is no pattern: %w", pattern, err)
	}
	var out []HomeStore
	for _, dir := range dirs {
		if dir, err = filepath.Abs(dir); err != nil {
			return nil, err
		}
		meta, _, err := store.ReadMeta(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		is, err := meta.Damocles()
		if err != nil {
			return nil, fault.New("damocles-manager would not start with it either: correct the file, or take the directory out of ScanPersistStores",
				"%s: %w", store.MetaPath(dir), err)
		}
		out = append(out, HomeStore{StoreConfig: scannedConfig(dir, is), Scanned: true})
	}
	return out, nil
}

func scannedConfig(dir string, is store.DamoclesMeta) damocles.StoreConfig {
	return damocles.StoreConfig{
		Name: is.StoreName(dir), Path: dir, Meta: is.Meta, Strict: is.Strict, ReadOnly: is.ReadOnly, Weight: max(is.Weight, 1),
		AllowMiners: is.AllowMiners, DenyMiners: is.DenyMiners,
		PluginName: cmp.Or(is.PluginName, is.Plugin), Plugin: is.Plugin,
	}
}

func uniqueNames(cfg damocles.Config, stores []HomeStore) error {
	paths := map[string]string{}
	for _, s := range stores {
		if other, taken := paths[s.Name]; taken {
			return fault.New("give each of them a name of its own; damocles-manager would not start either",
				"two stores of %s are named %q: %s and %s", cfg.Path, s.Name, other, s.Path)
		}
		paths[s.Name] = s.Path
	}
	return nil
}

// StoreAt returns the store whose directory is dir, under whatever path; false
// where there is none.
func StoreAt(stores []HomeStore, dir os.FileInfo) (HomeStore, bool) {
	for _, s := range stores {
		if s.PluginName != "" {
			continue
		}
		if info, err := os.Stat(s.Path); err == nil && os.SameFile(info, dir) {
			return s, true
		}
	}
	return HomeStore{}, false
}

// StoreNamed returns the store of a name; false where there is none.
func StoreNamed(stores []HomeStore, name string) (HomeStore, bool) {
	for _, s := range stores {
		if s.Name == name {
			return s, true
		}
	}
	return HomeStore{}, false
}

// AttachAs finds the name under which damocles knows, or will know, the
// directory: that of its configuration (configured is true then), else the one
// given, else the path, as damocles does.
func AttachAs(stores []HomeStore, dir, name string) (as HomeStore, configured bool, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return HomeStore{}, false, err
	}
	if at, ok := StoreAt(stores, info); ok {
		if name != "" && name != at.Name {
			return HomeStore{}, false, fault.New("leave --name out, or change the name in the configuration first",
				"damocles's configuration has %s as %q, so that an index which says %q would lead nowhere", dir, at.Name, name)
		}
		return at, true, nil
	}
	as = HomeStore{StoreConfig: damocles.StoreConfig{Name: cmp.Or(name, dir), Path: dir}}
	if other, taken := StoreNamed(stores, as.Name); taken {
		return HomeStore{}, false, fault.New("give another --name", "the name %q is that of the store %s already", as.Name, other.Path)
	}
	return as, false, nil
}

// StoreSection is the section of sector-manager.cfg that makes damocles know a
// store.
func StoreSection(s damocles.StoreConfig) (string, error) {
	section := struct {
		Name, Path       string
		Strict, ReadOnly bool `toml:",omitempty"`
		Weight           uint `toml:",omitzero"`

		AllowMiners, DenyMiners []abi.ActorID `toml:",omitempty"`
	}{s.Name, s.Path, s.Strict, s.ReadOnly, s.Weight, s.AllowMiners, s.DenyMiners}
	var b strings.Builder
	if err := toml.NewEncoder(&b).Encode(section); err != nil {
		return "", err
	}
	return "[[Common.PersistStores]]\n" + b.String(), nil
}
