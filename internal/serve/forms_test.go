package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"damocles-manager/internal/serve"
)

// Every captured answer of the original, byte for byte, over both transports.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("../../testdata/fixtures/rpc/damocles-manager/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var f struct{ Request, Response json.RawMessage }
			var req struct {
				Method string
				Params []json.RawMessage
			}
			var resp struct {
				Result json.RawMessage
				Error  *serve.Error
			}
			if err := errors.Join(json.Unmarshal(raw, &f), json.Unmarshal(f.Request, &req), json.Unmarshal(f.Response, &resp)); err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, f.Response); err != nil {
				t.Fatal(err)
			}
			want.WriteByte('\n')
			answer := func(context.Context, []json.RawMessage) (any, error) { return result(resp.Result, resp.Error) }
			w := start(t, func(o *serve.Options) {
				o.Methods = map[string]serve.Method{req.Method: {Params: len(req.Params), Call: answer}}
				if resp.Error != nil && resp.Error.Code == serve.CodeMethodNotFound {
					o.Methods = nil
				}
			})
			status, header, got := w.post(string(f.Request))
			if got != want.String() {
				t.Errorf("got  %s\nwant %s", got, want.String())
			}
			if wantStatus := statusOf(resp.Error); status != wantStatus {
				t.Errorf("status %d, want %d", status, wantStatus)
			}
			if got := header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type %q", got)
			}
			if got := ask(t, w.dial(), string(f.Request)); got != want.String() {
				t.Errorf("over WebSocket: got  %s\nwant %s", got, want.String())
			}
		})
	}
}

func statusOf(e *serve.Error) int {
	if e != nil && e.Code < -32000 {
		return 500
	}
	return 200
}

// result gives arrays as a list.
func result(raw json.RawMessage, e *serve.Error) (any, error) {
	if e != nil {
		return nil, errors.New(e.Message)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return nil, err
	}
	var elements []json.RawMessage
	if !bytes.HasPrefix(compact.Bytes(), []byte("[")) {
		return json.RawMessage(compact.Bytes()), nil
	}
	if err := json.Unmarshal(compact.Bytes(), &elements); err != nil {
		return nil, err
	}
	return serve.Elements(func(_ context.Context, emit func(json.RawMessage) error) error {
		for _, e := range elements {
			if err := emit(e); err != nil {
				return err
			}
		}
		return nil
	}), nil
}

// form is a request, and what comes back. ws is the code with which a WebSocket
// is closed instead, or -1 for no answer there.
type form struct {
	name, body string
	status     int
	want       string
	ws         int
}

