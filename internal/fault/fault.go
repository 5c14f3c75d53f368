// Package fault holds the errors that people see: what went wrong, what to do
// next, and of which kind it is. It knows nothing of exit codes or of how an
// error is printed; the command line turns a kind into a code in one place.
package fault

import (
	"errors"
	"fmt"
)

// Kind says whose turn it is after an error.
type Kind int

const (
	// Failed is any error that no other kind describes.
	Failed Kind = iota
	// Usage is a command line that cannot be carried out as it was typed.
	Usage
	// Refused is a precondition that does not hold: a program is running, the
	// repo belongs to another miner, a database is corrupt. Nothing was changed.
	Refused
)

// Error is an error with its kind and the next step for the one who reads it.
// Either may be zero.
type Error struct {
	Kind Kind
	Hint string
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Refuse makes an error of kind Refused. The format takes %w.
func Refuse(hint, format string, args ...any) error {
	return &Error{Kind: Refused, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// BadUsage makes an error of kind Usage. The format takes %w.
func BadUsage(hint, format string, args ...any) error {
	return &Error{Kind: Usage, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// New makes an error of kind Failed with a hint. The format takes %w.
func New(hint, format string, args ...any) error {
	return &Error{Hint: hint, Err: fmt.Errorf(format, args...)}
}

// KindOf returns the kind of the outermost Error that err wraps and whose kind
// is not Failed; Failed where there is none.
func KindOf(err error) Kind {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return Failed
		}
		if e.Kind != Failed {
			return e.Kind
		}
		err = e.Err
	}
	return Failed
}

// HintOf returns the outermost hint that err carries, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
