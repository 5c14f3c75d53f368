package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"damocles-manager/internal/serve"
)

// patience is how long a test waits for what has to come: far longer than it takes,
// since the machine may be busy with other things.
const patience = time.Minute

// eventually asks again and again until it is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to pass: %s", what)
		}
	}
}

// world is a running server, and what it told of itself.
type world struct {
	t    testing.TB
	srv  *serve.Server
	addr string
	log  *lockedBuffer
	stop func()

	mu    sync.Mutex
	codes map[string]int // "method code" -> times
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start serves the test methods, open to all, with what edit changes.
func start(t testing.TB, edit func(*serve.Options)) *world {
	t.Helper()
	return startAt(t, "127.0.0.1:0", edit)
}

func startAt(t testing.TB, addr string, edit func(*serve.Options)) *world {
	t.Helper()
	w := &world{t: t, log: &lockedBuffer{}, codes: map[string]int{}}
	opts := serve.Options{Methods: methods(), Open: true, Log: slog.New(slog.NewTextHandler(w.log, nil)), Observe: w.observe}
	if edit != nil {
		edit(&opts)
	}
	w.srv = serve.New(opts)
	mux := http.NewServeMux()
	mux.Handle("/rpc/v0", w.srv)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	server := opts.Limits.HTTPServer(mux, nil)
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { done <- server.Serve(opts.Limits.Listener(ln)) })
	w.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = w.srv.Shutdown(ctx)
		_ = server.Close()
		wg.Wait()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *world) observe(method string, _ time.Duration, code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.codes[fmt.Sprint(method, " ", code)]++
}

// seen is all that was observed.
func (w *world) seen() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.codes)
}

func (w *world) observed(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.codes[key]
}

func (w *world) url() string { return "http://" + w.addr + "/rpc/v0" }
func (w *world) ws() string  { return "ws://" + w.addr + "/rpc/v0" }

// post sends a body and returns the answer.
func (w *world) post(body string) (int, http.Header, string) {
	w.t.Helper()
	resp, err := http.Post(w.url(), "application/json", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// raw opens a connection for a request that no client library would send.
func (w *world) raw(text string) net.Conn {
	w.t.Helper()
	conn := w.connect()
	w.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// reply reads one HTTP answer from a raw connection.
func reply(t testing.TB, r *bufio.Reader) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read the answer's body: %v", err)
	}
	return resp.StatusCode, string(body)
}

// connect opens a connection that the test closes itself.
func (w *world) connect() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func (w *world) dial() *websocket.Conn {
	w.t.Helper()
	conn := w.connectWS()
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// connectWS opens a WebSocket that the test closes itself.
func (w *world) connectWS() *websocket.Conn {
	w.t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(w.ws(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return conn
}

// ask sends one message and returns the next.
func ask(t testing.TB, conn *websocket.Conn, body string) string {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(body)); err != nil {
		t.Fatal(err)
	}
	kind, reply, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if kind != websocket.TextMessage {
		t.Fatalf("got a message of kind %d, want text", kind)
	}
	return string(reply)
}

// closed reads until the peer closes, and returns the code: 0 for a connection
// that ended without one.
func closed(t testing.TB, conn *websocket.Conn) int {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			if c, ok := errors.AsType[*websocket.CloseError](err); ok && c.Code != websocket.CloseAbnormalClosure {
				return c.Code
			}
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				t.Fatal("the server did not close")
			}
			return 0
		}
	}
}

