package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	jsonrpc "github.com/filecoin-project/go-jsonrpc"
	"github.com/gorilla/websocket"

	"damocles-manager/internal/rpc"
	"damocles-manager/internal/serve"
)

func ours(t *testing.T, w *world, token rpc.Token) *rpc.Client {
	t.Helper()
	return rpc.New(rpc.Endpoint{URL: w.url(), Token: token}, rpc.Options{Name: "the daemon", Retry: rpc.Retry{Attempts: 1}})
}

// Our own client is satisfied with our own server.
func TestOurClient(t *testing.T) {
	w := start(t, func(o *serve.Options) { known(o); o.Open = false })
	ctx := t.Context()
	c := ours(t, w, "adm")
	var echo string
	if err := c.Call(ctx, &echo, "T.Echo", "<a & b>"); err != nil || echo != "<a & b>" {
		t.Errorf("echo: %q, %v", echo, err)
	}
	if err := c.Call(ctx, nil, "T.Void"); err != nil {
		t.Errorf("void: %v", err)
	}
	var own *rpc.RPCError
	if err := c.Call(ctx, nil, "T.Fail"); !errors.As(err, &own) || own.Code != 1 || own.Message != `no "sector" <1>` {
		t.Errorf("error: %v", err)
	}
	if err := c.Call(ctx, nil, "T.Nope"); !errors.As(err, &own) || own.Code != rpc.MethodNotFound {
		t.Errorf("no such method: %v", err)
	}
	if err := ours(t, w, "rd").Call(ctx, nil, "T.Admin", 1); !errors.Is(err, rpc.ErrPermission) {
		t.Errorf("read on admin: %v", err)
	}
	if err := ours(t, w, "zzz").Call(ctx, nil, "T.Void"); !errors.Is(err, rpc.ErrUnauthorized) {
		t.Errorf("unknown token: %v", err)
	}
	for _, n := range []int{0, 1, 1000, 100000} {
		got := 0
		err := c.Stream(ctx, "T.List", []any{n, ""}, func(raw json.RawMessage) error {
			if want := fmt.Sprintf(`{"Number":%d}`, got); string(raw) != want {
				return fmt.Errorf("got %s, want %s", raw, want)
			}
			got++
			return nil
		})
		if err != nil || got != n {
			t.Errorf("a list of %d: got %d, %v", n, got, err)
		}
	}
	got := 0
	err := c.Stream(ctx, "T.List", []any{50000, "fail"}, func(json.RawMessage) error { got++; return nil })
	if !errors.Is(err, rpc.ErrUnreachable) || got == 0 {
		t.Errorf("a list that breaks off: %d elements, %v", got, err)
	}
	if err := c.Stream(ctx, "T.List", []any{0, "fail"}, nil); !errors.As(err, &own) || own.Message != "disk gone" {
		t.Errorf("a list that fails at once: %v", err)
	}
}

type number struct{ Number int }

// client is what the original's tools are made with.
type client struct {
	Void   func(context.Context) error
	Echo   func(context.Context, string) (string, error)
	Fail   func(context.Context) (string, error)
	Panic  func(context.Context) error
	Nope   func(context.Context) error
	Sleep  func(context.Context, int) (int, error)
	List   func(context.Context, int, string) ([]number, error)
	Notice func(context.Context, string) error `notify:"true" rpc_method:"T.Echo"`
}

func dialJSONRPC(t *testing.T, url string) *client {
	t.Helper()
	var c client
	closer, err := jsonrpc.NewMergeClient(t.Context(), url, "T", []any{&c}, http.Header{},
		jsonrpc.WithPingInterval(50*time.Millisecond), jsonrpc.WithTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closer)
	return &c
}

func TestJSONRPCClient(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	for _, url := range []string{w.url(), w.ws()} {
		t.Run(url[:4], func(t *testing.T) {
			ctx := t.Context()
			c := dialJSONRPC(t, url)
			if err := c.Void(ctx); err != nil {
				t.Errorf("void: %v", err)
			}
			if err := c.Notice(ctx, "x"); err != nil {
				t.Errorf("notification: %v", err)
			}
			if _, err := c.Fail(ctx); err == nil || err.Error() != `no "sector" <1>` {
				t.Errorf("error: %v", err)
			}
			if err := c.Panic(ctx); err == nil || !strings.Contains(err.Error(), "boom") {
				t.Errorf("panic: %v", err)
			}
			if err := c.Nope(ctx); err == nil || !strings.Contains(err.Error(), "(error code -32601) method 'T.Nope' not found") {
				t.Errorf("no such method: %v", err)
			}
			if got, err := c.Sleep(ctx, 300); err != nil || got != 300 { // longer than a ping
				t.Errorf("sleep: %d, %v", got, err)
			}
			list, err := c.List(ctx, 100000, "")
			if err != nil || len(list) != 100000 || list[99999].Number != 99999 {
				t.Errorf("list: %d, %v", len(list), err)
			}
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					want := fmt.Sprint("text ", i)
					if got, err := c.Echo(ctx, want); err != nil || got != want {
						t.Errorf("got %q, want %q: %v", got, want, err)
					}
				})
			}
			wg.Wait()
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			if _, err := c.Sleep(short, 60000); err == nil || time.Since(start) > patience/2 {
				t.Errorf("cancelled: %v after %s", err, time.Since(start))
			}
		})
	}
}

