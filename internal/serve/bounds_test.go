package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"damocles-manager/internal/serve"
)

// small lets requests be small.
func small(o *serve.Options) { o.Limits.Body, o.Limits.Bodies = 64<<10, 256<<10 }

// short makes every limit small enough for a test of clients that come to it. Those who
// are as they should be get the limits of small: on a busy machine they come to these, too.
func short(o *serve.Options) {
	small(o)
	o.Limits.HeaderTime, o.Limits.Idle = time.Second, time.Second
	o.Limits.ReadStep, o.Limits.ReadWhole = 200*time.Millisecond, 600*time.Millisecond
	o.Limits.WriteStep, o.Limits.Wait = 300*time.Millisecond, 200*time.Millisecond
}

const header = "POST /rpc/v0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"

// gone reads until the server closes, and returns what it said until then.
func gone(t *testing.T, conn net.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(conn)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		t.Fatalf("the server did not close; it said %q", text)
	}
	return string(text)
}

// drip sends one byte at a time until the server has had enough.
func drip(conn net.Conn, text string) {
	for i := 0; ; i++ {
		if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestSlowClients(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("clients", func(t *testing.T) {
		w := start(t, short)
		tests := []struct{ name, first, drip, want string }{
			{"a header that does not come", "POST /rpc", "", ""},
			{"a header that trickles", header, "X", ""},
			{"a body that does not come", header + "Content-Length: 1000\r\n\r\n{", "", "HTTP/1.1 408"},
			{"a body that trickles", header + "Content-Length: 1000\r\n\r\n", " ", "HTTP/1.1 408"},
			{"a chunked body that trickles", header + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", "HTTP/1.1 408"},
			{"nothing at all", "", "", ""},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				conn := w.raw(test.first)
				var wg sync.WaitGroup
				if test.drip != "" {
					wg.Go(func() { drip(conn, test.drip) })
				}
				if got := gone(t, conn); !strings.HasPrefix(got, test.want) {
					t.Errorf("got %q", got)
				}
				_ = conn.Close()
				wg.Wait()
			})
		}
	})
	settles(t, before)
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *serve.Options) { small(o); o.Limits.ReadStep = time.Second })
	body := call("Void")
	tests := []struct {
		name, request string
		flood         bool
		want          []string
	}{
		{"a gigabyte announced, and sent in part", header + "Content-Length: 1073741824\r\n\r\n", true, []string{"413"}},
		{"a gigabyte announced, and nothing sent", header + "Content-Length: 1073741824\r\n\r\n", false, []string{"413"}},
		{"a gigabyte announced, asking first", header + "Expect: 100-continue\r\nContent-Length: 1073741824\r\n\r\n", false, []string{"413"}},
		{"one byte too many", header + "Content-Length: 65537\r\n\r\n" + strings.Repeat(" ", 65537), false, []string{"413"}},
		{"just as much as may be", header + "Content-Length: 65536\r\n\r\n" + strings.Repeat(" ", 65536-len(body)) + body, false, []string{"200"}},
		{"chunked without end", header + "Transfer-Encoding: chunked\r\n\r\n", true, []string{"413"}},
		{"a length that lies: more comes", header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body + "garbage\r\n\r\n", false, []string{"200", "400"}},
		{"a length that lies: less comes", header + "Content-Length: 5000\r\n\r\n" + body, false, []string{"408"}},
		{"a length that is none", header + "Content-Length: -1\r\n\r\n" + body, false, []string{"400"}},
		{"two lengths", header + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + body, false, []string{"400"}},
		{"a length and chunks: the chunks count, as net/http has it", header + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body), false, []string{"200"}},
		{"a header without end", "POST /rpc/v0 HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + strings.Repeat("x", 64<<10), false, []string{"431"}},
		{"requests in a row", strings.Repeat(header+"Content-Length: "+itoa(len(body))+"\r\n\r\n"+body, 20), false, strings.Fields(strings.Repeat("200 ", 20))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := w.raw(test.request)
			var wg sync.WaitGroup
			if test.flood {
				wg.Go(func() {
					piece := []byte("400\r\n" + strings.Repeat(" ", 1024) + "\r\n")
					for range 4 << 10 {
						if _, err := conn.Write(piece); err != nil {
							return
						}
					}
				})
			}
			r := bufio.NewReader(conn)
			for _, want := range test.want {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("want %s, got %v", want, err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if itoa(resp.StatusCode) != want {
					t.Errorf("got %d, want %s", resp.StatusCode, want)
				}
				if want == "413" && !resp.Close {
					t.Error("the connection stays open with a body that nobody reads")
				}
			}
			_ = conn.Close()
			wg.Wait()
		})
	}
	if got := w.observed("refused 413"); got < 4 {
		t.Errorf("%d refusals observed: %v", got, w.seen())
	}
}