func call(method string, params ...string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"T.%s","params":[%s]}`, method, strings.Join(params, ","))
}

// methods are what the tests call.
func methods() map[string]serve.Method {
	plain := func(v any, err error) func(context.Context, []json.RawMessage) (any, error) {
		return func(context.Context, []json.RawMessage) (any, error) { return v, err }
	}
	return map[string]serve.Method{
		"T.Void":    {Perm: serve.Read, Call: plain(serve.Void{}, nil)},
		"T.Null":    {Perm: serve.Read, Call: plain(nil, nil)},
		"T.NoRaw":   {Perm: serve.Read, Call: plain(json.RawMessage(nil), nil)},
		"T.BadRaw":  {Perm: serve.Read, Call: plain(json.RawMessage(`{"a":`), nil)},
		"T.HTML":    {Perm: serve.Read, Call: plain(map[string]string{"a": "<&>"}, nil)},
		"T.Chan":    {Perm: serve.Read, Call: plain(make(chan int), nil)},
		"T.Fail":    {Perm: serve.Read, Call: plain("dropped", errors.New(`no "sector" <1>`))},
		"T.Wrapped": {Perm: serve.Read, Call: plain(nil, fmt.Errorf("outer: %w", &serve.Error{Code: 7, Message: "own"}))},
		"T.Invalid": {Perm: serve.Read, Call: plain(nil, serve.Unreadable("no number"))},
		"T.Panic":   {Perm: serve.Read, Call: func(context.Context, []json.RawMessage) (any, error) { panic("boom") }},
		"T.Forgot":  {Call: plain(true, nil)},
		"T.Admin":   {Params: 1, Perm: serve.Admin, Call: plain(true, nil)},
		"T.Echo": {Params: 1, Perm: serve.Read, Call: func(_ context.Context, p []json.RawMessage) (any, error) {
			return p[0], nil
		}},
		"T.Pair": {Params: 2, Perm: serve.Read, Call: func(_ context.Context, p []json.RawMessage) (any, error) {
			return p, nil
		}},
		"T.Sleep": {Params: 1, Perm: serve.Read, Call: sleep},
		"T.List":  {Params: 2, Perm: serve.Read, Call: list},
	}
}

// sleep takes the milliseconds that it is told, or less if its ctx ends.
func sleep(ctx context.Context, p []json.RawMessage) (any, error) {
	var ms int
	if err := json.Unmarshal(p[0], &ms); err != nil {
		return nil, serve.Unreadable("%s", err)
	}
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return ms, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// list emits so many elements and then does what it is told: "", fail, panic,
// swallow (go on after an error) or empty (an element that is none).
func list(_ context.Context, p []json.RawMessage) (any, error) {
	var n int
	var then string
	if err := errors.Join(json.Unmarshal(p[0], &n), json.Unmarshal(p[1], &then)); err != nil {
		return nil, serve.Unreadable("%s", err)
	}
	return serve.Elements(func(_ context.Context, emit func(json.RawMessage) error) error {
		elem := make([]byte, 0, 64)
		for i := range n {
			elem = fmt.Appendf(elem[:0], `{"Number":%d}`, i)
			if err := emit(elem); err != nil && then != "swallow" {
				return err
			}
		}
		switch then {
		case "fail":
			return errors.New("disk gone")
		case "panic":
			panic("list")
		case "empty":
			_ = emit(nil)
		}
		return nil
	}), nil
}

// settles waits until the number of goroutines is back to what it was.
func settles(t testing.TB, before int) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if now := runtime.NumGoroutine(); now <= before {
			return
		}
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// turnstile is a method whose calls say that they run, and wait until they may end.
type turnstile struct {
	runs chan struct{}
	mu   sync.Mutex
	gate map[int]chan struct{} // by parameter
}

func newTurnstile() *turnstile {
	return &turnstile{runs: make(chan struct{}, 100), gate: map[int]chan struct{}{}}
}

func (s *turnstile) of(n int) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate[n] == nil {
		s.gate[n] = make(chan struct{})
	}
	return s.gate[n]
}

// opens lets the calls with this parameter end.
func (s *turnstile) opens(n int) { close(s.of(n)) }

// waits until so many more calls run.
func (s *turnstile) waits(t testing.TB, calls int) {
	t.Helper()
	for range calls {
		select {
		case <-s.runs:
		case <-time.After(patience):
			t.Fatal("a call does not run")
		}
	}
}

func (s *turnstile) method() serve.Method {
	return serve.Method{Params: 1, Perm: serve.Read, Call: func(ctx context.Context, p []json.RawMessage) (any, error) {
		var n int
		if err := json.Unmarshal(p[0], &n); err != nil {
			return nil, serve.Unreadable("%s", err)
		}
		s.runs <- struct{}{}
		select {
		case <-s.of(n):
			return n, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
}

func itoa(n int) string { return strconv.Itoa(n) }

// readAll reads one HTTP answer to its end, or to where it breaks off.
func readAll(conn net.Conn) (status int, body string, err error) {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// gated emits 1, waits, and then emits 2, or fails.
func gated(gate <-chan struct{}, then ...string) serve.Method {
	return serve.Method{Perm: serve.Read, Call: func(context.Context, []json.RawMessage) (any, error) {
		return serve.Elements(func(_ context.Context, emit func(json.RawMessage) error) error {
			if err := emit(json.RawMessage("1")); err != nil {
				return err
			}
			<-gate
			if len(then) > 0 {
				return errors.New(then[0])
			}
			return emit(json.RawMessage("2"))
		}), nil
	}}
}

// open sends a call and returns the answer as it comes.
func (w *world) open(transport, body string) (r io.Reader, end func()) {
	w.t.Helper()
	if transport == "http" {
		conn := w.raw(header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // the caller does it
		if err != nil {
			w.t.Fatal(err)
		}
		return resp.Body, func() { _ = errors.Join(resp.Body.Close(), conn.Close()) }
	}
	conn := w.dial()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(body)); err != nil {
		w.t.Fatal(err)
	}
	if _, r, err := conn.NextReader(); err == nil {
		return r, func() { _ = conn.Close() }
	}
	w.t.Fatal("no message")
	return nil, nil
}
