package serve_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"damocles-manager/internal/serve"
)

// Answers come in the order in which calls end, and calls run side by side.
func TestSocketOrder(t *testing.T) {
	t.Parallel()
	held := newTurnstile()
	w := start(t, func(o *serve.Options) { o.Methods["T.Held"] = held.method() })
	conn := w.dial()
	for i := range 8 {
		text := fmt.Sprintf(`{"id":%d,"method":"T.Held","params":[%d]}`, i, i)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	held.waits(t, 8)
	for i := 7; i >= 0; i-- {
		held.opens(i)
		_, got, err := conn.ReadMessage()
		if want := fmt.Sprintf(`{"jsonrpc":"2.0","result":%d,"id":%d}`+"\n", i, i); err != nil || string(got) != want {
			t.Fatalf("got %s, %v, want %s", got, err, want)
		}
	}
}

// No more calls at once than the limit; the others wait and are all answered.
func TestSocketWaits(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *serve.Options) { o.Limits.PerSocket = 2 })
	conn := w.dial()
	start := time.Now()
	for i := range 6 {
		if err := conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"id":%d,"method":"T.Sleep","params":[100]}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took < 290*time.Millisecond {
		t.Errorf("six calls of 100 ms took %s, two at once", took)
	}
}

// While a list is being written, other answers wait, and pings are answered.
func TestSocketListIsOneMessage(t *testing.T) {
	w := start(t, nil)
	conn := w.dial()
	pongs := 0
	conn.SetPongHandler(func(string) error { pongs++; return nil })
	for _, text := range []string{call("List", "200000", `""`), `{"id":2,"method":"T.Void"}`} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	sizes := map[bool]int{}
	for range 2 {
		_, got, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		sizes[strings.HasSuffix(string(got), `],"id":1}`+"\n")] = len(got)
	}
	if sizes[true] < 3<<20 || sizes[false] != len(`{"jsonrpc":"2.0","id":2}`)+1 {
		t.Errorf("got messages of %v bytes", sizes)
	}
	if pongs != 1 {
		t.Errorf("%d pongs", pongs)
	}
}

// The first element must arrive while the list is still being made.
func TestFirstElementAtOnce(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	w := start(t, func(o *serve.Options) { o.Methods["T.Gated"] = gated(gate) })
	body := call("Gated")
	conn := w.raw(header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
	ws := w.dial()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(body)); err != nil {
		t.Fatal(err)
	}
	_, r, err := ws.NextReader()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 16) // what gorilla sends of a small first fragment
	if _, err := io.ReadFull(r, got); err != nil || !strings.HasPrefix(`{"jsonrpc":"2.0","result":[1`, string(got)) {
		t.Errorf("WebSocket: %q, %v", got, err)
	}
	text := ""
	for buf := make([]byte, 1024); !strings.Contains(text, `"result":[1`); {
		n, err := conn.Read(buf)
		if text += string(buf[:n]); err != nil {
			t.Fatalf("HTTP: %q, %v", text, err)
		}
	}
	close(gate)
	rest, err := io.ReadAll(r)
	if want := `{"jsonrpc":"2.0","result":[1,2],"id":1}` + "\n"; err != nil || string(got)+string(rest) != want {
		t.Errorf("WebSocket: %s%s, %v", got, rest, err)
	}
}

