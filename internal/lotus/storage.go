package lotus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"damocles-manager/internal/fault"
)

// StorageName is the file in a repo that lists the paths where lotus-miner keeps
// sectors. Some documents call it by another name; the code does not.
const StorageName = "storage.json"

// StoragePath is where the file is in a repo.
func StoragePath(repo string) string { return filepath.Join(repo, StorageName) }

// Storage is a repo's storage.json. Keys that lotus-miner does not know are kept.
type Storage struct {
	// Found is whether the file is there. lotus-miner does not start without it.
	Found bool

	entries []storageEntry
	other   map[string]json.RawMessage
}

type storageEntry struct {
	path string
	raw  json.RawMessage
}

const storageHint = "correct the file; lotus-miner would not start with it either"

// ReadStorage reads the file of a repo, and returns its bytes, too, nil where it
// is not there.
func ReadStorage(repo string) (*Storage, []byte, error) {
	path := StoragePath(repo)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Storage{}, nil, nil
	}
	if err != nil {
		return nil, nil, readError(fmt.Errorf("read %s: %w", path, err))
	}
	s, err := ParseStorage(raw)
	if err != nil {
		return nil, raw, fault.Refuse(storageHint, "read %s: %w", path, err)
	}
	return s, raw, nil
}

// ParseStorage reads the content of a storage.json.
func ParseStorage(raw []byte) (*Storage, error) {
	s := &Storage{Found: true}
	if err := json.Unmarshal(raw, &s.other); err != nil {
		return nil, fault.JSON(err)
	}
	if s.other == nil {
		return nil, errors.New("it is no JSON object")
	}
	for key, value := range s.other {
		if !strings.EqualFold(key, "StoragePaths") { // as encoding/json finds it in lotus
			continue
		}
		if s.entries != nil {
			return nil, errors.New("it has StoragePaths twice")
		}
		delete(s.other, key)
		if err := s.parseEntries(value); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Storage) parseEntries(value json.RawMessage) error {
	var entries []json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil {
		return fmt.Errorf("StoragePaths: %w", fault.JSON(err))
	}
	s.entries = []storageEntry{}
	for i, raw := range entries {
		var entry struct{ Path string }
		if err := json.Unmarshal(raw, &entry); err != nil {
			return fmt.Errorf("StoragePaths, entry %d: %w", i+1, fault.JSON(err))
		}
		s.entries = append(s.entries, storageEntry{entry.Path, raw})
	}
	return nil
}

// Paths are the paths as they stand in the file, in its order.
func (s *Storage) Paths() []string {
	var out []string
	for _, e := range s.entries {
		out = append(out, e.path)
	}
	return out
}

// With returns the same with further paths behind those that are there.
func (s *Storage) With(paths ...string) *Storage {
	out := &Storage{Found: true, entries: slices.Clone(s.entries), other: s.other}
	for _, path := range paths {
		raw, err := json.Marshal(struct{ Path string }{path})
		if err != nil {
			panic(err) // a text
		}
		out.entries = append(out.entries, storageEntry{path, raw})
	}
	return out
}

// Encode writes the file as lotus-miner does: indented by two blanks, no newline
// at the end, null where there is no path.
func (s *Storage) Encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"StoragePaths":`)
	if len(s.entries) == 0 {
		b.WriteString("null")
	}
	for i, e := range s.entries {
		b.WriteByte("[,"[min(i, 1)])
		b.Write(e.raw)
	}
	if len(s.entries) > 0 {
		b.WriteByte(']')
	}
	for _, key := range slices.Sorted(maps.Keys(s.other)) {
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, ",%s:%s", name, s.other[key])
	}
	b.WriteByte('}')
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
