package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

const token = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"

// fast retries without making the test wait.
func fast() rpc.Options {
	return rpc.Options{Name: "lotus-miner", Retry: rpc.Retry{Base: time.Millisecond, Cap: 2 * time.Millisecond}}
}

func client(url string, o rpc.Options) *rpc.Client {
	return rpc.New(rpc.Endpoint{URL: url, Token: token}, o)
}

func version(c *rpc.Client) (string, error) {
	var v struct{ Version string }
	err := c.Call(context.Background(), &v, "Filecoin.Version")
	return v.Version, err
}

func TestPermissionIsNotABadToken(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Token: "admin", ReadToken: token}})
	err := client(s.URL, fast()).Call(context.Background(), nil, "Filecoin.StorageLocal")
	var e *rpc.RPCError
	if !errors.Is(err, rpc.ErrPermission) || errors.Is(err, rpc.ErrUnauthorized) || !errors.As(err, &e) || e.Code != 1 {
		t.Errorf("%v", err)
	}
}

func TestRetriesAreAnnouncedAndEnd(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Fail: func(_ string, n int) testkit.Failure {
		return []testkit.Failure{testkit.Close, testkit.Unavailable, testkit.Truncated, testkit.Pass}[min(n, 4)-1]
	}}})
	var notices []string
	o := fast()
	o.Notice = func(s string) { notices = append(notices, s) }
	got, err := version(client(s.URL, o))
	if err != nil || got != "1.36.2+mainnet" {
		t.Fatalf("%q, %v", got, err)
	}
	place := strings.TrimSuffix(s.URL, "/rpc/v0")
	for i, why := range []string{"the connection was closed", "HTTP 503 Service Unavailable", "the reply broke off"} {
		head, tail := fmt.Sprintf("lotus-miner at %s did not answer (%s); trying again in ", place, why), fmt.Sprintf("ms (%d of 5)", i+2)
		if i >= len(notices) || !strings.HasPrefix(notices[i], head) || !strings.HasSuffix(notices[i], tail) {
			t.Fatalf("notices %q, want %q…%q at %d", notices, head, tail, i)
		}
	}
}

func TestNoRetryOnFirst(t *testing.T) {
	o := fast()
	o.Retry.NoRetryOnFirst = true
	o.Notice = func(s string) { t.Errorf("notice: %s", s) }
	_, err := version(client("http://"+freeAddr(t), o))
	if !errors.Is(err, rpc.ErrUnreachable) || strings.Contains(err.Error(), "tried") {
		t.Errorf("%v", err)
	}

	// After an answer, a refused connection is an interruption.
	s := testkit.Lotus(t, testkit.LotusOptions{})
	told := 0
	o.Notice = func(string) { told++ }
	c := client(s.URL, o)
	if _, err := version(c); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := version(c); !errors.Is(err, syscall.ECONNREFUSED) || told != 4 {
		t.Errorf("%d notices, %v", told, err)
	}
}

func TestOnce(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Fail: func(string, int) testkit.Failure { return testkit.Close }}})
	if err := client(s.URL, fast()).Call(rpc.Once(context.Background()), nil, "Filecoin.Version"); !errors.Is(err, rpc.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	if n := s.Calls(""); n != 1 {
		t.Errorf("%d calls of what must not happen twice", n)
	}
	// What never left is safe to try again.
	told := 0
	o := fast()
	o.Notice = func(string) { told++ }
	if err := client("http://"+freeAddr(t), o).Call(rpc.Once(context.Background()), nil, "Filecoin.Version"); err == nil || told != 4 {
		t.Errorf("%d notices, %v", told, err)
	}
}

func TestCancel(t *testing.T) {
	silent := func(string, int) testkit.Failure { return testkit.Silent }
	closed := func(string, int) testkit.Failure { return testkit.Close }
	for name, fail := range map[string]func(string, int) testkit.Failure{"in the call": silent, "in the pause": closed} {
		s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Fail: fail}})
		c := client(s.URL, rpc.Options{Retry: rpc.Retry{Base: time.Hour, Cap: time.Hour}})
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		err := c.Call(ctx, nil, "Filecoin.Version")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rpc.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		if s.Calls("") != 1 {
			t.Errorf("%s: %d calls", name, s.Calls(""))
		}
	}
}

func raw(t *testing.T, status int, body string) *rpc.Client {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	o := fast()
	o.MaxBody = 1000
	return client(s.URL, o)
}

func TestBodiesDecideNotTheStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string // "" for success
	}{
		"damocles void":         {200, `{"jsonrpc":"2.0","id":1}`, ""},
		"lotus void":            {200, `{"id":1,"jsonrpc":"2.0","result":null}`, ""},
		"null error":            {200, `{"jsonrpc":"2.0","id":1,"result":5,"error":null}`, ""},
		"success with 500":      {500, `{"jsonrpc":"2.0","id":1,"result":5}`, ""},
		"error with 500":        {500, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"wrong param count"}}`, "with an error: wrong param count"},
		"error without id":      {500, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse"}}`, "with an error: parse"},
		"error with 503":        {503, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"busy"}}`, "with an error: busy"},
		"JSON of another world": {200, `{"message":"no Route matched"}`, `no JSON-RPC reply (HTTP 200 OK: "{\"message\"`},
		"gateway 401 with JSON": {401, `{"message":"Unauthorized"}`, "token not accepted"},
		"403":                   {403, `forbidden`, "missing permission (HTTP 403 Forbidden)"},
		"an array":              {200, `[]`, "no JSON-RPC reply"},
		"two replies":           {200, `{"jsonrpc":"2.0","id":1}{}`, "no JSON-RPC reply"},
		"id of another":         {200, `{"jsonrpc":"2.0","id":2,"result":5}`, "the reply belongs to another call"},
		"error of another":      {200, `{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"x"}}`, "the reply belongs to another call"},
		"too large":             {200, `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("x", 1000) + `"}`, "too large (limit 1000 bytes)"},
		"redirect":              {302, ``, "HTTP 302 Found with an empty reply"},
		"broken error":          {200, `{"jsonrpc":"2.0","id":1,"error":"no"}`, "no JSON-RPC reply"},
		"wrong result":          {200, `{"jsonrpc":"2.0","id":1,"result":"five"}`, "a result that cannot be read"},
	} {
		n := 0
		err := raw(t, tt.status, tt.body).Call(context.Background(), &n, "Filecoin.N")
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestConnectionsAreReusedAndHeadersSent(t *testing.T) {
	var mu sync.Mutex
	conns := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-Own") != "1" ||
			r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		body, _ := io.ReadAll(r.Body)
		var req struct{ ID json.RawMessage }
		_ = json.Unmarshal(body, &req)
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s}`, req.ID)
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			mu.Lock()
			conns++
			mu.Unlock()
		}
	}
	s.Start()
	defer s.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	o := fast()
	o.Jobs, o.Header = 8, http.Header{"X-Own": {"1"}}
	c := client(s.URL, o)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if err := c.Call(context.Background(), nil, "Filecoin.Version"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if conns > 24 {
		t.Errorf("%d connections for 8 jobs", conns)
	}
}
