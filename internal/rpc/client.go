// Package rpc carries JSON-RPC calls to the programs that this tool works
// with: lotus-miner, damocles-manager, a chain node. It knows addresses,
// tokens, retries and the ways in which a call can fail; what the methods mean
// is known to the packages that use it. Every call is one HTTP POST.
package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	jsonrpc "github.com/filecoin-project/go-jsonrpc"

	"damocles-manager/internal/fault"
)

// Options say how to talk to a peer. The zero value works.
type Options struct {
	// Name is the peer's name in messages, for example "lotus-miner".
	Name string
	// Header is sent with every request.
	Header http.Header
	// Jobs is how many calls will be under way at once; that many connections
	// are kept open. 16 if zero.
	Jobs int
	// MaxBody bounds the reply of a Call, and one element of a Stream, in
	// bytes. 64 MiB if zero.
	MaxBody int64
	// Silence is how long the peer may stay silent within a Call before it
	// counts as gone: 2 minutes if zero, and five times that for a Stream,
	// because damocles puts its whole list together before it sends the first byte.
	Silence time.Duration
	Retry   Retry
	// Notice is told of every new try. Calls that wait for the same try at the
	// same time are told of once. It may be called from several goroutines.
	Notice func(string)
	// TokenHint and PermissionHint are the next step where the peer refuses a
	// token, or where the token does not allow a call.
	TokenHint, PermissionHint string
}

// Retry says how often what may pass is tried again.
type Retry struct {
	// Attempts counts the first try, too. 5 if zero.
	Attempts int
	// Base is the first delay, doubled each time up to Cap. 250 ms and 5 s if zero.
	Base, Cap time.Duration
	// NoRetryOnFirst fails at once where nothing listens and the peer never
	// answered yet: it is not running, which is different from an interruption.
	NoRetryOnFirst bool
}

// Client calls the methods of one peer. It may be used by many goroutines.
type Client struct {
	at       Endpoint
	opts     Options
	http     *http.Client
	ids      atomic.Int64
	answered atomic.Bool

	mu      sync.Mutex
	methods map[string]rawCall
	waiting map[int]int // attempt -> calls that wait for it
}

type rawCall func(context.Context, jsonrpc.RawParams) (json.RawMessage, error)

// New makes a client. It does not connect: the first call does.
func New(at Endpoint, opts Options) *Client {
	opts.fill()
	return &Client{
		at: at, opts: opts,
		http:    &http.Client{Transport: transport(opts.Jobs), CheckRedirect: noRedirect},
		methods: map[string]rawCall{},
		waiting: map[int]int{},
	}
}

func (o *Options) fill() {
	setIfZero(&o.Name, "the service")
	setIfZero(&o.Jobs, 16)
	setIfZero(&o.MaxBody, 64<<20)
	setIfZero(&o.Silence, 2*time.Minute)
	setIfZero(&o.Retry.Attempts, 5)
	setIfZero(&o.Retry.Base, 250*time.Millisecond)
	setIfZero(&o.Retry.Cap, 5*time.Second)
	setIfZero(&o.TokenHint, fmt.Sprintf("check that the token is the one of this %s, and was copied whole", o.Name))
	setIfZero(&o.PermissionHint, "give a token that allows this call")
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
}

func setIfZero[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// transport goes straight to the peer: a proxy taken from the environment
// would see the token. It keeps a connection open for every job.
func transport(jobs int) *http.Transport {
	return &http.Transport{
		Proxy:               nil,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns:        jobs,
		MaxIdleConnsPerHost: jobs,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
}

// noRedirect stops at a redirect: a followed POST becomes a GET.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Endpoint returns where this client calls.
func (c *Client) Endpoint() Endpoint { return c.at }

// String names the peer and its place, without secrets.
func (c *Client) String() string { return c.opts.Name + " at " + c.at.String() }

// Call calls a method ("Filecoin.Version") and decodes its result into result,
// a pointer; nil drops the result. A reply without result, or with null, leaves
// *result as it is. What may pass is tried again, see Retry and Once. Errors
// are fault errors around the sentinels of this package, an *RPCError, or the
// context's error.
func (c *Client) Call(ctx context.Context, result any, method string, params ...any) error {
	call, err := c.method(method)
	if err != nil {
		return err
	}
	raw, err := marshalParams(params)
	if err != nil {
		return fmt.Errorf("%s: encode the parameters: %w", method, err)
	}
	reply, err := call(ctx, raw)
	if err != nil {
		return c.unwrap(method, err)
	}
	if result == nil || len(reply) == 0 || string(reply) == "null" {
		return nil
	}
	if err := json.Unmarshal(reply, result); err != nil {
		return fault.New(fmt.Sprintf("this %s may be newer than this tool: report it with the versions of both", c.opts.Name),
			"%s answered %s with a result that cannot be read: %s", c, method, c.at.Token.redact(fault.JSON(err).Error()))
	}
	return nil
}

// method returns go-jsonrpc's function for a method, made at its first use.
func (c *Client) method(name string) (rawCall, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call, ok := c.methods[name]; ok {
		return call, nil
	}
	var api struct{ Call rawCall }
	named := func(string, string) string { return name }
	if _, err := jsonrpc.NewCustomClient("", []any{&api}, c.doRequest, jsonrpc.WithMethodNameFormatter(named)); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	c.methods[name] = api.Call
	return api.Call, nil
}

// unwrap takes off what go-jsonrpc puts around an error of ours.
func (c *Client) unwrap(method string, err error) error {
	if ours, ok := errors.AsType[*fault.Error](err); ok {
		return ours
	}
	return fmt.Errorf("%s at %s: %w", method, c.at, err)
}

func marshalParams(params []any) (jsonrpc.RawParams, error) {
	if len(params) == 0 {
		return jsonrpc.RawParams("[]"), nil
	}
	raw, err := json.Marshal(params)
	return jsonrpc.RawParams(raw), err
}
