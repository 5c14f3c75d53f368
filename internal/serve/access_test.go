package serve_test

import (
	"crypto/subtle"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"damocles-manager/internal/serve"
)

type tokens map[string]serve.Perm

func (t tokens) Perm(token string) (serve.Perm, bool) {
	for known, perm := range t {
		if subtle.ConstantTimeCompare([]byte(known), []byte(token)) == 1 {
			return perm, true
		}
	}
	return serve.None, false
}

func known(o *serve.Options) {
	o.Tokens = tokens{"adm": serve.Admin, "rd": serve.Read, "nil": serve.None}
}

// visit sends a call, and tries to open a WebSocket, with the same headers.
func visit(t *testing.T, w *world, query string, header http.Header, method string) (post int, body string, ws int) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.url()+query, strings.NewReader(method))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	conn, up, err := websocket.DefaultDialer.Dial(w.ws()+query, header)
	if up == nil {
		t.Fatal(err)
	}
	_ = up.Body.Close()
	if conn != nil {
		if got := ask(t, conn, method); got != string(text) {
			t.Errorf("over WebSocket %q, over HTTP %q", got, text)
		}
		_ = conn.Close()
	}
	return resp.StatusCode, string(text), up.StatusCode
}

func TestForeign(t *testing.T) {
	w := start(t, known)
	tests := []struct {
		name   string
		header http.Header
		ok     bool
	}{
		{"nothing", http.Header{}, true},
		{"localhost", http.Header{"Host": {"localhost:1789"}}, true},
		{"LOCALHOST", http.Header{"Host": {"LocalHost"}}, true},
		{"127.1.2.3", http.Header{"Host": {"127.1.2.3"}}, true},
		{"[::1]", http.Header{"Host": {"[::1]:1789"}}, true},
		{"[::1] without port", http.Header{"Host": {"[::1]"}}, true},
		{"mapped", http.Header{"Host": {"[::ffff:127.0.0.1]:1"}}, true},
		{"local origin", http.Header{"Origin": {"http://localhost:3000"}}, true},
		{"local origin, same", http.Header{"Origin": {"http://127.0.0.1:1789"}, "Sec-Fetch-Site": {"same-origin"}}, true},
		{"typed in", http.Header{"Sec-Fetch-Site": {"none"}}, true},
		{"a token that nobody knows", http.Header{"Authorization": {"Bearer x"}}, true},
		{"rebound name", http.Header{"Host": {"evil.example:1789"}}, false},
		{"name that begins well", http.Header{"Host": {"localhost.evil.example"}}, false},
		{"name that looks like an address", http.Header{"Host": {"127.0.0.1.evil.example"}}, false},
		{"name that ends well", http.Header{"Host": {"evil-localhost"}}, false},
		{"all addresses", http.Header{"Host": {"0.0.0.0:1789"}}, false},
		{"another address", http.Header{"Host": {"10.0.0.1:1789"}}, false},
		{"127 as a number", http.Header{"Host": {"2130706433"}}, false},
		{"foreign origin", http.Header{"Origin": {"https://evil.example"}}, false},
		{"origin that begins well", http.Header{"Origin": {"http://localhost.evil.example"}}, false},
		{"origin with a user", http.Header{"Origin": {"http://localhost@evil.example"}}, false},
		{"origin null", http.Header{"Origin": {"null"}}, false},
		{"origin empty", http.Header{"Origin": {""}}, false},
		{"origin of a file", http.Header{"Origin": {"file://"}}, false},
		{"two origins", http.Header{"Origin": {"http://localhost", "https://evil.example"}}, false},
		{"origin without a scheme", http.Header{"Origin": {"//localhost"}}, false},
		{"origin of an extension", http.Header{"Origin": {"chrome-extension://localhost"}}, false},
		{"name with a dot at its end", http.Header{"Host": {"localhost."}}, false},
		{"127 in short", http.Header{"Host": {"127.1"}}, false},
		{"127 as an octal", http.Header{"Host": {"0177.0.0.1"}}, false},
		{"all addresses of IPv6", http.Header{"Host": {"[::]:1789"}}, false},
		{"through a proxy", http.Header{"X-Forwarded-For": {"192.0.2.7"}}, false},
		{"through another proxy", http.Header{"Forwarded": {"for=192.0.2.7"}}, false},
		{"through a proxy that tells only how it was called", http.Header{"X-Forwarded-Proto": {"https"}}, false},
		{"through a proxy that tells only as what it was called", http.Header{"X-Forwarded-Host": {"manager.example"}}, false},
		{"through a cache", http.Header{"Via": {"1.1 cache.example"}}, false},
		{"through a proxy, and a token that is good", http.Header{"X-Real-Ip": {"192.0.2.7"}, "Authorization": {"Bearer adm"}}, true},
		{"cross-site", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"same-site is another port", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://localhost:3000"}}, false},
		{"foreign, and a token that nobody knows", http.Header{"Origin": {"https://evil.example"}, "Authorization": {"Bearer x"}}, false},
		{"foreign, and a token that is good", http.Header{"Host": {"evil.example"}, "Origin": {"https://evil.example"}, "Authorization": {"Bearer adm"}}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, body, ws := visit(t, w, "", test.header, call("Admin", "1"))
			if test.ok {
				if status != 200 || ws != 101 || !strings.Contains(body, `"result":true`) {
					t.Errorf("got %d, %d, %q", status, ws, body)
				}
				return
			}
			if status != 403 || ws != 403 {
				t.Errorf("got %d and %d for a WebSocket, want 403", status, ws)
			}
			if strings.Count(body, "\n") != 1 || !strings.Contains(body, "send a token") {
				t.Errorf("the text is no line with a next step: %q", body)
			}
		})
	}
	if w.observed("refused 403") == 0 {
		t.Errorf("observed %v", w.seen())
	}
}