// frame is one WebSocket frame of a client, masked with zeros.
func frame(opcode byte, final bool, payload string) []byte {
	b := []byte{opcode, 0x80}
	if final {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b[1] |= byte(n)
	case n < 1<<16:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func TestSocketFrames(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("frames", func(t *testing.T) {
		w := start(t, func(o *serve.Options) { o.Limits.Body, o.Limits.ReadStep = 2<<20, time.Second })
		big := strings.Repeat("x", 1<<20)
		const void = `{"jsonrpc":"2.0","id":1}` + "\n"
		cont := func(parts ...string) (b []byte) {
			for i, p := range parts {
				b = append(b, frame(byte(min(1, 1-min(i, 1))), i == len(parts)-1, p)...)
			}
			return b
		}
		tests := []struct {
			name string
			send []byte
			want string // or closed with:
			code int
		}{
			{"a frame of 1 MiB", frame(1, true, call("Echo", `"`+big+`"`)), `{"jsonrpc":"2.0","result":"` + big + `","id":1}` + "\n", 0},
			{"fragments", cont(`{"id":1,"me`, `thod":"T.Vo`, ``, `id"}`), void, 0},
			{"fragments with a ping between", append(append(frame(1, false, `{"id":1,`), frame(9, true, "")...), frame(0, true, `"method":"T.Void"}`)...), void, 0},
			{"a binary message", frame(2, true, call("Void")), void, 0},
			{"too large, announced", frame(1, true, strings.Repeat(" ", 3<<20)), "", websocket.CloseMessageTooBig},
			{"too large, in fragments", cont(big, big, big), "", websocket.CloseMessageTooBig},
			{"a continuation of nothing", frame(0, true, "x"), "", websocket.CloseProtocolError},
			{"a message within a message", append(frame(1, false, "{"), frame(1, true, "}")...), "", websocket.CloseProtocolError},
			{"an opcode that is none", frame(3, true, "x"), "", websocket.CloseProtocolError},
			{"a large ping", frame(9, true, strings.Repeat("x", 200)), "", websocket.CloseProtocolError},
			{"reserved bits", append([]byte{0xf1}, frame(1, true, "x")[1:]...), "", websocket.CloseProtocolError},
			{"no mask", []byte{0x81, 0x02, '{', '}'}, "", websocket.CloseProtocolError},
			{"a length beyond all", []byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, "", websocket.CloseMessageTooBig},
			{"half a frame", frame(1, true, call("Void"))[:20], "", 0},
			{"half a message", frame(1, false, `{"id":1`), "", 0},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				conn := w.dial()
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = conn.NetConn().Write(test.send) })
				defer wg.Wait()
				if test.want != "" {
					if _, got, err := conn.ReadMessage(); err != nil || string(got) != test.want {
						t.Errorf("got %.100q, %v", got, err)
					}
					return
				}
				// A reset may overtake the reason where the client is still sending.
				if code := closed(t, conn); code != test.code && code != 0 {
					t.Errorf("closed with %d, want %d", code, test.code)
				}
			})
		}
	})
	settles(t, before)
}

// A message that trickles is cut off, even if the client pings all the while.
func TestSocketTrickles(t *testing.T) {
	t.Parallel()
	w := start(t, short)
	conn := w.dial()
	var wg sync.WaitGroup
	wg.Go(func() {
		send := frame(1, false, "{")
		for _, err := conn.NetConn().Write(send); err == nil; _, err = conn.NetConn().Write(send) {
			send = append(frame(0, false, " "), frame(9, true, "")...)
			time.Sleep(50 * time.Millisecond)
		}
	})
	closed(t, conn)
	wg.Wait()
}

// A silent client that is there stays; one that answers no ping goes.
func TestSocketIdle(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *serve.Options) { o.Limits.Idle = time.Second })
	there, away := w.dial(), w.dial()
	away.SetPingHandler(func(string) error { return nil })
	var wg sync.WaitGroup
	wg.Go(func() { closed(t, away) })
	got := make(chan string, 1)
	wg.Go(func() {
		_, text, _ := there.ReadMessage()
		got <- string(text)
	})
	time.Sleep(3 * time.Second)
	if err := there.WriteMessage(websocket.TextMessage, []byte(call("Void"))); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != `{"jsonrpc":"2.0","id":1}`+"\n" {
		t.Errorf("got %q", text)
	}
	wg.Wait()
}

