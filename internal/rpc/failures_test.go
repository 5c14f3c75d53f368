package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

// row is a way in which a call can fail, and what the error has to be and say.
type row struct {
	url   string
	opts  rpc.Options
	call  string
	is    error
	says  string
	calls int // tries, counted by count
	count func(string) int
}

// failures is every way in which a call can fail.
func failures(t *testing.T) map[string]row {
	rows := map[string]row{}
	add := func(name string, f testkit.Failure, is error, says string, calls int) {
		s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Token: token,
			Fail: func(string, int) testkit.Failure { return f }}})
		o := fast()
		count := s.Calls
		if f == testkit.Silent {
			o.Silence = 20 * time.Millisecond
			count = nil // on a busy machine a try is over before it came to the server
		}
		rows[name] = row{s.URL, o, "Filecoin.Version", is, says, calls, count}
	}
	add("closed", testkit.Close, rpc.ErrUnreachable, "the connection was closed (tried 5 times)", 5)
	add("broken off", testkit.Truncated, rpc.ErrUnreachable, "the reply broke off", 5)
	add("503", testkit.Unavailable, rpc.ErrUnreachable, "HTTP 503 Service Unavailable", 5)
	add("silent", testkit.Silent, rpc.ErrUnreachable, "timeout", 5)
	add("web server", testkit.HTML, rpc.ErrNotJSON, `"<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title>"`, 1)
	add("empty", testkit.Empty, rpc.ErrNotJSON, "HTTP 200 OK with an empty reply", 1)
	add("half", testkit.CutJSON, rpc.ErrNotJSON, "unexpected end of JSON input", 1)
	add("wrong id", testkit.WrongID, rpc.ErrNotJSON, "the reply belongs to another call", 1)
	add("denied", testkit.Denied, rpc.ErrUnauthorized, "token not accepted", 1)
	add("echo", testkit.Echo, rpc.ErrNotJSON, `"Bearer ***"`, 1)

	s := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Token: "admin", ReadToken: token}})
	rows["permission"] = row{s.URL, fast(), "Filecoin.StorageLocal", rpc.ErrPermission, "missing permission to invoke 'StorageLocal' (need 'admin')", 1, s.Calls}
	rows["no method"] = row{s.URL, fast(), "Filecoin.Nope", nil, "lotus-miner at " + strings.TrimSuffix(s.URL, "/rpc/v0") + " does not know Filecoin.Nope", 1, nil}
	rows["wrong path"] = row{strings.Replace(s.URL, "v0", "v9", 1), fast(), "Filecoin.Version", rpc.ErrNotJSON, `HTTP 404 Not Found: "404 page not found"`, 0, nil}
	other := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Token: "another"}})
	rows["bad token"] = row{other.URL, fast(), "Filecoin.Version", rpc.ErrUnauthorized, "refused Filecoin.Version: token not accepted", 1, other.Calls}
	rows["refused"] = row{"http://" + freeAddr(t) + "/rpc/v0?token=" + token, fast(), "Filecoin.Version", syscall.ECONNREFUSED, "connection refused (tried 5 times)", 0, nil}
	rows["no host"] = row{"http://no-such-host.invalid:1/" + token, fast(), "Filecoin.Version", rpc.ErrUnreachable, "no-such-host.invalid", 0, nil}
	rows["bad url"] = row{"http://\x7f" + token, fast(), "Filecoin.Version", rpc.ErrUnreachable, "did not answer", 0, nil}
	return rows
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Every failure is told apart, names the call and the place, gives a next step,
// never shows the token, and is tried again only if it can pass.
func TestFailures(t *testing.T) {
	for name, tt := range failures(t) {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var notices []string
			tt.opts.Notice = func(s string) { mu.Lock(); notices = append(notices, s); mu.Unlock() }
			c := client(tt.url, tt.opts)
			streamed := c.Stream(context.Background(), tt.call, nil, func(json.RawMessage) error { return nil })
			for how, err := range map[string]error{"Call": c.Call(context.Background(), nil, tt.call), "Stream": streamed} {
				if err == nil {
					t.Fatalf("%s: no error", how)
				}
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("%s: %v is not %v", how, err, tt.is)
				}
				if how == "Call" && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Call: %v\nlacks %s", err, tt.says)
				}
				if !strings.Contains(err.Error(), tt.call) || fault.HintOf(err) == "" {
					t.Errorf("%s: no method or no hint: %v, %q", how, err, fault.HintOf(err))
				}
				if text := fmt.Sprint(err, fault.HintOf(err), notices); strings.Contains(text, token[5:15]) {
					t.Errorf("%s shows the token: %s", how, text)
				}
				if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v looks like the caller's own end", how, err)
				}
			}
			if again := 2 * (tt.calls - 1); again >= 0 && len(notices) != again {
				t.Errorf("told %d times of another try, want %d for Call and Stream together", len(notices), again)
			}
			if tt.count != nil && tt.count(tt.call) != 2*tt.calls {
				t.Errorf("%d tries, want %d for Call and as many for Stream", tt.count(tt.call), tt.calls)
			}
		})
	}
}
