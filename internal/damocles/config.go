package damocles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
)

const configName = "sector-manager.cfg"

// Config is what this tool needs of sector-manager.cfg. Everything else in the
// file is left alone.
type Config struct {
	// Path is the file; Found is whether it is there. All is default where not.
	Path  string `toml:"-"`
	Found bool   `toml:"-"`

	Common CommonConfig
	Miners []MinerConfig

	raw []byte // for MinerJSON and Weights
}

// CommonConfig is the section [Common].
type CommonConfig struct {
	API           APIConfig
	PersistStores []StoreConfig
	// ScanPersistStores are globs of directories that hold a sectorstore.json.
	ScanPersistStores []string
	DB                DBConfig
	// MongoKVStore is the form of v0.5. Enabled, it goes before DB.
	MongoKVStore MongoConfig
}

// APIConfig names damocles's nodes. An address may carry a token in front, as
// token:address, so all of them print as *** like the token.
type APIConfig struct {
	Chain    rpc.Token
	Messager rpc.Token
	Market   rpc.Token
	Gateway  []rpc.Token
	Token    rpc.Token
}

// StoreConfig is one of [[Common.PersistStores]].
type StoreConfig struct {
	// Name is the path where the file gives none.
	Name     string
	Path     string
	Meta     map[string]string
	Strict   bool
	ReadOnly bool
	// Weight is 1 where the file gives 0 or none.
	Weight      uint
	AllowMiners []abi.ActorID
	DenyMiners  []abi.ActorID
	PluginName  string
	// Plugin is the older name of PluginName, which is filled from it.
	Plugin string
}

// DBConfig says where damocles keeps its data.
type DBConfig struct {
	Driver string
	Badger BadgerConfig
	Mongo  MongoConfig
}

// BadgerConfig is for the driver badger.
type BadgerConfig struct {
	// BaseDir holds the databases; empty for the home itself.
	BaseDir string
}

// MongoConfig is for the driver mongo.
type MongoConfig struct {
	// Enable counts in MongoKVStore only.
	Enable bool
	// DSN may hold a password.
	DSN          rpc.Token
	DatabaseName string
}

// MinerConfig is one of [[Miners]].
type MinerConfig struct {
	Actor  abi.ActorID
	Sector SectorConfig
}

// SectorConfig bounds a miner's new sector numbers. MinNumber, where set, takes
// the place of InitNumber.
type SectorConfig struct {
	InitNumber uint64
	MinNumber  *uint64
	MaxNumber  *uint64
}

// LoadConfig reads the configuration in the directory that a variable names,
// and else in the home. A file that does not exist is no error: see Found.
func LoadConfig(home string, getenv func(string) string) (Config, error) {
	path, err := ConfigPath(home, getenv)
	if err != nil {
		return Config{}, err
	}
	raw, err := ReadConfigFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultConfig(path), nil
	}
	if err != nil {
		return Config{}, err
	}
	return ParseConfig(path, raw)
}

// ConfigPath is the file that LoadConfig reads, whether it is there or not.
func ConfigPath(home string, getenv func(string) string) (string, error) {
	for _, name := range []string{"DAMOCLES_CONF_DIR", "VENUS_SECTOR_MANAGER_CONF_DIR", "VSM_CONF_DIR"} {
		if value := getenv(name); value != "" {
			dir, err := expand(value, getenv)
			if err != nil {
				return "", fault.New("set "+name+" to an absolute path", "read %s: %w", name, err)
			}
			return filepath.Join(dir, configName), nil
		}
	}
	return filepath.Join(home, configName), nil
}

// ParseConfig reads the text of the configuration that stands in path. The file itself
// is not looked at: it may have changed since.
func ParseConfig(path string, raw []byte) (Config, error) {
	cfg, err := decodeConfig(path, raw)
	if err != nil {
		return Config{}, configError(path, err)
	}
	return cfg, cfg.complete()
}

// ReadConfigFile reads the text of a configuration. An error that it is not there
// wraps fs.ErrNotExist. A pipe would be waited for without an end.
func ReadConfigFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, configError(path, errors.New("is a directory"))
	case err == nil && !info.Mode().IsRegular():
		return nil, configError(path, errors.New("is no regular file"))
	}
	if _, link := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && link == nil { // all default would be another home
		return nil, fault.New("mount or create what it leads to, or remove it", "read damocles's configuration: %s is a link to nothing", path)
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fault.New("run as a user who may read it", "read damocles's configuration: %w", err)
	}
	return raw, nil
}

// DefaultConfig is that of a home without a file in path.
func DefaultConfig(path string) Config {
	return Config{Path: path, Common: CommonConfig{DB: DBConfig{Driver: "badger"}}}
}

func decodeConfig(path string, data []byte) (Config, error) {
	cfg := DefaultConfig(path)
	if _, err := toml.Decode(string(data), &cfg); err != nil {
		return Config{}, err
	}
	cfg.Found, cfg.raw = true, data
	return cfg, nil
}

func configError(path string, err error) error {
	const hint = "correct the file; damocles-manager would not start with it either"
	if bad, ok := errors.AsType[toml.ParseError](err); ok {
		return fault.New(hint, "read %s: line %d: %s", path, bad.Position.Line, bad.Message)
	}
	// The library goes on with the name of a type of Go.
	text, _, _ := strings.Cut(err.Error(), "; destination has type")
	return fault.New(hint, "read %s: %s", path, text)
}

// complete puts in what damocles itself fills in after reading.
func (c *Config) complete() error {
	seen := make(map[string]bool)
	for i := range c.Common.PersistStores {
		store := &c.Common.PersistStores[i]
		if store.Name == "" {
			store.Name = store.Path
		}
		if store.PluginName == "" {
			store.PluginName = store.Plugin
		}
		store.Weight = max(store.Weight, 1)
		if seen[store.Name] {
			return fault.New("give each of [[Common.PersistStores]] a name of its own; damocles-manager would not start either",
				"read %s: two persist stores are named %q", c.Path, store.Name)
		}
		seen[store.Name] = true
	}
	// The original's own daemon init leaves an empty section in the file. It would
	// take the directory that it is started in for a store; nobody means that.
	c.Common.PersistStores = slices.DeleteFunc(c.Common.PersistStores, func(s StoreConfig) bool { return s.Path == "" && s.PluginName == "" })
	return nil
}

// Driver returns the database driver in use, in lower case: badger, mongo or plugin.
func (c Config) Driver() string {
	if c.Common.MongoKVStore.Enable {
		return "mongo"
	}
	if c.Common.DB.Driver == "" {
		return "badger"
	}
	return strings.ToLower(c.Common.DB.Driver)
}

// DBDir returns the directory that holds the collections of the home.
func (c Config) DBDir(home string) string {
	if dir := c.Common.DB.Badger.BaseDir; dir != "" {
		return dir
	}
	return home
}

// Miner returns the section of a miner; false where there is none.
func (c Config) Miner(miner abi.ActorID) (MinerConfig, bool) {
	for _, m := range c.Miners {
		if m.Actor == miner {
			return m, true
		}
	}
	return MinerConfig{}, false
}