func forms() []form {
	const ok = `{"jsonrpc":"2.0","result":true,"id":1}`
	return []form{
		{"void has no result", call("Void"), 200, `{"jsonrpc":"2.0","id":1}`, 0},
		{"nil is null", call("Null"), 200, `{"jsonrpc":"2.0","result":null,"id":1}`, 0},
		{"an empty raw result is null", call("NoRaw"), 200, `{"jsonrpc":"2.0","result":null,"id":1}`, 0},
		{"a raw result that is no JSON", call("BadRaw"), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"(error code -32603) marshaling result of 'T.BadRaw': it is not JSON"}}`, 0},
		{"HTML is escaped", call("HTML"), 200, `{"jsonrpc":"2.0","result":{"a":"\u003c\u0026\u003e"},"id":1}`, 0},
		{"what cannot be marshalled", call("Chan"), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"(error code -32603) marshaling result of 'T.Chan': json: unsupported type: chan int"}}`, 0},
		{"an error drops the result", call("Fail"), 200, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no \"sector\" \u003c1\u003e"}}`, 0},
		{"an error with a code, wrapped", call("Wrapped"), 200, `{"jsonrpc":"2.0","id":1,"error":{"code":7,"message":"own"}}`, 0},
		{"invalid params of the method", call("Invalid"), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"(error code -32700) no number: error code -32700"}}`, 0},
		{"a panic", call("Panic"), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":0,"message":"(error code 0) fatal error calling 'T.Panic': panic in rpc method 'T.Panic': boom: error code 0"}}`, 0},
		{"no such method", call("Nope"), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"(error code -32601) method 'T.Nope' not found"}}`, 0},
		{"too few params", call("Admin"), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"(error code -32602) wrong param count (method 'T.Admin'): 0 != 1"}}`, 0},
		{"too many params", call("Admin", "1", "2"), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"(error code -32602) wrong param count (method 'T.Admin'): 2 != 1"}}`, 0},
		{"params that are null count", call("Admin", "null", "null"), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"(error code -32602) wrong param count (method 'T.Admin'): 2 != 1"}}`, 0},
		{"a param that is null", call("Admin", "null"), 200, ok, 0},
		{"params of another kind", `{"jsonrpc":"2.0","id":1,"method":"T.Admin","params":{"a":1}}`, 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"(error code -32700) unmarshaling param array: json: cannot unmarshal object into Go value of type []jsonrpc.param: error code -32700"}}`, 0},
		{"params absent", `{"jsonrpc":"2.0","id":1,"method":"T.Void"}`, 200, `{"jsonrpc":"2.0","id":1}`, 0},
		{"params null", `{"jsonrpc":"2.0","id":1,"method":"T.Void","params":null}`, 200, `{"jsonrpc":"2.0","id":1}`, 0},
		{"params absent where one is needed", `{"jsonrpc":"2.0","id":1,"method":"T.Admin"}`, 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"(error code -32602) wrong param count (method 'T.Admin'): 0 != 1"}}`, 0},
		{"params with everything in them", call("Pair", ` "a,]\\\",{" `, ` {"b":[1,{"c":"]"}],"d,":"\\\\"} `), 200, `{"jsonrpc":"2.0","result":["a,]\\\",{",{"b":[1,{"c":"]"}],"d,":"\\\\"}],"id":1}`, 0},
		{"params of spaces", call("Void", " \t"), 200, `{"jsonrpc":"2.0","id":1}`, 0},
		{"params that is a string", `{"id":1,"method":"T.Void","params":"[]"}`, 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"(error code -32700) unmarshaling param array: json: cannot unmarshal string into Go value of type []jsonrpc.param: error code -32700"}}`, 0},
		{"params as they came", call("Pair", `{"a": [1, "<"]}`, ` "b" `), 200, `{"jsonrpc":"2.0","result":[{"a":[1,"\u003c"]},"b"],"id":1}`, 0},
		{"a raw result as it is", call("Echo", `{"a": "<"}`), 200, `{"jsonrpc":"2.0","result":{"a": "<"},"id":1}`, 0},
		{"a string id", `{"id":"a-\"1","method":"T.Void"}`, 200, `{"jsonrpc":"2.0","id":"a-\"1"}`, 0},
		{"a large id", `{"id":12345678901234567890,"method":"T.Void"}`, 200, `{"jsonrpc":"2.0","id":12345678901234567890}`, 0},
		{"a negative id", `{"id":-1.50,"method":"T.Void"}`, 200, `{"jsonrpc":"2.0","id":-1.50}`, 0},
		{"an empty string id", `{"id":"","method":"T.Void"}`, 200, `{"jsonrpc":"2.0","id":""}`, 0},
		{"an id of another kind", `{"id":[1],"method":"T.Void"}`, 500, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"(error code -32600) the id is neither a number nor a string"}}`, 0},
		{"an id that is true", `{"id":true,"method":"T.Void"}`, 500, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"(error code -32600) the id is neither a number nor a string"}}`, 0},
		{"a long id", `{"id":"` + strings.Repeat("x", 255) + `","method":"T.Void"}`, 500, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"(error code -32600) the id is longer than 256 bytes"}}`, 0},
		{"an id that is not UTF-8", "{\"id\":\"\xff\",\"method\":\"T.Void\"}", 500, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"(error code -32600) the id is not UTF-8"}}`, 0},
		{"a long method", `{"id":1,"method":"` + strings.Repeat("x", 500) + `"}`, 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"(error code -32601) method '` + strings.Repeat("x", 128) + `…' not found"}}`, 0},
		{"keys in any case, others ignored", `{"ID":1,"Method":"T.Void","PARAMS":[],"meta":{"SpanContext":5},"x":{}}`, 200, `{"jsonrpc":"2.0","id":1}`, 0},
		{"a method of another kind", `{"id":1,"method":5}`, 500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"(error code -32700) unmarshaling request: json: cannot unmarshal number into Go struct field request.method of type string: error code -32700"}}`, 0},
		{"spaces around", " \r\n" + call("Void") + "\n\n", 200, `{"jsonrpc":"2.0","id":1}`, 0},
		{"a list", call("List", "3", `""`), 200, `{"jsonrpc":"2.0","result":[{"Number":0},{"Number":1},{"Number":2}],"id":1}`, 0},
		{"an empty list", call("List", "0", `""`), 200, `{"jsonrpc":"2.0","result":[],"id":1}`, 0},
		{"a list that fails at once", call("List", "0", `"fail"`), 200, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"disk gone"}}`, 0},
		{"a list that panics at once", call("List", "0", `"panic"`), 500, `{"jsonrpc":"2.0","id":1,"error":{"code":0,"message":"(error code 0) fatal error calling 'T.List': panic in rpc method 'T.List': list: error code 0"}}`, 0},
		{"a list that begins with nothing", call("List", "0", `"empty"`), 200, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"an element of the list is empty"}}`, 0},
		{"a notification", `{"jsonrpc":"2.0","method":"T.Void"}`, 200, "", -1},
		{"a notification with id null", `{"id":null,"method":"T.Void"}`, 200, "", -1},
		{"a notification of a list", `{"method":"T.List","params":[3,""]}`, 200, "", -1},
		{"a notification that fails", `{"method":"T.Nope"}`, 500, "", -1},
		{"a batch", "[" + call("Void") + "]", 500, "", websocket.CloseInvalidFramePayloadData},
		{"an empty batch", "[]", 500, "", websocket.CloseInvalidFramePayloadData},
		{"half a request", `{"id":1,"method":"T.Void"`, 500, "", websocket.CloseInvalidFramePayloadData},
		{"nothing", "", 500, "", websocket.CloseInvalidFramePayloadData},
		{"a number", "5", 500, "", websocket.CloseInvalidFramePayloadData},
		{"null", "null", 500, "", -1},
		{"two requests, of which the first counts", call("Void") + "\n" + call("Nope"), 200, `{"jsonrpc":"2.0","id":1}`, 0},
		{"something behind the request", call("Void") + ";", 200, `{"jsonrpc":"2.0","id":1}`, 0},
		{"something before the request", ";" + call("Void"), 500, "", websocket.CloseInvalidFramePayloadData},
		{"too deep", `{"id":1,"method":"T.Echo","params":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, 500, "", websocket.CloseInvalidFramePayloadData},
	}
}