// Many parameters must cost no more than the bytes in which they came.
func TestManyParams(t *testing.T) {
	w := start(t, nil)
	body := `{"id":1,"method":"T.Admin","params":[` + strings.Repeat("1,", 4<<20-100) + "1]}"
	var before, after runtime.MemStats
	start := time.Now()
	runtime.ReadMemStats(&before)
	_, _, got := w.post(body)
	t.Logf("took %s", time.Since(start))
	runtime.ReadMemStats(&after)
	if !strings.Contains(got, "4194205 != 1") {
		t.Errorf("got %q", got)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 48<<20 {
		t.Errorf("a body of 8 MiB took %d MiB", took>>20)
	}
}

// A client that sends and then shuts down its side still gets its answer.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	body := call("Void")
	conn := w.raw(header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := gone(t, conn); !strings.HasSuffix(got, `{"jsonrpc":"2.0","id":1}`+"\n") {
		t.Errorf("got %q", got)
	}
	half := w.raw(header + "Content-Length: 100\r\n\r\n{")
	if err := half.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := gone(t, half); got != "" && !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("half a body: got %q", got)
	}
}

// endless is a list that never ends by itself, and says when it ended.
func endless(ended chan<- struct{}) serve.Method {
	elem := json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
	return serve.Method{Perm: serve.Read, Call: func(context.Context, []json.RawMessage) (any, error) {
		return serve.Elements(func(_ context.Context, emit func(json.RawMessage) error) error {
			for {
				if err := emit(elem); err != nil {
					ended <- struct{}{}
					return err
				}
			}
		}), nil
	}}
}

// A client that asks for a list and never reads is cut off, and so is one that
// reads for ever.
func TestClientsThatHold(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("clients", func(t *testing.T) {
		ended := make(chan struct{}, 1)
		w := start(t, func(o *serve.Options) {
			short(o)
			o.Limits.WriteWhole = 2 * time.Second
			o.Methods["T.Endless"] = endless(ended)
		})
		waits := func(what string) {
			t.Helper()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatalf("%s: the list goes on", what)
			}
		}
		body := call("Endless")
		request := header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body
		w.raw(request)
		waits("HTTP, never reads")

		conn := w.dial()
		if err := conn.WriteMessage(1, []byte(body)); err != nil {
			t.Fatal(err)
		}
		waits("WebSocket, never reads")

		reader := w.raw(request)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, reader) })
		waits("HTTP, reads for ever")
		wg.Wait()

		leaver := w.raw(request)
		_, _ = io.CopyN(io.Discard, leaver, 1<<20)
		_ = leaver.Close()
		waits("HTTP, leaves")
		if _, _, got := w.post(call("Void")); got != `{"jsonrpc":"2.0","id":1}`+"\n" {
			t.Errorf("afterwards: %q", got)
		}
	})
	settles(t, before)
}

// A large answer that is no list goes out whole, or the client is cut off.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 16<<20)
	bigly := func(o *serve.Options) {
		o.Methods["T.Big"] = serve.Method{Call: func(context.Context, []json.RawMessage) (any, error) { return big, nil }}
	}
	w := start(t, bigly)
	body := call("Big")
	for _, transport := range []string{"http", "ws"} {
		r, end := w.open(transport, body)
		n, err := io.Copy(io.Discard, r)
		if want := int64(16<<20 + len(`{"jsonrpc":"2.0","result":"","id":1}`) + 1); n != want || err != nil {
			t.Errorf("%s: %d bytes, want %d: %v", transport, n, want, err)
		}
		end()
	}
	w = start(t, func(o *serve.Options) { short(o); bigly(o) })
	w.raw(header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
	if err := w.dial().WriteMessage(1, []byte(body)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "clients that never read are cut off", func() bool { return w.observed("T.Big -1") == 2 })
}

