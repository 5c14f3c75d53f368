package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/ui"
)

func quietUI() *ui.UI { return ui.New(&bytes.Buffer{}, &bytes.Buffer{}, ui.Options{Quiet: true}) }

// checked runs checkConfig over a text and returns what it prints.
func checked(t *testing.T, text string, o ui.Options) (string, error) {
	t.Helper()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "sector-manager.cfg"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, stderr bytes.Buffer
	a := &app{env: Env{Getenv: func(string) string { return "" }}, ui: ui.New(&out, &stderr, o)}
	_, err := a.checkConfig(home)
	if flush := a.ui.Flush(); flush != nil || out.Len() > 0 {
		t.Errorf("stdout has %q, %v", out.String(), flush)
	}
	return stderr.String(), err
}

const badConfig = `[Common]
Frob = 1
[Common.API]
Token = hush
[[Common.PersistStores]]
Path = "/there/is/no/such/directory"
`

func TestCheckConfigRefuses(t *testing.T) {
	got, err := checked(t, badConfig, ui.Options{})
	want := `sector-manager.cfg:2: remark: Common.Frob: damocles-manager v0.13 knows no such key, and does not read it
  hint: take it out, or look up what your version of damocles-manager calls it
sector-manager.cfg:4: this is no TOML: `
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "sector-manager.cfg:6: Common.PersistStores[0].Path: there is no directory") || strings.Contains(got, "hush") {
		t.Errorf("got %s", got)
	}
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "2 places are wrong") || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

// A remark holds nothing up, and --quiet leaves it out; what is wrong is always
// said.
func TestCheckConfigRemarks(t *testing.T) {
	if got, err := checked(t, "[Common]\nFrob = 1\n", ui.Options{}); err != nil || !strings.Contains(got, ":2: remark: Common.Frob") {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := checked(t, "[Common]\nFrob = 1\n", ui.Options{Quiet: true}); err != nil || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := checked(t, badConfig, ui.Options{Quiet: true}); err == nil || strings.Contains(got, "Frob") || strings.Count(got, "sector-manager.cfg:") != 2 {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCheckConfigWithoutOne(t *testing.T) {
	a := &app{env: Env{Getenv: func(string) string { return "" }}, ui: quietUI()}
	if cfg, err := a.checkConfig(t.TempDir()); err != nil || cfg.Found || cfg.Driver() != "badger" {
		t.Errorf("got %+v, %v", cfg, err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sector-manager.cfg"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := a.checkConfig(dir); err == nil {
		t.Error("a directory was taken for a configuration")
	}
}

// A file that is changed at the wrong moment must not be checked in one form and used
// in another.
func TestCheckConfigReadsOnce(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, "sector-manager.cfg")
	store := t.TempDir()
	write := func(weight string) {
		t.Helper()
		text := "[[Common.PersistStores]]\nName = \"s\"\nPath = \"" + store + "\"\nWeight = " + weight + "\n[[Miners]]\nActor = 1000\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("7")
	a := &app{env: Env{Getenv: func(string) string { return "" }}, ui: quietUI()}
	cfg, err := a.checkConfig(home)
	if err != nil || len(cfg.Common.PersistStores) != 1 || cfg.Common.PersistStores[0].Weight != 7 {
		t.Fatalf("got %+v, %v", cfg, err)
	}
	write("no number")
	if weights, err := cfg.Weights(); err != nil || weights["s"] != 7 {
		t.Errorf("got %v, %v", weights, err)
	}
	if _, found, err := cfg.MinerJSON(1000); err != nil || !found {
		t.Errorf("miner: %t, %v", found, err)
	}
}
