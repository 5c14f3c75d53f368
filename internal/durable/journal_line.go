package durable

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Header says what a journal is about.
type Header struct {
	Command string    // the command that made it, such as "import"
	Miner   string    // the miner actor, such as "f01000"
	Target  string    // what is changed: the absolute directory of the home or repo
	Backup  string    // the backup that was made first, or ""
	Started time.Time // of the first run
}

// Entry is one change: what stood under a key before, and what will stand there.
type Entry struct {
	Store  string    // which of the target's databases
	Key    string    // valid UTF-8
	Before []byte    // nil: the key was not there
	After  *[32]byte // Sum of the new value; nil: the key is deleted
}

// Sum is the sum of a value as Entry.After keeps it: its SHA-256.
func Sum(b []byte) [32]byte { return sha256.Sum256(b) }

const journalVersion = 1

// headerLine and its kin fix the order and the names of the fields.
type headerLine struct {
	Type    string    `json:"type"`
	Version int       `json:"version"`
	Command string    `json:"command"`
	Miner   string    `json:"miner"`
	Target  string    `json:"target"`
	Backup  string    `json:"backup"`
	Started time.Time `json:"started"`
}

type runLine struct {
	Type    string    `json:"type"`
	Started time.Time `json:"started"`
}

type endLine struct {
	Type  string    `json:"type"`
	Ended time.Time `json:"ended"`
}

// appendLine appends v, one of the rare lines, and a newline to b.
func appendLine(b []byte, v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(append(b, line...), '\n'), nil
}

// appendChange appends e as a line to b. It is written out by hand because a
// journal has a line for each of a million sectors.
func appendChange(b []byte, e Entry) ([]byte, error) {
	if !utf8.ValidString(e.Store) || !utf8.ValidString(e.Key) {
		return b, fmt.Errorf("key %q of store %q is not valid UTF-8", e.Key, e.Store)
	}
	b = append(b, `{"type":"change","store":`...)
	b = appendString(b, e.Store)
	b = append(b, `,"key":`...)
	b = appendString(b, e.Key)
	b = append(b, `,"before":`...)
	if e.Before == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, e.Before)
		b = append(b, '"')
	}
	b = append(b, `,"after":`...)
	if e.After == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, '"')
		b = hex.AppendEncode(b, e.After[:])
		b = append(b, '"')
	}
	return append(b, "}\n"...), nil
}

// appendString appends s, valid UTF-8, as a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// parseChange reads what appendChange wrote, ten times as fast as package json
// does, and leaves to that package any line that looks different.
func parseChange(line []byte) (Entry, error) {
	p := changeParser{rest: line, ok: true}
	p.lit(`{"type":"change","store":`)
	store := p.str()
	p.lit(`,"key":`)
	key := p.str()
	p.lit(`,"before":`)
	before := p.str()
	p.lit(`,"after":`)
	after := p.str()
	p.lit("}")
	if !p.ok || len(p.rest) > 0 || store == nil || key == nil {
		return parseAnyChange(line)
	}
	e := Entry{Store: string(store), Key: string(key)}
	return e, e.decode(before, after)
}

// parseAnyChange is strict: a field that is not there would read as "the key
// was not there", and an undo would delete the key.
func parseAnyChange(line []byte) (Entry, error) {
	var c struct {
		Store, Key    *string
		Before, After json.RawMessage
	}
	if err := json.Unmarshal(line, &c); err != nil {
		return Entry{}, err
	}
	if c.Store == nil || c.Key == nil || c.Before == nil || c.After == nil {
		return Entry{}, errors.New("a change lacks store, key, before or after")
	}
	e := Entry{Store: *c.Store, Key: *c.Key}
	var before, after *string
	err := json.Unmarshal(c.Before, &before)
	if err == nil {
		err = json.Unmarshal(c.After, &after)
	}
	if err != nil {
		return Entry{}, err
	}
	return e, e.decode(bytesOf(before), bytesOf(after))
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

// decode sets Before and After from their text; nil is null.
func (e *Entry) decode(before, after []byte) error {
	if before != nil {
		b, err := base64.StdEncoding.AppendDecode([]byte{}, before)
		if err != nil {
			return fmt.Errorf("before: %w", err)
		}
		e.Before = b
	}
	if after != nil {
		sum, err := hex.AppendDecode(nil, after)
		if err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("after is no SHA-256: %q", after)
		}
		e.After = (*[32]byte)(sum)
	}
	return nil
}

// changeParser takes a line apart from the left; ok turns false at the first
// thing that it does not know.
type changeParser struct {
	rest []byte
	ok   bool
}

func (p *changeParser) lit(s string) {
	rest, ok := bytes.CutPrefix(p.rest, []byte(s))
	p.rest, p.ok = rest, p.ok && ok
}

// str takes a string without escapes, or null as nil.
func (p *changeParser) str() []byte {
	if rest, ok := bytes.CutPrefix(p.rest, []byte("null")); ok {
		p.rest = rest
		return nil
	}
	p.lit(`"`)
	s, rest, ok := bytes.Cut(p.rest, []byte(`"`))
	p.rest, p.ok = rest, p.ok && ok && bytes.IndexByte(s, '\\') < 0
	return s
}