func TestForms(t *testing.T) {
	w := start(t, nil)
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			want := f.want
			if want != "" {
				want += "\n"
			}
			status, header, got := w.post(f.body)
			if got != want || status != f.status {
				t.Errorf("got  %d %s\nwant %d %s", status, got, f.status, want)
			}
			for key := range header {
				if strings.HasPrefix(key, "Access-Control") {
					t.Errorf("the answer has a header %s", key)
				}
			}
			conn := w.dial()
			switch {
			case f.ws > 0:
				if err := conn.WriteMessage(websocket.TextMessage, []byte(f.body)); err != nil {
					t.Fatal(err)
				}
				if code := closed(t, conn); code != f.ws {
					t.Errorf("closed with %d, want %d", code, f.ws)
				}
			case f.ws < 0: // the next answer belongs to the next call
				if err := conn.WriteMessage(websocket.TextMessage, []byte(f.body)); err != nil {
					t.Fatal(err)
				}
				if got, want := ask(t, conn, `{"id":99,"method":"T.Void"}`), `{"jsonrpc":"2.0","id":99}`+"\n"; got != want {
					t.Errorf("over WebSocket: got %s want %s", got, want)
				}
			default:
				if got := ask(t, conn, f.body); got != want {
					t.Errorf("over WebSocket: got  %s\nwant %s", got, want)
				}
			}
		})
	}
	if text := w.log.String(); !strings.Contains(text, "panic in a method") || !strings.Contains(text, "setup_test.go") {
		t.Errorf("the log does not show where the panic was:\n%.500s", text)
	}
	for _, key := range []string{"T.Void 0", "T.Fail 1", "T.Panic -32603", "unknown -32601", "refused -32700", "T.List 0"} {
		if w.observed(key) == 0 {
			t.Errorf("nothing was observed as %q: %v", key, w.seen())
		}
	}
	for key := range w.seen() {
		if strings.Contains(key, "Nope") {
			t.Errorf("a made-up method was observed as %q", key)
		}
	}
}

// A part of a list must never look like the whole.
func TestListBreaksOff(t *testing.T) {
	w := start(t, nil)
	for _, then := range []string{"fail", "panic", "empty"} {
		for _, n := range []string{"1", "100000"} {
			body := call("List", n, `"`+then+`"`)
			conn := w.raw("POST /rpc/v0 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
			if status, got, err := readAll(conn); err == nil || status != 200 || !strings.HasPrefix(got, `{"jsonrpc":"2.0","result":[{"Number":0}`) {
				t.Errorf("%s after %s: status %d, error %v, body %.60q", then, n, status, err, got)
			}
			ws := w.dial()
			if err := ws.WriteMessage(websocket.TextMessage, []byte(body)); err != nil {
				t.Fatal(err)
			}
			if code := closed(t, ws); code != websocket.CloseInternalServerErr {
				t.Errorf("%s after %s: closed with %d, want 1011", then, n, code)
			}
		}
	}
	if got := w.observed("T.List -1"); got != 12 {
		t.Errorf("%d broken lists observed, want 12: %v", got, w.seen())
	}
}

func TestUnknownSaysWhy(t *testing.T) {
	w := start(t, func(o *serve.Options) {
		o.Unknown = func(method string) error {
			if method == "T.Seal" {
				return errors.New("not supported here: sealing")
			}
			return nil
		}
	})
	for method, want := range map[string]string{
		"Seal": `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"not supported here: sealing"}}` + "\n",
		"Nope": `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"(error code -32601) method 'T.Nope' not found"}}` + "\n",
	} {
		if _, _, got := w.post(call(method, "1", "2")); got != want {
			t.Errorf("got %s want %s", got, want)
		}
	}
	if w.observed("unknown 1") != 1 || w.observed("unknown -32601") != 1 {
		t.Errorf("observed %v", w.seen())
	}
}
