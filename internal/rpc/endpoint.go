package rpc

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/multiformats/go-multiaddr"

	"damocles-manager/internal/fault"
)

// Endpoint is where a service answers, and the token for it.
type Endpoint struct {
	// URL is http or https, with a path. It may hold secrets (a key in the path
	// or the query), so print the Endpoint, not the URL.
	URL   string
	Token Token
}

// String is the place without its secrets: scheme, host and port.
func (e Endpoint) String() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return "an address that cannot be read"
	}
	return u.Scheme + "://" + u.Host
}

// GoString keeps the secrets out of %#v.
func (e Endpoint) GoString() string { return e.String() }

const addressHint = "give a multiaddr (/ip4/127.0.0.1/tcp/2345/http), a URL (http://127.0.0.1:2345) or host:port; " +
	"a token may stand before it: TOKEN:/ip4/127.0.0.1/tcp/2345/http"

// Parse reads an address as the Filecoin tools write it: a multiaddr, a URL
// (http, https, ws, wss), host:port or :port, each with an optional TOKEN: in
// front. Everything becomes http or https, because calls are always posted;
// defaultPath is added where the address has no path. Errors are of kind Usage
// and quote nothing of s, since it may hold a token anywhere.
func Parse(s string, defaultPath string) (Endpoint, error) {
	secret, addr := splitToken(strings.TrimSpace(s))
	token, err := ParseToken(secret)
	if err != nil {
		return Endpoint{}, err
	}
	u, err := parseAddress(addr)
	if err != nil {
		return Endpoint{}, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = defaultPath
	}
	return Endpoint{URL: u.String(), Token: token}, nil
}

// splitToken splits at the first colon, unless that colon belongs to a
// multiaddr, a URL or a host and port.
func splitToken(s string) (token, addr string) {
	before, after, ok := strings.Cut(s, ":")
	switch {
	case !ok, strings.HasPrefix(s, "/"), strings.HasPrefix(s, "["), strings.HasPrefix(after, "//"), isPort(after):
		return "", s
	}
	return before, after
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func parseAddress(s string) (*url.URL, error) {
	switch {
	case s == "":
		return nil, fault.BadUsage(addressHint, "the address is empty")
	case strings.HasPrefix(s, "/"):
		return parseMultiaddr(s)
	case strings.Contains(s, "://"):
		return parseURL(s)
	}
	return parseHostPort(s)
}

func parseHostPort(s string) (*url.URL, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || !isPort(port) || strings.ContainsAny(host, "/?#@%") || looksLikeToken(host) {
		return nil, fault.BadUsage(addressHint, "the address is neither a multiaddr, nor a URL, nor host:port")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}, nil
}

// looksLikeToken keeps TOKEN:2345 from being dialed, and printed, as a host.
func looksLikeToken(host string) bool {
	return len(host) > 100 || strings.HasPrefix(host, "eyJ")
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || (u.Port() != "" && !isPort(u.Port())) {
		return nil, fault.BadUsage(addressHint, "the address is not a valid URL")
	}
	switch u.Scheme {
	case "http", "https":
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return nil, fault.BadUsage(addressHint, "the address begins with neither http, https, ws nor wss")
	}
	u.Fragment = ""
	return u, nil
}

// parseMultiaddr reads host, tcp port and whether TLS is spoken. Parts that say
// how to reach something else (udp, p2p, ...) are refused: to leave one out
// would be to dial another place than was meant.
func parseMultiaddr(s string) (*url.URL, error) {
	m, err := multiaddr.NewMultiaddr(strings.TrimSuffix(s, "/"))
	if err != nil {
		return nil, fault.BadUsage(addressHint, "the address is not a valid multiaddr")
	}
	var host, port string
	scheme := "http"
	for _, c := range m {
		switch c.Protocol().Code {
		case multiaddr.P_IP4, multiaddr.P_IP6, multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
			host = c.Value()
		case multiaddr.P_TCP:
			port = c.Value()
		case multiaddr.P_TLS, multiaddr.P_HTTPS, multiaddr.P_WSS:
			scheme = "https"
		case multiaddr.P_HTTP, multiaddr.P_WS:
		default:
			return nil, fault.BadUsage(addressHint, "the multiaddr has a part %q that is not understood", c.Protocol().Name)
		}
	}
	if host == "" || !isPort(port) {
		return nil, fault.BadUsage(addressHint, "the multiaddr names no host or no tcp port")
	}
	return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}, nil
}
