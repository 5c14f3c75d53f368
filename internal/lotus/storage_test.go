package lotus

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/testkit"
)

func TestStorage(t *testing.T) {
	for name, tt := range map[string]struct {
		have  string // "" for no file
		paths []string
		want  string // with /new added
		same  string // without
	}{
		"no file":              {"", nil, `{"StoragePaths":[{"Path":"/new"}]}`, `{"StoragePaths":null}`},
		"empty":                {`{"StoragePaths":null}`, nil, `{"StoragePaths":[{"Path":"/new"}]}`, `{"StoragePaths":null}`},
		"a list without paths": {`{"StoragePaths":[]}`, nil, `{"StoragePaths":[{"Path":"/new"}]}`, `{"StoragePaths":null}`},
		"unknown keys": {`{"b":[1,{"x":2}],"StoragePaths":[{"Path":"/a","Mine":1}],"A":"y"}`, []string{"/a"},
			`{"StoragePaths":[{"Path":"/a","Mine":1},{"Path":"/new"}],"A":"y","b":[1,{"x":2}]}`, `{"StoragePaths":[{"Path":"/a","Mine":1}],"A":"y","b":[1,{"x":2}]}`},
		"another spelling": {`{"storagepaths":[{"path":"/a"}]}`, []string{"/a"}, `{"StoragePaths":[{"path":"/a"},{"Path":"/new"}]}`, `{"StoragePaths":[{"path":"/a"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.have != "" {
				if err := os.WriteFile(StoragePath(dir), []byte(tt.have), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, raw, err := ReadStorage(dir)
			if err != nil {
				t.Fatal(err)
			}
			if s.Found != (tt.have != "") || string(raw) != tt.have || !slices.Equal(s.Paths(), tt.paths) {
				t.Errorf("got %t, %q, %q", s.Found, raw, s.Paths())
			}
			if got := encoded(t, s.With("/new")); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := encoded(t, s); got != tt.same {
				t.Errorf("got %s, want %s", got, tt.same)
			}
		})
	}
}

// encoded is the file without its indentation.
func encoded(t *testing.T, s *Storage) string {
	t.Helper()
	raw, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(raw)), "")
}

func TestStorageAsLotusWritesIt(t *testing.T) {
	s, _, err := ReadStorage(testkit.Fixture(t, "switch-2k/lotusminer"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"StoragePaths\": [\n    {\n      \"Path\": \"/storage/lotus-1\"\n    },\n    {\n      \"Path\": \"/storage/lotus-2\"\n    }\n  ]\n}"
	if string(raw) != want {
		t.Errorf("got %s, want %s", raw, want)
	}
}

func TestStorageThatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		"": "unexpected end", "[]": "a JSON array does not belong there", "null": "it is no JSON object",
		`{"StoragePaths":{}}`: "StoragePaths: a JSON object does not belong there", `{"StoragePaths":[1]}`: "StoragePaths, entry 1",
		`{"StoragePaths":[],"storagepaths":[]}`: "StoragePaths twice",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "storage.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := ReadStorage(dir)
		if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), want) || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
