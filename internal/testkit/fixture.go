// Package testkit has stand-ins of the programs that this tool talks to, for
// tests only: they serve the fixtures over real sockets, with the framing,
// errors and order of the real ones, and fail on demand. It imports no other
// package of this module, so that every package's tests can use it.
package testkit

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Fixture returns the path of a file or directory under testdata/fixtures, from
// whichever package the test runs in.
func Fixture(t testing.TB, path string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		full := filepath.Join(dir, "testdata", "fixtures", filepath.FromSlash(path))
		if _, err := os.Stat(filepath.Join(dir, "testdata", "fixtures")); err == nil { // mongotest has none
			if _, err := os.Stat(full); err != nil {
				t.Fatalf("no such fixture: %v", err)
			}
			return full
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("the test does not run inside the module")
		}
		dir = up
	}
}

// Glob returns the fixtures that match a pattern under testdata/fixtures; at
// least one has to.
func Glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(Fixture(t, "."), filepath.FromSlash(pattern)))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixture matches %s (%v)", pattern, err)
	}
	return paths
}

// CopyDir copies a directory into a temporary one, which it returns. Databases
// have to be copied before they are opened. Only files and directories are copied.
func CopyDir(t testing.TB, src string) string {
	t.Helper()
	dst := t.TempDir()
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		return copyEntry(path, filepath.Join(dst, rel), d)
	})
	if err != nil {
		t.Fatalf("copy %s: %v", src, err)
	}
	return dst
}

func copyEntry(src, dst string, d fs.DirEntry) error {
	if d.IsDir() {
		return os.MkdirAll(dst, 0o755)
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	body, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	// The owner may write: fixtures may lie in a read-only tree.
	return os.WriteFile(dst, body, info.Mode().Perm()|0o200)
}

// Exchange is a captured request and its response.
type Exchange struct {
	Request struct {
		Method string
		Params []json.RawMessage
	}
	// Response is the whole body, without the indentation of the fixture.
	Response json.RawMessage
	Result   json.RawMessage
	Error    *Error
}

// ReadExchange reads a file of testdata/fixtures/rpc.
func ReadExchange(t testing.TB, path string) Exchange {
	t.Helper()
	var x Exchange
	readJSON(t, path, &x)
	x.Response = compact(t, x.Response)
	var body struct {
		Result json.RawMessage
		Error  *Error
	}
	if err := json.Unmarshal(x.Response, &body); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	x.Result, x.Error = body.Result, body.Error
	return x
}

func result(t testing.TB, path string) json.RawMessage {
	t.Helper()
	return ReadExchange(t, Fixture(t, path)).Result
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func compact(t testing.TB, raw []byte) json.RawMessage {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