// A client that lost its connection finds a way back by itself.
func TestJSONRPCReconnects(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	c := dialJSONRPC(t, w.ws())
	again := func(what string) {
		t.Helper()
		var err error
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if err = c.Void(t.Context()); err == nil {
				return
			}
		}
		t.Fatalf("after %s: %v", what, err)
	}
	if got, err := c.List(t.Context(), 100000, "fail"); err == nil {
		t.Errorf("a list that broke off was taken for the whole: %d elements", len(got))
	}
	again("a list that broke off")
	w.stop()
	if err := c.Void(t.Context()); err == nil {
		t.Error("a stopped server answered")
	}
	startAt(t, w.addr, nil)
	again("a restart")
}

// 100 clients of all kinds at once, some of them unkind.
func TestManyClients(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("clients", func(t *testing.T) {
		w := start(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				for n := 0; n == 0 || ctx.Err() == nil; n++ {
					if err := w.oneOfMany(i, n); err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		t.Logf("observed: %v", w.seen())
		if len(w.seen()) < 4 || w.observed("T.Echo 0") < 100 {
			t.Errorf("too little was done: %v", w.seen())
		}
	})
	settles(t, before)
}

func (w *world) oneOfMany(i, n int) error {
	want := fmt.Sprintf(`"client %d, call %d"`, i, n)
	body := call("Echo", want)
	answer := `{"jsonrpc":"2.0","result":` + want + `,"id":1}` + "\n"
	switch i % 5 {
	case 0, 1: // a WebSocket with three calls
		conn := w.connectWS()
		defer func() { _ = conn.Close() }()
		for range 3 {
			if got := ask(w.t, conn, body); got != answer {
				return fmt.Errorf("got %q, want %q", got, answer)
			}
		}
		return nil
	case 2: // one that leaves within a list
		conn := w.connectWS()
		if err := conn.WriteMessage(websocket.TextMessage, []byte(call("List", "10000", `""`))); err != nil {
			return err
		}
		_, _, err := conn.NextReader()
		return errors.Join(err, conn.Close())
	case 3: // one that sends nonsense
		if status, _, _ := w.post(body[:len(body)/2]); status != 500 {
			return fmt.Errorf("status %d", status)
		}
		return nil
	}
	if _, _, got := w.post(body); got != answer {
		return fmt.Errorf("got %q, want %q", got, answer)
	}
	status, _, got := w.post(call("List", "100", `""`))
	if status != 503 && strings.Count(got, "Number") != 100 {
		return fmt.Errorf("a list: %d %.100q", status, got)
	}
	return nil
}

// Very many elements of 1 KB take no more memory than a few, and the first byte
// comes at once. DM_ELEMENTS says how many.
func TestLargeList(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("DM_ELEMENTS"))
	if err != nil || n < 1 {
		n = 200_000
	}
	elem := json.RawMessage(`{"Text":"` + strings.Repeat("x", 989) + `"}`)
	w := start(t, func(o *serve.Options) {
		o.Methods["T.Large"] = serve.Method{Call: func(context.Context, []json.RawMessage) (any, error) {
			return serve.Elements(func(_ context.Context, emit func(json.RawMessage) error) error {
				for range n {
					if err := emit(elem); err != nil {
						return err
					}
				}
				return nil
			}), nil
		}}
	})
	for _, transport := range []string{"http", "ws"} {
		t.Run(transport, func(t *testing.T) {
			var most, base runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&base)
			start := time.Now()
			var first time.Duration
			total, reads := 0, 0
			buf := make([]byte, 256<<10)
			r, end := w.open(transport, call("Large"))
			defer end()
			for {
				k, err := r.Read(buf)
				if total == 0 && k > 0 {
					first = time.Since(start)
				}
				total += k
				if reads++; reads%1000 == 0 {
					var now runtime.MemStats
					runtime.ReadMemStats(&now)
					most.HeapInuse = max(most.HeapInuse, now.HeapInuse)
				}
				if err != nil {
					break
				}
			}
			want := len(`{"jsonrpc":"2.0","result":[`) + n*(len(elem)+1) - 1 + len(`],"id":1}`) + 1
			if total != want {
				t.Errorf("%d bytes, want %d", total, want)
			}
			grown := (int64(most.HeapInuse) - int64(base.HeapInuse)) >> 20
			t.Logf("%d elements, %d MB in %s, first byte after %s, heap %+d MiB", n, total/1e6, time.Since(start), first, grown)
			if took := time.Since(start); first > time.Second && first > took/10 { // a busy machine is slow with all of it
				t.Errorf("the first byte came after %s of %s", first, took)
			}
			if most.HeapInuse == 0 || grown > 16 {
				t.Errorf("the heap grew by %d MiB", grown)
			}
		})
	}
}