// What finds no place waits a little and is then sent away with 503.
func TestPlaces(t *testing.T) {
	t.Parallel()
	// All limits but the one in question, and how long is waited, are out of reach.
	limited := func(edit func(*serve.Options)) func(*serve.Options) {
		return func(o *serve.Options) { o.Limits.Wait = 200 * time.Millisecond; edit(o) }
	}
	isBusy := func(w *world, body string) bool {
		status, h, text := w.post(body)
		return status == 503 && h.Get("Retry-After") != "" && strings.Contains(text, "try again later")
	}
	busy := func(t *testing.T, w *world, body string) {
		t.Helper()
		if !isBusy(w, body) {
			t.Error("it is not sent away")
		}
	}
	free := func(t *testing.T, w *world) {
		t.Helper()
		if status, _, text := w.post(call("Void")); status != 200 {
			t.Errorf("got %d %q", status, text)
		}
	}
	t.Run("calls", func(t *testing.T) {
		held := newTurnstile()
		w := start(t, limited(func(o *serve.Options) { o.Limits.Calls = 2; o.Methods["T.Held"] = held.method() }))
		var wg sync.WaitGroup
		for range 2 {
			body := call("Held", "1")
			conn := w.raw(header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
			wg.Go(func() { _, _, _ = readAll(conn) })
		}
		held.waits(t, 2)
		busy(t, w, call("Void"))
		if got := ask(t, w.dial(), call("Void")); !strings.Contains(got, `"code":1,"message":"too many calls`) {
			t.Errorf("over WebSocket: %q", got)
		}
		held.opens(1)
		wg.Wait()
		eventually(t, "the places come free", func() bool { status, _, _ := w.post(call("Void")); return status == 200 })
	})
	t.Run("lists", func(t *testing.T) {
		ended := make(chan struct{}, 1)
		w := start(t, limited(func(o *serve.Options) { o.Limits.Lists = 1; o.Methods["T.Endless"] = endless(ended) }))
		body := call("Endless")
		conn := w.raw(header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
		if _, err := conn.Read(make([]byte, 1)); err != nil { // it has begun
			t.Fatal(err)
		}
		busy(t, w, call("List", "1", `""`))
		free(t, w)
		if got := ask(t, w.dial(), call("List", "1", `""`)); !strings.Contains(got, `"code":1,"message":"too many calls`) {
			t.Errorf("over WebSocket: %q", got)
		}
		_ = conn.Close()
		<-ended
		eventually(t, "the place comes free", func() bool { status, _, _ := w.post(call("List", "1", `""`)); return status == 200 })
	})
	t.Run("bodies", func(t *testing.T) {
		w := start(t, limited(func(o *serve.Options) { small(o); o.Limits.Bodies = 2 * o.Limits.Body }))
		var conns []net.Conn
		large := call("Echo", `"`+strings.Repeat("x", 50000)+`"`)
		eventually(t, "bodies that do not come hold all room", func() bool {
			// one that found no room in time, on a busy machine, is gone
			conns = append(conns, w.raw(header+"Content-Length: 60000\r\n\r\n"+strings.Repeat(" ", 59999)))
			return isBusy(w, large)
		})
		for _, conn := range conns {
			_ = conn.Close()
		}
		eventually(t, "the room comes free", func() bool {
			status, _, text := w.post(large)
			return status == 200 && len(text) > 50000
		})
	})
	t.Run("sockets", func(t *testing.T) {
		w := start(t, limited(func(o *serve.Options) { o.Limits.Sockets = 2 }))
		first := w.dial()
		w.dial()
		if status, _, ws := visit(t, w, "", http.Header{}, call("Void")); status != 200 || ws != 503 {
			t.Errorf("got %d and %d", status, ws)
		}
		_ = first.Close()
		eventually(t, "the place comes free", func() bool {
			_, _, ws := visit(t, w, "", http.Header{}, call("Void"))
			return ws == 101
		})
	})
	t.Run("connections", func(t *testing.T) {
		w := start(t, limited(func(o *serve.Options) { o.Limits.Conns = 2 }))
		first, body := w.raw("P"), header+"Content-Length: 24\r\n\r\n"+`{"id":1,"method":"T.Sle"`
		w.raw("P")
		third := w.raw(body)
		_ = third.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
		if _, err := third.Read(make([]byte, 1)); err == nil {
			t.Error("a third connection was served beside two")
		}
		_ = first.Close()
		_ = third.SetReadDeadline(time.Now().Add(patience))
		if status, _ := reply(t, bufio.NewReader(third)); status != 500 {
			t.Errorf("got %d", status)
		}
	})
}
