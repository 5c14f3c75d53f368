package damocles

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// fixture returns the compact JSON of a state in the fixtures, by its number.
func fixture(t testing.TB, number string) []byte {
	t.Helper()
	names, err := filepath.Glob("../../testdata/fixtures/damocles-states/" + number + "-*.json")
	if err != nil || len(names) != 1 {
		t.Fatalf("fixture %s: %d files, %v", number, len(names), err)
	}
	return compactFile(t, names[0])
}

// fixtures returns the compact JSON of all states in the fixtures, by file name.
func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../../testdata/fixtures/damocles-states/*.json")
	if err != nil || len(names) != 24 {
		t.Fatalf("%d fixtures, want 24; %v", len(names), err)
	}
	out := make(map[string][]byte)
	for _, name := range names {
		out[filepath.Base(name)] = compactFile(t, name)
	}
	return out
}

func compactFile(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, raw); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return buf.Bytes()
}

func mustDecode(t testing.TB, raw []byte) *SectorState {
	t.Helper()
	s, err := DecodeState(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
