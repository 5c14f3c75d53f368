package damocles

import (
	"fmt"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

type tomlKind int

const (
	tomlTable tomlKind = iota
	tomlArray
	tomlString
	tomlInt
	tomlFloat
	tomlBool
	tomlTime
)

func (k tomlKind) String() string {
	return [...]string{"a section", "a list", "a text", "a whole number", "a number with a point", "true or false", "a date"}[k]
}

// tomlNode is a value of a TOML file with the line that it begins on. The reader
// that damocles uses, and so LoadConfig, knows no lines.
type tomlNode struct {
	kind tomlKind
	name string // the key; empty in a list
	line int
	text string      // of a scalar
	list []*tomlNode // of an array
	keys []*tomlNode // of a table
	// given is a table or a list that was written itself, and not only came with
	// what is in it; open is a list of [[sections]], that more may be added to.
	given, open bool
}

// child returns the key of a table; nil where it is not there.
func (n *tomlNode) child(name string) *tomlNode {
	for _, k := range n.keys {
		if k.name == name {
			return k
		}
	}
	return nil
}

// find is child as damocles looks: the exact name first, and then in any case.
func (n *tomlNode) find(name string) *tomlNode {
	if n == nil {
		return nil
	}
	if k := n.child(name); k != nil {
		return k
	}
	for _, k := range n.keys {
		if strings.EqualFold(k.name, name) {
			return k
		}
	}
	return nil
}

// tables returns the sections under a key: of a list those in it.
func (n *tomlNode) tables(name string) []*tomlNode {
	at := n.find(name)
	if at == nil {
		return nil
	}
	var out []*tomlNode
	for _, t := range at.list {
		if t.kind == tomlTable {
			out = append(out, t)
		}
	}
	return out
}

// tomlFlaw is what is wrong with the text itself. It quotes no values.
type tomlFlaw struct {
	line int
	key  string
	text string
	hint string
}

// tomlReader builds the tree of one text.
type tomlReader struct {
	parser unstable.Parser
	starts []int // offsets of the lines
	root   *tomlNode
	at     *tomlNode // the section that keys go to; nil below a broken header
	last   int       // line of the last statement that was read
	flaws  []tomlFlaw
}

func newTOMLReader(data []byte) *tomlReader {
	r := &tomlReader{starts: []int{0}, root: &tomlNode{line: 1}}
	for i, b := range data {
		if b == '\n' {
			r.starts = append(r.starts, i+1)
		}
	}
	r.at = r.root
	r.parser.Reset(data)
	return r
}

func (r *tomlReader) lineAt(offset int) int { return max(1, sort.SearchInts(r.starts, offset+1)) }

func (r *tomlReader) line(n *unstable.Node) int { return r.lineAt(int(n.Raw.Offset)) }

// read reads all statements, up to one that is no TOML.
func (r *tomlReader) read() error {
	for r.parser.NextExpression() {
		switch e := r.parser.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			r.header(e)
		case unstable.KeyValue:
			r.keyValue(r.at, e)
		}
	}
	return r.parser.Error()
}

// path takes the parts of a dotted key.
func (r *tomlReader) path(e *unstable.Node) (parts []string, line int) {
	for it := e.Key(); it.Next(); {
		if line == 0 {
			line = r.line(it.Node())
		}
		parts = append(parts, string(it.Node().Data))
	}
	r.last = max(r.last, line)
	return parts, line
}

func (r *tomlReader) header(e *unstable.Node) {
	path, line := r.path(e)
	parent, name := r.walk(r.root, path, line), path[len(path)-1]
	r.at = nil
	if parent == nil {
		return
	}
	at := parent.child(name)
	if e.Kind == unstable.ArrayTable {
		if at == nil {
			at = &tomlNode{kind: tomlArray, name: name, line: line, given: true, open: true}
			parent.keys = append(parent.keys, at)
		}
		if !at.open {
			r.twice(path, line, at)
			return
		}
		r.at = &tomlNode{line: line, given: true}
		at.list = append(at.list, r.at)
		return
	}
	if at == nil {
		at = &tomlNode{name: name, line: line}
		parent.keys = append(parent.keys, at)
	}
	if at.kind != tomlTable || at.given {
		r.twice(path, line, at)
		return
	}
	at.given, at.line = true, line
	r.at = at
}

// walk goes down to the table that the last part of the path belongs to; nil
// where something else is in the way.
func (r *tomlReader) walk(at *tomlNode, path []string, line int) *tomlNode {
	for i, name := range path[:len(path)-1] {
		next := at.child(name)
		switch {
		case next == nil:
			next = &tomlNode{name: name, line: line}
			at.keys = append(at.keys, next)
		case next.open:
			next = next.list[len(next.list)-1]
		case next.kind != tomlTable:
			r.twice(path[:i+1], line, next)
			return nil
		}
		at = next
	}
	return at
}

func (r *tomlReader) keyValue(at *tomlNode, e *unstable.Node) {
	path, line := r.path(e)
	value := r.value(e.Value(), line)
	if at == nil {
		return
	}
	parent := r.walk(at, path, line)
	if parent == nil {
		return
	}
	value.name = path[len(path)-1]
	if old := parent.child(value.name); old != nil {
		r.twice(path, line, old)
		return
	}
	parent.keys = append(parent.keys, value)
}

func (r *tomlReader) twice(path []string, line int, old *tomlNode) {
	r.flaws = append(r.flaws, tomlFlaw{
		line: line, key: shownKey(path...), text: fmt.Sprintf("it is written twice, first on line %d", old.line),
		hint: "keep one of them",
	})
}

// value builds a value that belongs to the key on a line. Only scalars know
// where they are themselves.
func (r *tomlReader) value(n *unstable.Node, line int) *tomlNode {
	out := &tomlNode{line: line, text: string(n.Data), given: true}
	switch n.Kind {
	case unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			r.keyValue(out, it.Node())
		}
		return out
	case unstable.Array:
		out.kind = tomlArray
		for it := n.Children(); it.Next(); {
			item := r.value(it.Node(), line)
			if item.kind == tomlTable && len(item.keys) > 0 {
				item.line = item.keys[0].line
			}
			line = item.line
			out.list = append(out.list, item)
		}
		return out
	case unstable.String:
		out.kind = tomlString
	case unstable.Integer:
		out.kind = tomlInt
	case unstable.Float:
		out.kind = tomlFloat
	case unstable.Bool:
		out.kind = tomlBool
	default:
		out.kind = tomlTime
	}
	if n.Raw.Length > 0 {
		out.line = r.line(n)
	}
	r.last = max(r.last, r.lineAt(int(n.Raw.Offset+n.Raw.Length)-1))
	return out
}
