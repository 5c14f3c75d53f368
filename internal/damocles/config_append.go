package damocles

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"

	"damocles-manager/internal/fault"
)

const storesHeader = "[[Common.PersistStores]]"

// inlineCommon finds Common = { … }, which TOML closes to all that follows; not
// every reader of it minds.
var inlineCommon = regexp.MustCompile(`(?mi)^[ \t]*"?common"?[ \t]*=`)

// AppendStores adds sections, each of which begins with [[Common.PersistStores]],
// to the text of a configuration. They stand behind all that is there, which
// stays byte for byte, in the file's own kind of lines. The result is read again:
// it has to say what the file said, and those stores besides. A file that says it
// in a form that cannot be added to is an error.
func AppendStores(path string, raw []byte, sections []string) ([]byte, error) {
	before, err := decodeAny(path, raw)
	if err != nil {
		return nil, err
	}
	common, stores := spelling(before)
	text := strings.ReplaceAll("\n"+strings.Join(sections, "\n"), storesHeader, "[["+common+"."+stores+"]]")
	if len(raw) == 0 {
		text = text[1:]
	} else if !bytes.HasSuffix(raw, []byte("\n")) {
		text = "\n" + text
	}
	if bytes.Contains(raw, []byte("\r\n")) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	out := append(bytes.Clone(raw), text...)
	after, err := decodeAny(path, out)
	if err != nil || inlineCommon.Match(raw) || !onlyAdded(before, after, common, stores, len(sections)) {
		return nil, fault.New("add the sections by hand (without --write-config they are printed); "+
			"stores written as PersistStores = [ … ] have to become sections of their own first",
			"%s: sections cannot be added behind what is there", path)
	}
	return out, nil
}

func decodeAny(path string, raw []byte) (map[string]any, error) {
	var out map[string]any
	if _, err := toml.Decode(string(raw), &out); err != nil {
		return nil, configError(path, err)
	}
	return out, nil
}

// spelling returns how the file writes Common and PersistStores: damocles does not
// tell upper case from lower, and two spellings would be two tables.
func spelling(file map[string]any) (common, stores string) {
	common, stores = "Common", "PersistStores"
	for key, value := range file {
		if !strings.EqualFold(key, common) {
			continue
		}
		common = key
		table, _ := value.(map[string]any)
		for key := range table {
			if strings.EqualFold(key, stores) {
				stores = key
			}
		}
	}
	return common, stores
}

// onlyAdded takes the n stores that are new out of after, and holds the rest
// against before.
func onlyAdded(before, after map[string]any, common, stores string, n int) bool {
	table, ok := after[common].(map[string]any)
	if !ok {
		return false
	}
	list, ok := table[stores].([]map[string]any)
	if !ok || len(list) < n {
		return false
	}
	old, had := before[common].(map[string]any)
	if _, any := old[stores]; any {
		table[stores] = list[:len(list)-n]
	} else {
		if len(list) != n {
			return false
		}
		delete(table, stores)
	}
	if !had && len(table) == 0 {
		delete(after, common)
	}
	return sameConfig(before, after)
}

func sameConfig(a, b map[string]any) bool {
	return (len(a) == 0 && len(b) == 0) || reflect.DeepEqual(a, b)
}
