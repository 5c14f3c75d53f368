package damocles

import (
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"damocles-manager/internal/fault"
)

const newStore = "[[Common.PersistStores]]\nName = \"new\"\nPath = \"/new\"\n"

func TestAppendStores(t *testing.T) {
	for name, tt := range map[string]struct{ have, added string }{
		"no file":                          {"", newStore},
		"a file":                           {"[Common]\n", "\n" + newStore},
		"no final newline":                 {"[Common]\nX = 1 # mine", "\n\n" + newStore},
		"CRLF":                             {"[Common]\r\nX = 1\r\n", strings.ReplaceAll("\n"+newStore, "\n", "\r\n")},
		"a comment at the end":             {"[Common]\n# [[Common.PersistStores]]\n#Name = \"new\"", "\n\n" + newStore},
		"stores with a table of their own": {"[[Common.PersistStores]]\nName = \"a\"\n[Common.PersistStores.Meta]\nk = \"v\"\n[[Miners]]\nActor = 1\n[Miners.Sector]\nInitNumber = 3\n", "\n" + newStore},
		"another spelling":                 {"[common]\n[[common.persistStores]]\nName = \"a\"\n", "\n" + strings.Replace(newStore, "Common.PersistStores", "common.persistStores", 1)},
		"without Common":                   {"[[Miners]]\nActor = 1\n", "\n" + newStore},
		"times and the like":               {"T = 2026-01-02T03:04:05Z\nD = 2026-01-02\nF = 1.5\nL = [1, 2]\n", "\n" + newStore},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := AppendStores("cfg", []byte(tt.have), []string{newStore})
			if err != nil {
				t.Fatal(err)
			}
			if string(out) != tt.have+tt.added {
				t.Errorf("got %q, want %q", out, tt.have+tt.added)
			}
			var cfg Config
			if _, err := toml.Decode(string(out), &cfg); err != nil {
				t.Fatal(err)
			}
			stores := cfg.Common.PersistStores
			if n := len(stores); n == 0 || stores[n-1].Name != "new" || stores[n-1].Path != "/new" {
				t.Errorf("damocles reads %+v", stores)
			}
		})
	}
}

func TestAppendStoresRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ have, want string }{
		"an array in one line": {"[Common]\nPersistStores = [{Name = \"a\"}]\n", "sections cannot be added"},
		"an empty array":       {"[Common]\nPersistStores = []\n", "sections cannot be added"},
		"a table in one line":  {"Common = {X = 1}\n", "sections cannot be added"},
		"keys with dots":       {"Common.PersistStores = [{Name = \"a\"}]\n", "sections cannot be added"},
		"no TOML":              {"[Common\n", "line 2"},
		"an open text":         {"X = \"\"\"\n", "read cfg: line"},
		"both spellings":       {"[Common]\n[[Common.PersistStores]]\nName = \"a\"\n[common]\nPersistStores = [{Name = \"b\"}]\n", ""},
	} {
		out, err := AppendStores("cfg", []byte(tt.have), []string{newStore})
		if tt.want == "" { // whatever it does, nothing that was said is lost
			if err == nil && !strings.HasPrefix(string(out), tt.have) {
				t.Errorf("%s: got %q", name, out)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: got %q, %v, want %s", name, out, err, tt.want)
		}
	}
}
