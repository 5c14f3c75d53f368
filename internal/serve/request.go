package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// request is one call. Keys that are not here, such as meta, say nothing to us.
// The type's name is part of the original's error texts.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// maxID bounds an id, which is sent back; those of real clients are counters.
const maxID = 256

// decode reads a request. The error is the answer; where the request has an id,
// it is set even so.
func decode(data []byte) (request, *Error) {
	var req request
	err := json.Unmarshal(data, &req)
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		// The original takes the first value, whatever follows it.
		err = json.NewDecoder(bytes.NewReader(data)).Decode(&req)
	}
	switch fault := req.checkID(); {
	case fault != nil:
		req.ID = nil
		return req, fault
	case err != nil:
		return req, wrapped(CodeParse, "unmarshaling request: %s", err)
	}
	return req, nil
}

// checkID takes numbers and strings. null is no id, as it is for the original.
func (r *request) checkID() *Error {
	if len(r.ID) == 0 {
		return nil
	}
	switch c := r.ID[0]; {
	case c == 'n':
		r.ID = nil
		return nil
	case c != '"' && c != '-' && (c < '0' || c > '9'):
		return protocol(CodeInvalidRequest, "the id is neither a number nor a string")
	case len(r.ID) > maxID:
		return protocol(CodeInvalidRequest, "the id is longer than %d bytes", maxID)
	case !utf8.Valid(r.ID):
		return protocol(CodeInvalidRequest, "the id is not UTF-8")
	case c == '"':
		return r.rewriteID()
	}
	return nil
}

// rewriteID writes a text as the original sends it back, with its own escapes. A
// number stays as it came: the original would round a large one.
func (r *request) rewriteID() *Error {
	var id string
	err := json.Unmarshal(r.ID, &id)
	if err == nil {
		r.ID, err = json.Marshal(id)
	}
	if err != nil {
		return protocol(CodeInvalidRequest, "the id is no text")
	}
	return nil
}

// isNotification is whether nobody waits for an answer.
func (r *request) isNotification() bool { return r.ID == nil }

// name is the method as messages show it: it comes from outside, and its length
// is bounded by that of the request only.
func (r *request) name() string {
	const most = 128
	if len(r.Method) > most {
		return r.Method[:most] + "…"
	}
	return r.Method
}

// params returns exactly n parameters. They are counted before they are decoded:
// millions of them fit into a request, and each would cost far more than its bytes.
func (r *request) params(n int) ([]json.RawMessage, *Error) {
	count, fail := r.countParams()
	if fail != nil {
		return nil, fail
	}
	if count != n {
		return nil, protocol(CodeInvalidParams, "wrong param count (method '%s'): %d != %d", r.name(), count, n)
	}
	params := make([]json.RawMessage, 0, n)
	if n == 0 {
		return params, nil
	}
	if err := json.Unmarshal(r.Params, &params); err != nil {
		return nil, wrapped(CodeParse, "unmarshaling param array: %s", err)
	}
	return params, nil
}

// countParams counts in what is known to be one JSON value.
func (r *request) countParams() (int, *Error) {
	if len(r.Params) == 0 || r.Params[0] == 'n' {
		return 0, nil
	}
	if r.Params[0] != '[' {
		return 0, wrapped(CodeParse, "unmarshaling param array: json: cannot unmarshal %s into Go value of type []jsonrpc.param",
			kindOf(r.Params[0]))
	}
	commas, depth, quoted, empty := 0, 0, false, true
	for i := 1; i < len(r.Params)-1; i++ {
		c := r.Params[i]
		switch {
		case quoted:
			if c == '\\' {
				i++
			}
			quoted = c != '"'
			continue
		case c == ' ', c == '\t', c == '\n', c == '\r':
			continue
		case c == ',' && depth == 0:
			commas++
		case c == '"':
			quoted = true
		case c == '[', c == '{':
			depth++
		case c == ']', c == '}':
			depth--
		}
		empty = false
	}
	if empty {
		return 0, nil
	}
	return commas + 1, nil
}

// kindOf names a JSON value as encoding/json does in its errors.
func kindOf(first byte) string {
	switch first {
	case '{':
		return "object"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	}
	return "number"
}
