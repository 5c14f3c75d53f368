package durable

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	f, err := FS{}.Create(filepath.Join(dir, "import-1.journal"))
	must(t, err, f.f.Close()) // as a kill leaves it
	kept := []string{
		".export-1.journal.123.tmp", ".import-1.journal.12a.tmp", ".import-1.journal.tmp", ".import-1.tmp",
		"import-1.journal", "import-1.journal.123.tmp",
	}
	for _, name := range kept {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, ".import-2.journal.123.tmp"), 0o700))
	kept = append(kept, ".import-2.journal.123.tmp")
	slices.Sort(kept)

	broken := FS{Fault: func(op, _ string) error {
		if op == "remove" {
			return errInjected
		}
		return nil
	}}
	if err := broken.Sweep(dir, "import-*.journal"); !errors.Is(err, errInjected) {
		t.Errorf("got %v", err)
	}
	must(t, FS{}.Sweep(dir, "import-*.journal"), FS{}.Sweep(filepath.Join(dir, "missing"), "*"))
	if got := listNames(t, dir); !slices.Equal(got, kept) {
		t.Errorf("left %v, want %v", got, kept)
	}
}
