package migrate

import (
	"errors"
	"os"
	"path/filepath"
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
