package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
)

// homeConfig is a configuration as damocles would read it from these lines.
func homeConfig(t *testing.T, lines string) damocles.Config {
	t.Helper()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "sector-manager.cfg"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := damocles.LoadConfig(home, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// storeDirs makes directories with a sectorstore.json each; "" for one without.
func storeDirs(t *testing.T, metas map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, meta := range metas {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if meta == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "sectorstore.json"), []byte(meta), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestHomeStores(t *testing.T) {
	root := storeDirs(t, map[string]string{
		"named":   `{"ID":"id-1","Name":"n","Strict":true,"ReadOnly":true,"Weight":0,"AllowMiners":[1000],"Plugin":"p"}`,
		"by-id":   `{"ID":"id-2","CanSeal":false,"Weight":10}`,
		"by-path": `{}`,
		"none":    "",
	})
	cfg := homeConfig(t, `
[Common]
ScanPersistStores = ["`+root+`/*", "`+root+`/nothing/*"]
[[Common.PersistStores]]
Path = "relative"
[[Common.PersistStores]]
Name = "first"
Path = "/first"
ReadOnly = true
`)
	stores, err := HomeStores(cfg)
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"relative": filepath.Join(here, "relative"), "first": "/first",
		"n": filepath.Join(root, "named"), "id-2": filepath.Join(root, "by-id"), filepath.Join(root, "by-path"): filepath.Join(root, "by-path"),
	}
	for _, s := range stores {
		if want[s.Name] != s.Path || s.Store().Dir != s.Path || s.Store().Name != s.Name {
			t.Errorf("%s is in %s, want %s", s.Name, s.Path, want[s.Name])
		}
		if s.Scanned != strings.HasPrefix(s.Path, root) {
			t.Errorf("%s: scanned %t", s.Name, s.Scanned)
		}
	}
	if len(stores) != len(want) {
		t.Errorf("%d stores, want %d", len(stores), len(want))
	}
	n, ok := StoreNamed(stores, "n")
	if !ok || !n.Strict || !n.ReadOnly || n.Weight != 1 || len(n.AllowMiners) != 1 || n.PluginName != "p" {
		t.Errorf("the store with a name is %+v", n)
	}
	if _, ok := StoreNamed(stores, "none"); ok {
		t.Error("a directory without a sectorstore.json is a store")
	}
}

func TestHomeStoresRefuse(t *testing.T) {
	for name, tt := range map[string]struct{ meta, config, want string }{
		"one name twice":       {`{"Name":"first"}`, "", `are named "first"`},
		"a list of lotus":      {`{"ID":"x","AllowMiners":["t01000"]}`, "", "damocles cannot read it"},
		"no JSON":              {`{`, "", "sectorstore.json"},
		"what is no pattern":   {`{}`, `, "["`, "which is no pattern"},
		"one directory, twice": {`{"Name":"x"}`, `, "{root}/s"`, `are named "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			root := storeDirs(t, map[string]string{"s": tt.meta})
			cfg := homeConfig(t, `
[Common]
ScanPersistStores = ["`+root+`/*"`+strings.ReplaceAll(tt.config, "{root}", root)+`]
[[Common.PersistStores]]
Name = "first"
Path = "/first"
`)
			_, err := HomeStores(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
				t.Errorf("error %v (hint %q), want one that says %q", err, fault.HintOf(err), tt.want)
			}
		})
	}
}

// A store is known by its directory, whatever its path is written like.
func TestStoreAt(t *testing.T) {
	root := storeDirs(t, map[string]string{"a": "", "b": ""})
	if err := os.Symlink(filepath.Join(root, "a"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	stores := []HomeStore{
		{StoreConfig: damocles.StoreConfig{Name: "gone", Path: filepath.Join(root, "gone")}},
		{StoreConfig: damocles.StoreConfig{Name: "plugin", Path: filepath.Join(root, "b"), PluginName: "s3"}},
		{StoreConfig: damocles.StoreConfig{Name: "a", Path: root + "/b/../a/"}},
	}
	for dir, want := range map[string]string{"a": "a", "link": "a", "b": ""} {
		info, err := os.Stat(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := StoreAt(stores, info); got.Name != want {
			t.Errorf("%s is the store %q, want %q", dir, got.Name, want)
		}
	}
}

func TestStoreSection(t *testing.T) {
	for _, path := range []string{"/storage/a", `/with "quotes" and \`, "/tab\tand é"} {
		section, err := StoreSection(damocles.StoreConfig{Name: path, Path: path, Strict: true})
		if err != nil {
			t.Fatal(err)
		}
		got := homeConfig(t, section).Common.PersistStores
		if len(got) != 1 || got[0].Name != path || got[0].Path != path || !got[0].Strict || got[0].ReadOnly {
			t.Errorf("%s is read back as %+v", section, got)
		}
	}
}
