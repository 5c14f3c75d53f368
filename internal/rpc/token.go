package rpc

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"damocles-manager/internal/fault"
)

// Token is an API token. It prints as ***, however it is printed; only Reveal
// gives it away.
type Token string

// ParseToken takes a token as it stands in a file or a variable: spaces and the
// newline around it are dropped. The error never holds the token.
func ParseToken(s string) (Token, error) {
	s = strings.TrimSpace(s)
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return "", fault.BadUsage("copy the token again: it is one line of letters, digits, dots, - and _",
				"the token holds a character that no token has")
		}
	}
	return Token(s), nil
}

// Reveal returns the token itself, for the Authorization header alone.
func (t Token) Reveal() string { return string(t) }

func (t Token) String() string {
	if t == "" {
		return ""
	}
	return "***"
}

// Format covers every verb of fmt, %#v and %x too.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// GoString is for printers that do not go through fmt.
func (t Token) GoString() string { return t.String() }

// LogValue is what slog writes.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText is what JSON, TOML and the like write.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// redact takes the token out of a text that came from elsewhere: a peer may
// send back what it was sent.
func (t Token) redact(s string) string {
	if t == "" {
		return s
	}
	return strings.ReplaceAll(s, string(t), "***")
}
