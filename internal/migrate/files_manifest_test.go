package migrate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/durable"
)

func TestKeepManifest(t *testing.T) {
	home := t.TempDir()
	manifest := filepath.Join(t.TempDir(), "store.sha256")
	for _, content := range []string{"first\n", "second, and longer\n"} {
		if err := os.WriteFile(manifest, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		to, err := KeepManifest(durable.FS{}, home, manifest)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(to); string(got) != content || err != nil {
			t.Errorf("the copy holds %q, %v", got, err)
		}
	}
	entries, err := os.ReadDir(ManifestDir(home))
	if err != nil || len(entries) != 1 {
		t.Errorf("one store has %d copies, %v", len(entries), err)
	}
	broken := errors.New("broken")
	fs := durable.FS{Fault: func(op, _ string) error {
		if op == "sync" {
			return broken
		}
		return nil
	}}
	if _, err := KeepManifest(fs, home, manifest); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// Two stores never share a copy.
func TestManifestCopyName(t *testing.T) {
	seen := map[string]string{}
	for _, dir := range []string{"/a/b", "/a_b", "/a%5Fb", "/a/b/c", "/a\nb"} {
		name := manifestCopyName(filepath.Join(dir, "damocles-manager.sha256"))
		if other, taken := seen[name]; taken || filepath.Base(name) != name {
			t.Errorf("%q and %q are both copied to %q", dir, other, name)
		}
		seen[name] = dir
	}
}

// The path of a store may be longer than a name may be, and two of them begin alike.
func TestKeepManifestOfALongPath(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	for range 5 {
		dir = filepath.Join(dir, strings.Repeat("long", 20))
	}
	kept := map[string]bool{}
	for _, name := range []string{"a", "b"} {
		store := filepath.Join(dir, name)
		mkdirAll(t, store)
		manifest := filepath.Join(store, "manifest")
		if err := os.WriteFile(manifest, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		at, err := KeepManifest(durable.FS{}, home, manifest)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(at); string(raw) != name {
			t.Errorf("got %q, %v", raw, err)
		}
		kept[at] = true
	}
	if len(kept) != 2 {
		t.Errorf("one copy is over the other: %v", kept)
	}
}
