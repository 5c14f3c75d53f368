package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The programs of others refuse what the real ones would: or a typo in the manual
// would go unseen.
func TestStubsRefuse(t *testing.T) {
	world := t.TempDir()
	marked, plain := filepath.Join(world, "marked"), filepath.Join(world, "plain")
	for _, dir := range []string{marked, plain, filepath.Join(world, "running")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(marked, "sectorstore.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(world, "running", "lotus-miner")
	tests := []struct {
		line  string
		runs  bool
		error string // part of it; "" for none
	}{
		{"lotus-miner sectors list --fast", true, ""},
		{"lotus-miner sectors list --states=Proving", true, ""},
		{"lotus-miner sectors list --states Proving", true, ""},
		{"lotus-miner sectors numbers info", true, ""},
		{"lotus-miner sector list", true, "no such command"},
		{"lotus-miner storage atach --init " + plain, true, "no such command"},
		{"lotus-miner sectors list --quick", true, "flag provided but not defined"},
		{"lotus-miner sectors list --states", true, "flag provided but not defined"},
		{"lotus-miner sectors list 5", true, "incorrect number of arguments"},
		{"lotus-miner sectors status", true, "incorrect number of arguments"},
		{"lotus-miner sectors list", false, "it does not run"},
		{"lotus-miner backup --offline x", true, "it runs"},
		{"lotus-miner backup --offline x", false, ""},
		{"lotus wallet list --addr-only", false, ""},
		{"lotus walet list", false, "no such command"},
		{"venus-wallet wallet list", false, "no such command"},
		{"systemctl start damocles-manger", false, "not found"},
		{"systemctl reboot now", false, "no such command"},
		{"curio run", false, "no such command"},
	}
	for _, tt := range tests {
		_ = os.Remove(runs)
		if tt.runs {
			if err := os.WriteFile(runs, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		words := strings.Fields(tt.line)
		err := runStub(words[0], world, words[1:])
		if (err == nil) != (tt.error == "") || (err != nil && !strings.Contains(err.Error(), tt.error)) {
			t.Errorf("%s: got %v, want %q", tt.line, err, tt.error)
		}
	}
}

func TestStubAttach(t *testing.T) {
	world := t.TempDir()
	for _, dir := range []string{"marked", "plain"} {
		if err := os.Mkdir(filepath.Join(world, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(world, "marked", "sectorstore.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		init bool
		ok   bool
	}{
		{"marked", true, false}, {"marked", false, true}, {"plain", true, true}, {"plain", false, false}, {"../plain", true, false},
	} {
		if err := attachPath(world, filepath.Join(world, tt.path), tt.init); (err == nil) != tt.ok {
			t.Errorf("%v: %v", tt, err)
		}
	}
}

func TestStubKeys(t *testing.T) {
	for line, ok := range map[string]bool{
		aKey() + "\n":                 true,
		"Password:\n" + aKey() + "\n": false,
		"":                            false,
		"7b7d":                        false,
	} {
		if err := checkKey(line); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestCompareOutput(t *testing.T) {
	const printed = "one\n  two 4.8 KiB\nthree 20261122T192159.253883442Z\nfour\n"
	for block, same := range map[string]bool{
		"one\ntwo 5 KiB\nthree 20250101T000000.000000001Z\nfour": true,
		"…\nfour":      true,
		"one\n…":       true,
		"one\n…\nfour": true,
		"…\nthree 20250101T000000.000000001Z\nfour": true,
		"one\nfour":      false,
		"one":            false,
		"…\nfive":        false,
		"four\n…\none":   false,
		"…\none\nfour":   false,
		"one\n…\nthree":  false,
		"…\nfour\nextra": false,
	} {
		if err := compareOutput(block, printed); (err == nil) != same {
			t.Errorf("%q: %v", block, err)
		}
	}
}

func TestBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.md")
	text := "# a\n<!-- world: one two -->\n<!-- exit: 3 -->\n```sh\na \\\n  b\n# no\nc\n```\n<!-- output -->\n```text\nx\n```\n<!-- skip: why -->\n```sh\nd\n```\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := blocksOf(t, path)
	if len(got) != 3 || !slices.Equal(got[0].worlds, []string{"one", "two"}) || got[0].exit != 3 || !got[1].output || got[2].skip != "why" {
		t.Fatalf("got %+v", got)
	}
	if commands := got[0].commands(); len(commands) != 2 || strings.Join(strings.Fields(commands[0]), " ") != "a b" || commands[1] != "c" {
		t.Errorf("got %q", commands)
	}
}
