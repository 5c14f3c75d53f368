package damocles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/fault"
)

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func mkdir(t *testing.T, path ...string) string {
	t.Helper()
	dir := filepath.Join(path...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFindHome(t *testing.T) {
	none, both, legacy := t.TempDir(), t.TempDir(), t.TempDir()
	for _, user := range []string{both, legacy} {
		mkdir(t, user, ".venus-sector-manager")
	}
	mkdir(t, both, ".damocles-manager")
	given := t.TempDir()
	for _, test := range []struct {
		name, flag string
		vars       map[string]string
		want       Location
	}{
		{"nothing there", "", map[string]string{"HOME": none}, Location{none + "/.damocles-manager", false, "default", false}},
		{"default", "", map[string]string{"HOME": both}, Location{both + "/.damocles-manager", false, "default", true}},
		{"legacy", "", map[string]string{"HOME": legacy}, Location{legacy + "/.venus-sector-manager", false, "legacy default", true}},
		{"flag first", given, map[string]string{"HOME": both, "DAMOCLES_PATH": none}, Location{given, true, "--home", true}},
		{"first variable", "", map[string]string{"DAMOCLES_PATH": given, "VSM_PATH": none}, Location{given, true, "DAMOCLES_PATH", true}},
		{"second", "", map[string]string{"VENUS_SECTOR_MANAGER_PATH": given, "VSM_PATH": none}, Location{given, true, "VENUS_SECTOR_MANAGER_PATH", true}},
		{"third", "", map[string]string{"VSM_PATH": given}, Location{given, true, "VSM_PATH", true}},
		{"tilde", "~/x", map[string]string{"HOME": none}, Location{none + "/x", true, "--home", false}},
		{"a typing error does not lead into the legacy home", "~/typo", map[string]string{"HOME": legacy},
			Location{legacy + "/typo", true, "--home", false}},
	} {
		got, err := FindHome(test.flag, env(test.vars))
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", test.name, got, err, test.want)
		}
	}
	if at, err := FindHome("here", env(nil)); err != nil || !filepath.IsAbs(at.Dir) {
		t.Errorf("a relative home: got %+v, %v", at, err)
	}
}

func TestFindHomeErrors(t *testing.T) {
	if _, err := FindHome("", env(nil)); err == nil || fault.HintOf(err) == "" {
		t.Errorf("without HOME: got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FindHome(file, env(nil)); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file: got %v", err)
	}
}
