package serve

import (
	"encoding/json"
	"errors"
	"net/http"
)

// answer is what comes of a call: a body, or a list that is yet to be written.
type answer struct {
	status int // of HTTP
	code   int // for Observe
	body   []byte
	list   Elements
}

// The keys stand in the original's order: the result before the id, an error
// after it.
const (
	head       = `{"jsonrpc":"2.0"`
	resultKey  = `,"result":`
	idKey      = `,"id":`
	errorKey   = `,"error":`
	tail       = "}\n"
	noID       = "null"
	retryAfter = "1"
)

// resultOf is the body of a result; nil is no result.
func resultOf(id, result json.RawMessage) []byte {
	b := make([]byte, 0, len(head)+len(resultKey)+len(result)+len(idKey)+len(id)+len(tail))
	b = append(b, head...)
	if result != nil {
		b = append(append(b, resultKey...), result...)
	}
	b = append(append(b, idKey...), id...)
	return append(b, tail...)
}

// failed is the answer that an error makes.
func failed(id json.RawMessage, err error) answer {
	if errors.Is(err, errBusy) {
		return busy(id)
	}
	e := asError(err)
	a := answer{status: http.StatusOK, code: e.Code, body: errorOf(id, e)}
	if e.Code >= -32768 && e.Code <= -32000 {
		a.status = http.StatusInternalServerError
	}
	return a
}

// busy is a call that found no place. On a WebSocket its body says so.
func busy(id json.RawMessage) answer {
	return answer{status: http.StatusServiceUnavailable, code: http.StatusServiceUnavailable,
		body: errorOf(id, &Error{Code: 1, Message: errBusy.Error()})}
}

func errorOf(id json.RawMessage, e *Error) []byte {
	if id == nil {
		id = json.RawMessage(noID)
	}
	text, err := json.Marshal(e)
	if err != nil { // a number and a string always marshal
		text = []byte(noID)
	}
	b := append(append([]byte(head), idKey...), id...)
	b = append(append(b, errorKey...), text...)
	return append(b, tail...)
}

func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: 1, Message: err.Error()}
}
