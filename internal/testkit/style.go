package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// style is how a program frames its replies. The two JSON-RPC libraries differ
// in the order of keys, in void results and in the text of protocol errors.
type style int

const (
	lotusStyle style = iota
	damoclesStyle
)

// protocol is the text of an error of the protocol itself.
func (s style) protocol(code int, text string) string {
	if s == damoclesStyle {
		return fmt.Sprintf("(error code %d) %s", code, text)
	}
	return text
}

func (s style) write(w http.ResponseWriter, status int, id json.RawMessage, result any, err error) {
	if id == nil {
		id = json.RawMessage("null")
	}
	body, merr := s.body(id, result, err)
	if merr != nil {
		http.Error(w, merr.Error(), http.StatusInternalServerError)
		return
	}
	if s == lotusStyle {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// body marshals in the order of keys of the real program.
func (s style) body(id json.RawMessage, result any, err error) ([]byte, error) {
	fail := asError(err)
	if s == lotusStyle {
		if fail != nil {
			return json.Marshal(map[string]any{"error": fail, "id": id, "jsonrpc": "2.0"})
		}
		if _, ok := result.(void); ok {
			result = nil
		}
		return json.Marshal(map[string]any{"id": id, "jsonrpc": "2.0", "result": result})
	}
	reply := struct {
		Version string          `json:"jsonrpc"`
		Result  any             `json:"result,omitempty"`
		ID      json.RawMessage `json:"id"`
		Error   *Error          `json:"error,omitempty"`
	}{"2.0", result, id, fail}
	switch {
	case result == nil && fail == nil:
		reply.Result = json.RawMessage("null")
	case result == void{}, fail != nil:
		reply.Result = nil
	}
	return json.Marshal(reply)
}

func asError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{1, err.Error()}
}
