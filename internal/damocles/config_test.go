package damocles

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/testkit"
)

func loadConfig(t *testing.T, text string) (Config, error) {
	t.Helper()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, configName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadConfig(home, env(nil))
}

func TestLoadConfigFixture(t *testing.T) {
	home := testkit.Fixture(t, "switch-2k/damocles-home")
	cfg, err := LoadConfig(home, env(nil))
	if err != nil || !cfg.Found || cfg.Path != filepath.Join(home, configName) {
		t.Fatalf("got %+v, %v", cfg, err)
	}
	want := []StoreConfig{
		{Name: "t01000_01", Path: "/storage/damocles-1", Weight: 1},
		{Name: "t01000_02", Path: "/storage/damocles-2", Weight: 1},
	}
	if got := cfg.Common.PersistStores; !reflect.DeepEqual(got, want) {
		t.Errorf("stores: got %+v, want %+v", got, want)
	}
	if got := cfg.Common.API.Gateway[0].Reveal(); got != "/ip4/127.0.0.1/tcp/11235" {
		t.Errorf("gateway: got %s", got)
	}
	if _, ok := cfg.Miner(1000); !ok || cfg.Driver() != "badger" || cfg.DBDir(home) != home {
		t.Errorf("got %+v", cfg)
	}
}

func TestLoadConfigAll(t *testing.T) {
	cfg, err := loadConfig(t, `
[COMMON]
scanpersiststores = ["/filecoin/*"]
Unknown = 1
[Common.Api]
Chain = "hush1:/ip4/1.2.3.4/tcp/1"
Gateway = ["hush2:/ip4/1.2.3.4/tcp/2"]
token = "hush3"
[[common.persistStores]]
Path = "/mnt/s1"
Strict = true
ReadOnly = true
Weight = 3
AllowMiners = [1000]
DenyMiners = [1001]
Plugin = "old"
[common.persistStores.meta]
Key = "value"
[Common.DB]
Driver = "Badger"
[Common.DB.badger]
BaseDir = "/db"
[Common.DB.Mongo]
DSN = "mongodb://u:hush4@h"
DatabaseName = "d"
[[Miners]]
actor = 1000
[Miners.Sector]
InitNumber = 5
minnumber = 10
MaxNumber = 20
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []StoreConfig{{
		Name: "/mnt/s1", Path: "/mnt/s1", Meta: map[string]string{"Key": "value"}, Strict: true, ReadOnly: true, Weight: 3,
		AllowMiners: []abi.ActorID{1000}, DenyMiners: []abi.ActorID{1001}, PluginName: "old", Plugin: "old",
	}}
	if got := cfg.Common.PersistStores; !reflect.DeepEqual(got, want) {
		t.Errorf("stores: got %+v, want %+v", got, want)
	}
	m, ok := cfg.Miner(1000)
	if !ok || m.Sector.InitNumber != 5 || *m.Sector.MinNumber != 10 || *m.Sector.MaxNumber != 20 {
		t.Errorf("miner: got %+v, %v", m, ok)
	}
	if _, ok := cfg.Miner(1001); ok || cfg.Driver() != "badger" || cfg.DBDir("/home") != "/db" {
		t.Errorf("got driver %s in %s", cfg.Driver(), cfg.DBDir("/home"))
	}
	if got := cfg.Common.API.Token.Reveal(); got != "hush3" || cfg.Common.ScanPersistStores[0] != "/filecoin/*" {
		t.Errorf("got %+v", cfg)
	}
	out, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, out); strings.Contains(shown, "hush") {
		t.Errorf("a secret is printed: %s", shown)
	}
}

func TestLoadConfigMissing(t *testing.T) {
	home := t.TempDir()
	cfg, err := LoadConfig(home, env(nil))
	if err != nil || cfg.Found || cfg.Driver() != "badger" || cfg.DBDir(home) != home {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestLoadConfigDir(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configName), []byte("[[Miners]]\nActor = 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"DAMOCLES_CONF_DIR", "VENUS_SECTOR_MANAGER_CONF_DIR", "VSM_CONF_DIR"} {
		cfg, err := LoadConfig(t.TempDir(), env(map[string]string{name: dir}))
		if err != nil || !cfg.Found || len(cfg.Miners) != 1 {
			t.Errorf("%s: got %+v, %v", name, cfg, err)
		}
	}
}

func TestLoadConfigErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"[Common]\nScanPersistStores = [", "line 2"},
		{"[[Common.PersistStores]]\nName = \"a\"\nAllowMiners = [\"t01000\"]", "line 3"},
		{"[[Common.PersistStores]]\nName = \"a\"\n[[Common.PersistStores]]\nName = \"a\"", `"a"`},
	} {
		_, err := loadConfig(t, test.text)
		if err == nil || fault.HintOf(err) == "" || !strings.Contains(err.Error(), test.want) ||
			!strings.Contains(err.Error(), configName) {
			t.Errorf("%q: got %v, want an error with %s", test.text, err, test.want)
		}
	}
}

func TestDriver(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "badger",
		"[Common.DB]\nDriver = \"Mongo\"":       "mongo",
		"[Common.DB]\nDriver = \"plugin\"":      "plugin",
		"[Common.MongoKVStore]\nEnable = true":  "mongo",
		"[Common.MongoKVStore]\nEnable = false": "badger",
		"[Common.DB]\nDriver = \"\"":            "badger",
		"[Common.MongoKVStore]\nEnable = true\n[Common.DB]\nDriver=\"b\"": "mongo",
	} {
		cfg, err := loadConfig(t, text)
		if err != nil || cfg.Driver() != want {
			t.Errorf("%q: got %s, %v, want %s", text, cfg.Driver(), err, want)
		}
	}
}

// A pipe or a directory in the place of the configuration is said to be one, and
// not waited for; a link to nothing is no home without a configuration.
func TestLoadConfigNoRegularFile(t *testing.T) {
	for name, put := range map[string]func(string) error{
		"no regular file":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"is a directory":    func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to nothing": func(path string) error { return os.Symlink("/nowhere/at/all", path) },
	} {
		home := t.TempDir()
		if err := put(filepath.Join(home, ConfigName)); err != nil {
			t.Fatal(err)
		}
		_, err := LoadConfig(home, func(string) string { return "" })
		if err == nil || !strings.Contains(err.Error(), name) || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v (hint %q)", name, err, fault.HintOf(err))
		}
	}
}
