package damocles

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// ConfigProblem is something in sector-manager.cfg that is wrong, or that may
// not be what was meant.
type ConfigProblem struct {
	// Line is within the file, from 1.
	Line int
	// Key says where in words of TOML: Common.PersistStores[0].Path. It is empty
	// where the text itself is broken.
	Key string
	// Text is what is wrong and Hint what to do. Neither ever holds a token, a
	// DSN, or the address of a node.
	Text, Hint string
	// Fatal problems keep damocles from starting, or let it do another thing
	// than the file says. All others only need to be told.
	Fatal bool
}

// CheckConfig checks a whole configuration at once, against what damocles v0.13
// knows and against the directories that it names, and returns every problem in
// the order of its lines. A text that LoadConfig refuses has a fatal one.
func CheckConfig(path string, raw []byte) []ConfigProblem {
	return checkConfig(path, raw, configDisk{stat: os.Stat, glob: filepath.Glob, read: os.ReadFile, real: filepath.EvalSymlinks})
}

// configDisk is what a check looks at outside of the file.
type configDisk struct {
	stat func(string) (fs.FileInfo, error)
	glob func(string) ([]string, error)
	read func(string) ([]byte, error)
	real func(string) (string, error)
}

// configCheck collects problems.
type configCheck struct {
	disk  configDisk
	lines int
	found []ConfigProblem
	names map[string]place // stores by their name
	dirs  map[string]place // and by their directory, links resolved
}

// place is where something was first.
type place struct {
	key  string
	line int
}

func checkConfig(path string, raw []byte, disk configDisk) []ConfigProblem {
	c := &configCheck{
		disk: disk, lines: 1 + strings.Count(strings.TrimSuffix(string(raw), "\n"), "\n"),
		names: map[string]place{}, dirs: map[string]place{},
	}
	root := c.text(raw)
	c.table(configSchema(), root, "")
	common := root.find("Common")
	c.database(common)
	c.pieceStores(common)
	c.persistStores(common)
	c.scans(common)
	c.miners(root)
	c.judge(path, raw)
	slices.SortStableFunc(c.found, func(a, b ConfigProblem) int { return a.Line - b.Line })
	return slices.Compact(c.found)
}

// text reads the file. The library that damocles uses has the last word on
// whether it is TOML, but knows one error at a time.
func (c *configCheck) text(raw []byte) *tomlNode {
	root, flaws := readTOML(raw)
	_, err := toml.Decode(string(raw), new(map[string]any))
	for _, f := range flaws {
		c.add(err != nil, f.line, f.key, f.text, f.hint)
	}
	if err != nil && len(flaws) == 0 {
		line, text := decodeProblem(err)
		c.fatal(line, "", text, "correct the line; damocles-manager would not start with it either")
	}
	return root
}

// judge asks LoadConfig, where nothing was found that it could refuse.
func (c *configCheck) judge(path string, raw []byte) {
	if slices.ContainsFunc(c.found, func(p ConfigProblem) bool { return p.Fatal }) {
		return
	}
	cfg, err := decodeConfig(path, raw)
	if err == nil {
		err = cfg.complete()
	}
	if err != nil {
		line, text := decodeProblem(err)
		c.fatal(line, "", text, "correct it; damocles-manager would not start with it either")
	}
}

// decodeProblem says what the library says without what it quotes of the file.
func decodeProblem(err error) (line int, text string) {
	line, text = 1, err.Error()
	if bad, ok := errors.AsType[toml.ParseError](err); ok {
		line, text = bad.Position.Line, bad.Message
	}
	text, _, _ = strings.Cut(text, "; destination has type")
	return line, strings.TrimPrefix(quoted.ReplaceAllString(text, "…"), "toml: ")
}

func (c *configCheck) add(fatal bool, line int, key, text, hint string) {
	c.found = append(c.found, ConfigProblem{Line: min(max(line, 1), c.lines), Key: key, Text: text, Hint: hint, Fatal: fatal})
}

func (c *configCheck) fatal(line int, key, text, hint string) { c.add(true, line, key, text, hint) }

func (c *configCheck) tell(line int, key, text, hint string) { c.add(false, line, key, text, hint) }

// table checks the keys of a section, and what is in them.
func (c *configCheck) table(schema []configKey, at *tomlNode, path string) {
	seen := map[string]*tomlNode{}
	for _, n := range at.keys {
		k, known := findKey(schema, n.name)
		if !known {
			c.unknown(schema, n, path)
			continue
		}
		key := join(path, k.name)
		if k.gone != "" {
			c.tell(n.line, key, "damocles-manager v0.13 reads this no longer", k.gone)
			continue
		}
		if first := seen[k.name]; first != nil {
			c.fatal(n.line, key, "it is written as "+shownKey(first.name)+" and as "+shownKey(n.name)+", which is the same to damocles-manager: either may be taken",
				"keep one of them, and write it "+k.name)
		}
		seen[k.name] = cmp.Or(seen[k.name], n)
		c.value(k, n, key)
	}
}

// findKey looks a key up as damocles does.
func findKey(schema []configKey, name string) (configKey, bool) {
	for _, k := range schema {
		if k.name == name {
			return k, true
		}
	}
	for _, k := range schema {
		if strings.EqualFold(k.name, name) {
			return k, true
		}
	}
	return configKey{}, false
}

// unknown tells of a key that is not known. A newer damocles may know it.
func (c *configCheck) unknown(schema []configKey, n *tomlNode, path string) {
	hint := "take it out, or look up what your version of damocles-manager calls it"
	if near := nearKey(schema, n.name); near != "" {
		hint = "did you mean " + near + "?"
	} else if sections := sectionsOf(configSchema(), "", n.name); len(sections) > 0 && len(sections) <= 3 {
		hint = "it belongs into " + strings.Join(sections, " or ") + ": a key is part of the section above it"
	}
	c.tell(n.line, join(path, shownKey(n.name)), "damocles-manager v0.13 knows no such key, and does not read it", hint)
}

// sectionsOf returns the headers of the sections that have a key.
func sectionsOf(schema []configKey, path, name string) []string {
	var out []string
	for _, k := range schema {
		at := join(path, k.name)
		if _, known := findKey(k.keys, name); known && k.kind == kindTables {
			out = append(out, "[["+at+"]]")
		} else if known {
			out = append(out, "["+at+"]")
		}
		out = append(out, sectionsOf(k.keys, at, name)...)
	}
	return out
}

// nearKey returns the key that a name was most likely to be; empty where none is
// near. Two letters may differ, and no more than a third of them.
func nearKey(schema []configKey, name string) string {
	best, near := 3, ""
	for _, k := range schema {
		d := distance(strings.ToLower(k.name), strings.ToLower(name))
		if d < best && d*3 <= len(k.name) {
			best, near = d, k.name
		}
	}
	return near
}

// distance is how many letters have to be changed, put in or taken out.
func distance(a, b string) int {
	if len(b) > len(a)+3 {
		return len(b) - len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
