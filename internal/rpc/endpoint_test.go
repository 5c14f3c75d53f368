package rpc

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"damocles-manager/internal/fault"
)

const jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJBbGxvdyI6WyJyZWFkIl19.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"

func TestParse(t *testing.T) {
	tests := []struct{ in, url, token string }{
		{"/ip4/127.0.0.1/tcp/2345/http", "http://127.0.0.1:2345/rpc/v0", ""},
		{"/ip4/127.0.0.1/tcp/2345/http\n", "http://127.0.0.1:2345/rpc/v0", ""},
		{"/ip4/10.0.0.1/tcp/2345", "http://10.0.0.1:2345/rpc/v0", ""},
		{"/ip6/::1/tcp/2345/http", "http://[::1]:2345/rpc/v0", ""},
		{"/dns4/miner.local/tcp/2345/ws", "http://miner.local:2345/rpc/v0", ""},
		{"/dns/miner.local/tcp/443/wss", "https://miner.local:443/rpc/v0", ""},
		{"/dns/miner.local/tcp/443/tls/ws", "https://miner.local:443/rpc/v0", ""},
		{"/dns/miner.local/tcp/443/https", "https://miner.local:443/rpc/v0", ""},
		{"http://127.0.0.1:2345", "http://127.0.0.1:2345/rpc/v0", ""},
		{"http://127.0.0.1:2345/", "http://127.0.0.1:2345/rpc/v0", ""},
		{"ws://127.0.0.1:2345/rpc/v1", "http://127.0.0.1:2345/rpc/v1", ""},
		{"wss://node.example/rpc/v1", "https://node.example/rpc/v1", ""},
		{"https://node.example", "https://node.example/rpc/v0", ""},
		{"HTTP://node.example", "http://node.example/rpc/v0", ""},
		{"127.0.0.1:1789", "http://127.0.0.1:1789/rpc/v0", ""},
		{"localhost:1789", "http://localhost:1789/rpc/v0", ""},
		{"[::1]:1789", "http://[::1]:1789/rpc/v0", ""},
		{":1789", "http://127.0.0.1:1789/rpc/v0", ""},
		{"tok:/ip4/127.0.0.1/tcp/2345/http", "http://127.0.0.1:2345/rpc/v0", "tok"},
		{"tok:/ip6/::1/tcp/2345/http", "http://[::1]:2345/rpc/v0", "tok"},
		{jwt + ":/ip4/127.0.0.1/tcp/2345/http", "http://127.0.0.1:2345/rpc/v0", jwt},
		{jwt + ":https://node.example", "https://node.example/rpc/v0", jwt},
		{jwt + ":127.0.0.1:2345", "http://127.0.0.1:2345/rpc/v0", jwt},
		{jwt + "::1789", "http://127.0.0.1:1789/rpc/v0", jwt},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in, "/rpc/v0")
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got.URL != tt.url || got.Token.Reveal() != tt.token {
			t.Errorf("%s: got %s and token %q, want %s and %q", tt.in, got.URL, got.Token.Reveal(), tt.url, tt.token)
		}
	}
}

// Whatever is wrong with the input, the error must not show it: the token may
// stand anywhere in it.
func TestParseRefusesWithoutShowingTheToken(t *testing.T) {
	for _, in := range []string{
		"", " ", jwt, jwt + ":", jwt + ":2345", jwt + ":/ip4/300.0.0.1/tcp/1/http", jwt + ":/nonsense", "/ip4/127.0.0.1/tcp/2345/http:" + jwt,
		jwt + ":ftp://host", jwt + ":http://", jwt + ":http://host:99999", "http://host:" + jwt, jwt + ":host", jwt + ":host:0",
		"/ip4/127.0.0.1/udp/2345", "/ip4/127.0.0.1", "/tcp/2345", "/ip4/1.2.3.4/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
		jwt[:30] + " " + jwt[30:] + ":/ip4/127.0.0.1/tcp/2345/http", "a,b", jwt + ":http://h\x7f",
	} {
		e, err := Parse(in, "/rpc/v0")
		if err == nil {
			t.Errorf("%q: accepted as %s", in, e)
			continue
		}
		if fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%q: kind %v, hint %q", in, fault.KindOf(err), fault.HintOf(err))
		}
		if strings.Contains(err.Error()+fault.HintOf(err), jwt[10:20]) {
			t.Errorf("%q: the error shows the token: %v", in, err)
		}
	}
}

func TestTokenPrintsAsStars(t *testing.T) {
	e := Endpoint{URL: "https://user:" + jwt + "@node.example/" + jwt + "/rpc/v1?token=" + jwt, Token: jwt}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", e.Token, []Token{e.Token})
	}
	fmt.Fprintf(&out, "%v %+v %s %#v %s\n", e, e, e, e, e.Token.GoString())
	raw, err := json.Marshal(map[string]any{"token": e.Token})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(raw)
	slog.New(slog.NewTextHandler(&out, nil)).Info("call", "token", e.Token, "at", e)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("call", "token", e.Token)
	if s := out.String(); strings.Contains(s, jwt[10:20]) || !strings.Contains(s, "***") {
		t.Errorf("printed: %s", s)
	}
	if e.Token.Reveal() != jwt {
		t.Error("Reveal does not return the token")
	}
}

func TestHostPort(t *testing.T) {
	for in, want := range map[string]string{
		"/ip6/::1/tcp/2345/http": "[::1]:2345", ":1789": "127.0.0.1:1789", "https://h/x": "h:443", "ws://h": "h:80",
	} {
		if e, err := Parse(in, "/rpc/v0"); err != nil || e.HostPort() != want {
			t.Errorf("%s: %s, %v, want %s", in, e.HostPort(), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/ip4/127.0.0.1/tcp/2345/http", "a:/ip4/1.1.1.1/tcp/1", "http://h", ":1789", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s, "/rpc/v0")
		if err == nil && !strings.HasPrefix(e.URL, "http") {
			t.Errorf("%q gave %q", s, e.URL)
		}
	})
}
