package damocles

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// uncommented takes the # from every line that is a key or a header.
func uncommented(text []byte) string {
	return regexp.MustCompile(`(?m)^#([^\s#])`).ReplaceAllString(string(text), "$1")
}

// A new file says nothing: no store and no miner comes of it.
func TestInitConfigIsTheDefaults(t *testing.T) {
	got, err := loadConfig(t, string(InitConfig()))
	if err != nil || !got.Found {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := DefaultConfig(got.Path)
	want.Found, want.raw = true, got.raw
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if problems := CheckConfig("sector-manager.cfg", InitConfig()); len(problems) > 0 {
		t.Errorf("got %+v", problems)
	}
}

func TestInitConfigUncommented(t *testing.T) {
	text := uncommented(InitConfig())
	cfg, err := loadConfig(t, text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(cfg.Common.PersistStores) != 1 || cfg.Common.PersistStores[0].Path != "/mnt/store1" || cfg.Common.DB.Mongo.DatabaseName != "damocles" {
		t.Errorf("got %+v", cfg)
	}
	if m, ok := cfg.Miner(1000); !ok || *m.Sector.MinNumber != 10 || *m.Sector.MaxNumber != 1000000 {
		t.Errorf("got %+v", cfg.Miners)
	}
	for _, p := range checkConfig("x", []byte(text), fakeDisk{}.disk()) {
		// all that may be wrong with the examples is that they are not on this disk
		if !strings.Contains(p.Text, "there is no directory") && !strings.Contains(p.Text, "nothing matches") && !strings.Contains(p.Key, "PluginName") {
			t.Errorf("got %+v", p)
		}
	}
}

// Every key that can be set is in a new file, once in each section that has it.
func TestInitConfigHasAllKeys(t *testing.T) {
	var all map[string]any
	if _, err := toml.Decode(uncommented(InitConfig()), &all); err != nil {
		t.Fatal(err)
	}
	var walk func(keys []configKey, at map[string]any, path string)
	walk = func(keys []configKey, at map[string]any, path string) {
		for _, k := range keys {
			_, has := at[k.name]
			if want := !k.old && k.gone == ""; has != want {
				t.Errorf("%s: got %t, want %t", join(path, k.name), has, want)
			}
			switch v := at[k.name].(type) {
			case map[string]any:
				walk(k.keys, v, join(path, k.name))
			case []map[string]any:
				walk(k.keys, v[0], join(path, k.name))
			}
		}
	}
	walk(configSchema(), all, "")
}

func TestInitProver(t *testing.T) {
	for text, want := range map[string]int{string(InitProver()): 0, uncommented(InitProver()): 1} {
		var got struct {
			WdPost, WinPost []struct {
				Bin  string
				Args []string
				Envs map[string]string
			}
		}
		if _, err := toml.Decode(text, &got); err != nil || len(got.WdPost) != want || len(got.WinPost) != want {
			t.Errorf("got %+v, %v, want %d", got, err, want)
		}
	}
}
