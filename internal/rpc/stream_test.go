package rpc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func collect(c *rpc.Client, method string, params ...any) ([]string, error) {
	var got []string
	err := c.Stream(context.Background(), method, params, func(raw json.RawMessage) error {
		got = append(got, string(raw))
		return nil
	})
	return got, err
}

func TestStreamBodies(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want string
		err  string
	}{
		"id last":        {`{"jsonrpc":"2.0","result":[1,{"a":[2]},null],"id":1}`, `[1 {"a":[2]} null]`, ""},
		"id first":       {`{"id":1,"jsonrpc":"2.0","result":[1,2]}`, `[1 2]`, ""},
		"spaces":         {" {\n\"id\" : 1, \"jsonrpc\":\"2.0\", \"result\" : [ 1 , 2 ] }\n", `[1 2]`, ""},
		"empty":          {`{"jsonrpc":"2.0","result":[],"id":1}`, `[]`, ""},
		"null":           {`{"jsonrpc":"2.0","result":null,"id":1}`, `[]`, ""},
		"void":           {`{"jsonrpc":"2.0","id":1}`, `[]`, ""},
		"unknown key":    {`{"jsonrpc":"2.0","meta":{"x":[1]},"result":[1],"id":1}`, `[1]`, ""},
		"error":          {`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no such store"}}`, `[]`, "with an error: no such store"},
		"error first":    {`{"error":{"code":1,"message":"no such store"},"id":1,"jsonrpc":"2.0"}`, `[]`, "with an error: no such store"},
		"not an array":   {`{"jsonrpc":"2.0","result":{"a":1},"id":1}`, `[]`, "no JSON-RPC reply"},
		"a number":       {`{"jsonrpc":"2.0","result":7,"id":1}`, `[]`, "no JSON-RPC reply"},
		"wrong id first": {`{"id":2,"jsonrpc":"2.0","result":[1]}`, `[]`, "belongs to another call"},
		"wrong id last":  {`{"jsonrpc":"2.0","result":[1],"id":2}`, `[1]`, "belongs to another call"},
		"no id":          {`{"jsonrpc":"2.0","result":[1]}`, `[1]`, "belongs to another call"},
		"broken element": {`{"jsonrpc":"2.0","result":[1,{x}],"id":1}`, `[1]`, "invalid character"},
		"cut":            {`{"jsonrpc":"2.0","result":[1,{"a":2`, `[1]`, "the reply broke off, after 1 elements"},
		"cut after":      {`{"jsonrpc":"2.0","result":[1,2]`, `[1 2]`, "the reply broke off, after 2 elements"},
		"something more": {`{"jsonrpc":"2.0","result":[1],"id":1}{}`, `[1]`, "something follows the reply"},
		"large element":  {`{"jsonrpc":"2.0","result":[1,"` + strings.Repeat("x", 3000) + `"],"id":1}`, `[1]`, "too large (limit 1000 bytes)"},
		"other JSON":     {`{"message":"no Route matched"}`, `[]`, "no JSON-RPC reply"},
	} {
		got, err := collect(raw(t, 200, tt.body), "Venus.ListSectors")
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%s: got %v, want %s", name, got, tt.want)
		}
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: error %v, want %q", name, err, tt.err)
		}
	}
}

func TestStreamRealStates(t *testing.T) {
	x := testkit.ReadExchange(t, testkit.Fixture(t, "rpc/damocles-manager/ListSectors-offline.json"))
	var want []json.RawMessage
	if err := json.Unmarshal(x.Result, &want); err != nil {
		t.Fatal(err)
	}
	got, err := collect(client(testkit.Damocles(t, testkit.DamoclesOptions{}).URL, fast()), "Venus.ListSectors", "offline", 0)
	if err != nil || len(got) != 22 || len(want) != 22 {
		t.Fatalf("%d states, want %d: %v", len(got), len(want), err)
	}
	for i := range want {
		if got[i] != string(want[i]) {
			t.Errorf("state %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

// What breaks before the first element is tried again; after it, a second try
// would hand elements over twice.
func TestStreamRetries(t *testing.T) {
	var fail testkit.Failure
	d := testkit.Damocles(t, testkit.DamoclesOptions{Options: testkit.Options{Fail: func(_ string, n int) testkit.Failure {
		if n == 1 {
			return fail
		}
		return testkit.Pass
	}}})
	fail = testkit.Close
	if got, err := collect(client(d.URL, fast()), "Venus.ListSectors", "offline", 0); err != nil || len(got) != 22 {
		t.Errorf("%d, %v", len(got), err)
	}
	d = testkit.Damocles(t, testkit.DamoclesOptions{Options: testkit.Options{Fail: func(string, int) testkit.Failure { return testkit.Truncated }}})
	got, err := collect(client(d.URL, fast()), "Venus.ListSectors", "offline", 0)
	if !errors.Is(err, rpc.ErrUnreachable) || d.Calls("") != 1 || len(got) == 0 {
		t.Errorf("%d elements, %d calls, %v", len(got), d.Calls(""), err)
	}
}

func TestStreamReturnsTheReceiversError(t *testing.T) {
	stop := errors.New("enough")
	d := testkit.Damocles(t, testkit.DamoclesOptions{})
	n := 0
	err := client(d.URL, fast()).Stream(context.Background(), "Venus.ListSectors", []any{"offline", 0}, func(json.RawMessage) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 || d.Calls("") != 1 {
		t.Errorf("%v after %d elements in %d calls", err, n, d.Calls(""))
	}
}

// Elements belong to the receiver: a batch that keeps them must not change.
func TestStreamElementsCanBeKept(t *testing.T) {
	var kept []json.RawMessage
	var copies []string
	c := client(testkit.Damocles(t, testkit.DamoclesOptions{}).URL, fast())
	err := c.Stream(context.Background(), "Venus.ListSectors", []any{"offline", 0}, func(e json.RawMessage) error {
		kept, copies = append(kept, e), append(copies, string(e))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range kept {
		if string(kept[i]) != copies[i] {
			t.Fatalf("element %d changed", i)
		}
	}
}

func TestStreamHoldsOneElement(t *testing.T) {
	const n = 200_000
	state := fmt.Appendf(nil, `{"ID":{"Miner":1000,"Number":1},"Ticket":%q}`, strings.Repeat("x", 300))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := bufio.NewWriterSize(w, 1<<20)
		_, _ = out.WriteString(`{"jsonrpc":"2.0","result":[`)
		for i := range n {
			if i > 0 {
				_ = out.WriteByte(',')
			}
			_, _ = out.Write(state)
		}
		_, _ = out.WriteString(`],"id":1}` + "\n")
		_ = out.Flush()
	}))
	defer s.Close()
	var base, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	count, peak := 0, uint64(0)
	err := client(s.URL, fast()).Stream(context.Background(), "Venus.ListSectors", nil, func(json.RawMessage) error {
		if count++; count%5000 == 0 {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
		}
		return nil
	})
	if err != nil || count != n {
		t.Fatalf("%d of %d, %v", count, n, err)
	}
	if grown := int64(peak) - int64(base.HeapInuse); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB over a reply of %d MiB", grown>>20, n*len(state)>>20)
	}
}

func TestStreamGivesUpOnSilence(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, `{"jsonrpc":"2.0","result":[1,`+strings.Repeat(" ", 8000))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	o := fast()
	o.Silence = 100 * time.Millisecond
	got, err := collect(client(s.URL, o), "Venus.ListSectors")
	if !errors.Is(err, rpc.ErrUnreachable) || len(got) != 1 || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("%v, %v", got, err)
	}
}
