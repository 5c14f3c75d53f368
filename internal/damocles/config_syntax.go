package damocles

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// maxFlaws bounds how often a text is read again after a statement that is no
// TOML was taken out of it.
const maxFlaws = 20

var (
	statement = regexp.MustCompile(`^\s*[^\s#\]},]`)
	character = regexp.MustCompile(`(:| but got)? U\+[0-9A-F]+( '.*')?`)
	quoted    = regexp.MustCompile(`"[^"]*"|'[^']*'`)
)

// readTOML reads a text as far as it can be read, and tells everything that is
// wrong with it: a statement that is no TOML is left out, and the rest is read.
func readTOML(raw []byte) (*tomlNode, []tomlFlaw) {
	data := bytes.Clone(raw)
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) { // damocles skips it, too
		copy(data, "   ")
	}
	var broken []tomlFlaw
	for {
		r := newTOMLReader(data)
		err := r.read()
		if err == nil {
			return r.root, append(broken, r.flaws...)
		}
		line := r.errorLine(err)
		from := r.statementBefore(data, line)
		broken = append(broken, syntaxFlaw(err, from, line))
		if len(broken) == maxFlaws || !r.blank(data, from, line) {
			return r.root, append(broken, r.flaws...)
		}
	}
}

func (r *tomlReader) errorLine(err error) int {
	bad, ok := errors.AsType[*unstable.ParserError](err)
	if !ok {
		return 1
	}
	offset := cap(r.parser.Data()) - cap(bad.Highlight)
	return r.lineAt(min(max(offset, 0), max(len(r.parser.Data())-1, 0)))
}

// statementBefore returns the line on which the statement begins that failed on
// a line: the first one after what was read that is more than the end of it.
func (r *tomlReader) statementBefore(data []byte, line int) int {
	for from := r.last + 1; from < line; from++ {
		text := data[r.starts[from-1]:r.starts[from]]
		if statement.Match(text) && !bytes.HasPrefix(bytes.TrimSpace(text), []byte(`"""`)) && !bytes.HasPrefix(bytes.TrimSpace(text), []byte(`'''`)) {
			return from
		}
	}
	return line
}

// blank overwrites lines with spaces, so that all others keep their numbers. It
// returns false where there was nothing to overwrite.
func (r *tomlReader) blank(data []byte, from, to int) bool {
	end := len(data)
	if to < len(r.starts) {
		end = r.starts[to]
	}
	changed := false
	for i := r.starts[from-1]; i < end; i++ {
		if b := data[i]; b != ' ' && b != '\n' && b != '\r' {
			data[i], changed = ' ', true
		}
	}
	return changed
}

// syntaxFlaw leaves out the character that the parser quotes: it may be one of a
// token without quotes.
func syntaxFlaw(err error, from, line int) tomlFlaw {
	text := "this is no TOML: " + strings.TrimSpace(character.ReplaceAllString(err.Error(), ""))
	if from != line {
		text += fmt.Sprintf(" (in what begins on line %d)", from)
	}
	return tomlFlaw{line: line, text: text, hint: `a line is a [section], or KEY = VALUE with texts in "quotes"; # begins a comment`}
}

// shownKey writes a key as it stands in TOML.
func shownKey(parts ...string) string {
	var out []string
	for _, p := range parts {
		if !bareKey.MatchString(p) {
			p = fmt.Sprintf("%q", p)
		}
		out = append(out, p)
	}
	return strings.Join(out, ".")
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
