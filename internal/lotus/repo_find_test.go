package lotus

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/fault"
)

func TestFindRepo(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"flag/datastore", "env/keystore", "old/datastore", ".lotusminer/datastore"} {
		noError(t, os.MkdirAll(filepath.Join(home, name), 0o755))
	}
	at := func(name string) string { return filepath.Join(home, name) }
	for _, test := range []struct{ name, flag, env, old, want, err string }{
		{"flag", at("flag"), at("env"), at("old"), "flag", ""},
		{"env", "", at("env"), at("old"), "env", ""},
		{"old env", "", "", at("old"), "old", ""},
		{"default", "", "", "", ".lotusminer", ""},
		{"home", "~/flag", "", "", "flag", ""},
		{"home in env", "", "~/env", "", "env", ""},
		{"missing flag", at("none"), at("env"), "", "", "(from --repo)"},
		{"missing env", "", at("none"), "", "", "(from LOTUS_MINER_PATH)"},
		{"no repo", home, "", "", "", "neither datastore nor keystore"},
	} {
		env := map[string]string{"HOME": home, "LOTUS_MINER_PATH": test.env, "LOTUS_STORAGE_PATH": test.old}
		got, err := FindRepo(test.flag, func(key string) string { return env[key] })
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || fault.HintOf(err) == "" {
				t.Errorf("%s: got %v, want %s", test.name, err, test.err)
			}
		} else if got != at(test.want) || err != nil {
			t.Errorf("%s: got %s, %v", test.name, got, err)
		}
	}
}

func TestAPIInfo(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := APIInfo(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "not running") {
		t.Errorf("no api: got %v", err)
	}
	noError(t, os.WriteFile(filepath.Join(dir, "api"), []byte("/ip4/127.0.0.1/tcp/2345/http\n"), 0o600))
	if _, _, err := APIInfo(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no token") {
		t.Errorf("no token: got %v", err)
	}
	noError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(" \n"), 0o600))
	if _, _, err := APIInfo(dir); err == nil || !strings.Contains(err.Error(), "token is empty") {
		t.Errorf("empty token: got %v", err)
	}
	noError(t, os.WriteFile(filepath.Join(dir, "token"), []byte("  abc\n"), 0o600))
	if addr, token, err := APIInfo(dir); addr != "/ip4/127.0.0.1/tcp/2345/http" || token != "abc" || err != nil {
		t.Errorf("got %q, %q, %v", addr, token, err)
	}
}