func TestTokens(t *testing.T) {
	const denied = `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"missing permission to invoke 'Admin' (need 'admin')"}}` + "\n"
	const result = `{"jsonrpc":"2.0","result":true,"id":1}` + "\n"
	admin, forgot, void := call("Admin", "1"), call("Forgot"), call("Void")
	tests := []struct {
		name, header, query, method string
		open, shut                  int // status with Open and without
		body                        string
	}{
		{"none", "", "", admin, 200, 401, result},
		{"unknown", "Bearer zzz", "", admin, 200, 401, result},
		{"another scheme", "Basic adm", "", admin, 200, 401, result},
		{"no scheme", "adm", "", admin, 200, 401, result},
		{"begins like one", "Bearer ad", "", admin, 200, 401, result},
		{"goes on", "Bearer adm2", "", admin, 200, 401, result},
		{"of no permission", "Bearer nil", "", admin, 200, 401, result},
		{"admin", "Bearer adm", "", admin, 200, 200, result},
		{"admin, small", "bearer adm", "", admin, 200, 200, result},
		{"admin in the query", "", "?token=adm", admin, 200, 200, result},
		{"unknown in the query", "", "?token=zzz", admin, 200, 401, result},
		{"the header counts", "Bearer zzz", "?token=adm", admin, 200, 401, result},
		{"read on admin", "Bearer rd", "", admin, 200, 200, denied},
		{"read in the query", "", "?token=rd", admin, 200, 200, denied},
		{"read on a method that says nothing", "Bearer rd", "", forgot, 200, 200, strings.Replace(denied, "'Admin'", "'Forgot'", 1)},
		{"read on read", "Bearer rd", "", void, 200, 200, `{"jsonrpc":"2.0","id":1}` + "\n"},
	}
	open := start(t, known)
	shut := start(t, func(o *serve.Options) { known(o); o.Open = false })
	none := start(t, func(o *serve.Options) { o.Open = false })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{}
			if test.header != "" {
				header.Set("Authorization", test.header)
			}
			status, body, ws := visit(t, open, test.query, header, test.method)
			if status != test.open || ws != 101 || body != test.body {
				t.Errorf("open: got %d, %d, %q", status, ws, body)
			}
			status, body, ws = visit(t, shut, test.query, header, test.method)
			want, wantWS := test.body, 101
			if test.shut == 401 {
				want, wantWS = "", 401
			}
			if status != test.shut || ws != wantWS || body != want {
				t.Errorf("not open: got %d, %d, %q; want %d, %d, %q", status, ws, body, test.shut, wantWS, want)
			}
			if status, body, ws = visit(t, none, test.query, header, test.method); status != 401 || ws != 401 || body != "" {
				t.Errorf("no tokens at all: got %d, %d, %q", status, ws, body)
			}
		})
	}
	if strings.Contains(open.log.String()+shut.log.String(), "adm") {
		t.Error("a token is in the log")
	}
}

func TestVerbs(t *testing.T) {
	w := start(t, nil)
	for _, verb := range []string{"GET", "OPTIONS", "PUT", "HEAD", "DELETE"} {
		req, err := http.NewRequest(verb, w.url(), strings.NewReader(call("Void")))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", verb, resp.StatusCode, resp.Header.Get("Allow"))
		}
		for key := range resp.Header {
			if strings.HasPrefix(key, "Access-Control") {
				t.Errorf("%s: header %s", verb, key)
			}
		}
	}
}
