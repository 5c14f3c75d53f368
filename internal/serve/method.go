package serve

import (
	"context"
	"encoding/json"
	"fmt"
)

// Perm is what a caller may do.
type Perm int

const (
	// None is a caller who may do nothing.
	None Perm = iota
	// Read looks and changes nothing.
	Read
	// Admin may do everything.
	Admin
)

// String is how a permission is written in a message.
func (p Perm) String() string {
	switch p {
	case Read:
		return "read"
	case Admin:
		return "admin"
	default:
		return "none"
	}
}

// Method answers calls of one name. Call is called from many goroutines at once,
// with exactly Params parameters, each of which is one JSON value. Its ctx ends
// with the connection, and with the server.
//
// The result is Void, a json.RawMessage that is sent as it is, an Elements that is
// sent element by element, or any other value, which is marshalled. An error is
// answered with code 1 and its text, or as it says itself where it is an *Error.
type Method struct {
	Params int
	Perm   Perm
	Call   func(ctx context.Context, params []json.RawMessage) (any, error)
}

// Void is the result of a method that has none: the answer has no key result.
type Void struct{}

// Elements is a result that is a list. It calls emit with each element, in order,
// and stops at an error of emit, which it returns. The element may be reused after
// emit returned. An error before the first element is answered as an error; after
// it, nothing is left but to break the connection, so that nobody takes a part for
// the whole.
type Elements func(ctx context.Context, emit func(json.RawMessage) error) error

// The codes of the JSON-RPC protocol. They are answered with HTTP status 500.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
)

// Error is an error with a code of its own.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// Unreadable says that a parameter cannot be read.
func Unreadable(format string, args ...any) *Error { return wrapped(CodeParse, format, args...) }

// protocol is an error of the protocol itself, in the original's form.
func protocol(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf("(error code %d) ", code) + fmt.Sprintf(format, args...)}
}

// wrapped is one that the original makes with another library, which says the code
// once more at the end.
func wrapped(code int, format string, args ...any) *Error {
	e := protocol(code, format, args...)
	e.Message += fmt.Sprintf(": error code %d", code)
	return e
}