// A call ends with its connection, or when its client cancels it.
func TestCallEnds(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	ended := func(key string, n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s, %d times", key, n), func() bool { return w.observed(key) >= n })
	}
	conn := w.dial()
	for _, text := range []string{
		`{"id":"a","method":"T.Sleep","params":[60000]}`, `{"method":"xrpc.cancel","params":["b"]}`, `{"method":"xrpc.cancel"}`,
		`{"method":"xrpc.cancel","params":{}}`, `{"method":"xrpc.ch.val","params":[1,2]}`, `{"method":"xrpc.cancel","params":["a"]}`,
	} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	_, got, err := conn.ReadMessage()
	if want := `{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"context canceled"}}` + "\n"; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	ended("T.Sleep 1", 1)
	for range 100 { // more than run at once, or wait
		if err := conn.WriteMessage(websocket.TextMessage, []byte(call("Sleep", "60000"))); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	_ = conn.Close()
	ended("T.Sleep -1", 64)
	body := call("Sleep", "60000")
	_ = w.raw(header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body).Close()
	ended("T.Sleep 1", 2)
}

// A handshake that is none, and what a caller of ours does wrong, end nothing but
// their own connection.
func TestSocketAlone(t *testing.T) {
	w := start(t, func(o *serve.Options) {
		observe := o.Observe
		o.Observe = func(method string, took time.Duration, code int) {
			observe(method, took, code)
			if method == "T.Null" {
				panic("in Observe")
			}
		}
	})
	bad := w.raw("GET /rpc/v0 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if status, _, err := readAll(bad); status != 400 || err != nil {
		t.Errorf("a handshake without a key: %d, %v", status, err)
	}
	hurt, other := w.dial(), w.dial()
	if err := hurt.WriteMessage(websocket.TextMessage, []byte(call("Null"))); err != nil {
		t.Fatal(err)
	}
	closed(t, hurt)
	if got := ask(t, other, call("Void")); got != `{"jsonrpc":"2.0","id":1}`+"\n" {
		t.Errorf("got %q", got)
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	held := newTurnstile()
	w := start(t, func(o *serve.Options) { o.Methods["T.Held"] = held.method() })
	conn, idle := w.dial(), w.dial()
	var wg sync.WaitGroup
	wg.Go(func() {
		if status, _, got := w.post(call("Held", "300")); status != 200 || !strings.Contains(got, "300") {
			t.Errorf("HTTP: %d %q", status, got)
		}
	})
	if err := conn.WriteMessage(websocket.TextMessage, []byte(call("Held", "300"))); err != nil {
		t.Fatal(err)
	}
	held.waits(t, 2)
	wg.Go(func() {
		if code := closed(t, idle); code != websocket.CloseGoingAway {
			t.Errorf("idle: closed with %d", code)
		}
	})
	wg.Go(func() {
		if _, got, err := conn.ReadMessage(); err != nil || !strings.Contains(string(got), "300") {
			t.Errorf("WebSocket: %q, %v", got, err)
		}
		if code := closed(t, conn); code != websocket.CloseGoingAway {
			t.Errorf("closed with %d", code)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	wg.Go(func() { done <- w.srv.Shutdown(ctx) })
	eventually(t, "a new call is sent away", func() bool {
		status, h, _ := w.post(call("Void"))
		return status == 503 && h.Get("Retry-After") != ""
	})
	select {
	case err := <-done:
		t.Errorf("it waited for nothing: %v", err)
	default:
	}
	held.opens(300)
	if err := <-done; err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// A shutdown that has no time left ends the calls.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	held := newTurnstile()
	w := start(t, func(o *serve.Options) { o.Methods["T.Held"] = held.method() })
	conn, body := w.dial(), call("Held", "1")
	if err := conn.WriteMessage(websocket.TextMessage, []byte(body)); err != nil {
		t.Fatal(err)
	}
	raw := w.raw(header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
	held.waits(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := w.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	closed(t, conn)
	if status, got, _ := readAll(raw); status != 200 || !strings.Contains(got, "context canceled") {
		t.Errorf("HTTP: %d %q", status, got)
	}
}

// A list that breaks off while the server shuts down must not hold it up.
func TestShutdownWithBrokenList(t *testing.T) {
	t.Parallel()
	gate, held := make(chan struct{}), newTurnstile()
	w := start(t, func(o *serve.Options) {
		o.Methods["T.Gated"], o.Methods["T.Held"] = gated(gate, "fail"), held.method()
	})
	conn := w.dial()
	for _, text := range []string{call("Gated"), call("Held", "1")} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	held.waits(t, 1) // and the list was asked for before
	held.opens(1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if code := closed(t, conn); code != websocket.CloseInternalServerErr {
			t.Errorf("closed with %d", code)
		}
	})
	wg.Go(func() { time.Sleep(100 * time.Millisecond); close(gate) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// 10,000 requests that are nearly good: the server answers or closes, and is as it
// was afterwards.
func TestMutated(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("requests", func(t *testing.T) {
		w := start(t, func(o *serve.Options) { small(o); o.Limits.Conns = 64 })
		var good []string
		for _, f := range forms() {
			if len(f.body) < 1000 && !strings.Contains(f.body, "Sleep") {
				good = append(good, f.body)
			}
		}
		var heapBefore, heapAfter runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&heapBefore)
		random := rand.New(rand.NewPCG(1, 2))
		var raw net.Conn
		var ws *websocket.Conn
		answered, cut := 0, 0
		for i := range 10000 {
			body := mutate(random, good[random.IntN(len(good))])
			var kept bool
			if i%2 == 0 {
				raw = w.mutatedPost(random, raw, body)
				kept = raw != nil
			} else {
				ws = w.mutatedMessage(random, ws, body)
				kept = ws != nil
			}
			if kept {
				answered++
			} else {
				cut++
			}
		}
		if raw != nil {
			_ = raw.Close()
		}
		if ws != nil {
			_ = ws.Close()
		}
		t.Logf("%d left the connection open, %d ended it", answered, cut)
		if answered < 5000 {
			t.Errorf("only %d of 10000 were answered: the test tests nothing", answered)
		}
		if _, _, got := w.post(call("Void")); got != `{"jsonrpc":"2.0","id":1}`+"\n" {
			t.Errorf("afterwards: %q", got)
		}
		runtime.GC()
		runtime.ReadMemStats(&heapAfter)
		if grown := int64(heapAfter.HeapInuse) - int64(heapBefore.HeapInuse); grown > 8<<20 {
			t.Errorf("the heap grew by %d KiB", grown>>10)
		}
	})
	settles(t, before)
}

// mutate changes, drops, doubles or inserts a few bytes.
func mutate(random *rand.Rand, text string) string {
	b := []byte(text)
	for range 1 + random.IntN(4) {
		if len(b) == 0 {
			return string(b)
		}
		at := random.IntN(len(b))
		switch random.IntN(5) {
		case 0:
			b[at] = byte(random.IntN(256))
		case 1:
			b = append(b[:at], b[at+1:]...)
		case 2:
			b = append(b[:at], append([]byte{b[at]}, b[at:]...)...)
		case 3:
			b = append(b[:at], append([]byte(`"[{}]:,\0n1`)[random.IntN(11):], b[at:]...)...)
		case 4:
			b = b[:at]
		}
	}
	return string(b)
}

// mutatedPost sends a request over a connection that was kept, and returns it if
// it can be kept on. Some headers are hurt, too.
func (w *world) mutatedPost(random *rand.Rand, conn net.Conn, body string) net.Conn {
	request := header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body
	hurt := random.IntN(20) == 0
	if hurt {
		request = mutate(random, request)
	}
	if conn == nil {
		conn = w.connect()
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err == nil && !hurt {
		status, _, err := readAll(conn)
		if err == nil && (status == 200 || status == 500) {
			return conn
		}
		if status != 200 { // a list may break off
			w.t.Errorf("status %d, %v for %q", status, err, body)
		}
	}
	if hurt {
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}
	_ = conn.Close()
	return nil
}

// mutatedMessage sends a message and another that must be answered, unless the
// connection is closed.
func (w *world) mutatedMessage(random *rand.Rand, conn *websocket.Conn, body string) *websocket.Conn {
	if conn == nil {
		conn = w.connectWS()
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if random.IntN(20) == 0 {
		_, _ = io.WriteString(conn.NetConn(), mutate(random, string(frame(1, true, body))))
		_ = conn.NetConn().(*net.TCPConn).CloseWrite()
		closed(w.t, conn)
		_ = conn.Close()
		return nil
	}
	for _, text := range []string{body, `{"id":"end","method":"T.Void"}`} {
		if conn.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
			_ = conn.Close()
			return nil
		}
	}
	for {
		_, got, err := conn.ReadMessage()
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			w.t.Errorf("neither an answer nor an end after %q", body)
		}
		if err != nil {
			_ = conn.Close()
			return nil
		}
		if string(got) == `{"jsonrpc":"2.0","id":"end"}`+"\n" {
			return conn
		}
	}
}
