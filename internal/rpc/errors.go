package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"damocles-manager/internal/fault"
)

// What a failed call was. Test with errors.Is; a call that the peer carried out
// and answered with an error is an *RPCError instead.
var (
	// ErrUnauthorized: the peer did not take the token (HTTP 401).
	ErrUnauthorized = errors.New("token not accepted")
	// ErrPermission: the token is good, but does not allow this call. Such an
	// error is an *RPCError, too.
	ErrPermission = errors.New("missing permission")
	// ErrUnreachable: no answer, or none to the end. Where nothing listens,
	// syscall.ECONNREFUSED is in the chain as well.
	ErrUnreachable = errors.New("no answer")
	// ErrNotJSON: something answered, but not with a JSON-RPC reply to this call.
	ErrNotJSON = errors.New("no JSON-RPC reply")
)

// MethodNotFound is the code by which a peer says that it has no such method.
const MethodNotFound = -32601

// RPCError is an error that the peer itself answered with.
type RPCError struct {
	Method  string
	Code    int
	Message string
}

func (e *RPCError) Error() string { return e.Message }

// failure is one try that failed. Only a passing one is worth another try.
type failure struct {
	err     error  // for people: method, address, hint
	why     string // the same in a few words, for notices
	passing bool
	// maybe says that the peer may have got the request, and carried it out.
	maybe bool
}

var (
	errSilent   = errors.New("timeout: nothing came")
	errTooLarge = errors.New("the reply, or one element of it, is too large")
	errTrailing = errors.New("something follows the reply")
	errWrongID  = errors.New("the reply belongs to another call")
)

// lost is the failure of a connection that broke, or never came to be. If it is
// the caller who gave up, the error is the context's.
func (c *Client) lost(ctx context.Context, method string, err error) *failure {
	if ctx.Err() != nil {
		return &failure{err: c.cancelled(ctx, method)}
	}
	why := c.at.Token.redact(brief(err))
	dial, ok := errors.AsType[*net.OpError](err)
	return &failure{
		why:     why,
		passing: mayPass(err),
		maybe:   !ok || dial.Op != "dial",
		err: fault.New(fmt.Sprintf("check that %s is running and that the address is right, then run the command again", c.opts.theName()),
			"%s did not answer %s: %w", c, method, &reasonError{why, []error{ErrUnreachable, root(err)}}),
	}
}

// theName is the peer's name within a sentence: lotus-miner, the chain node.
func (o Options) theName() string {
	if strings.Contains(o.Name, " ") {
		return "the " + o.Name
	}
	return o.Name
}

// cancelled is a fault error, so that it is found inside go-jsonrpc's wrapping.
func (c *Client) cancelled(ctx context.Context, method string) error {
	return &fault.Error{Err: fmt.Errorf("%s at %s: %w", method, c.at, ctx.Err())}
}

// reasonError prints as a short text and still is the errors that it stands for.
type reasonError struct {
	text string
	errs []error
}

func (r *reasonError) Error() string   { return r.text }
func (r *reasonError) Unwrap() []error { return r.errs }

// root drops net/http's wrapper, which prints the URL with its query. A
// deadline of our own must not look like one of the caller's.
func root(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errSilent
	}
	return err
}

func brief(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "timeout"
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the reply broke off"
	case errors.Is(err, io.EOF), strings.Contains(err.Error(), closedIdle):
		return "the connection was closed"
	}
	text := root(err).Error()
	// net/http has no error to test for. The first is of a peer that speaks before
	// it is asked, as SSH does.
	if strings.Contains(text, "readLoopPeekFailLocked") || strings.Contains(text, "malformed HTTP") {
		return "what listens there does not speak HTTP"
	}
	return shorten(text, 120)
}

// closedIdle is what net/http says where a connection that was kept open turns
// out to be closed by the peer just as a request goes out. It has no value for it.
const closedIdle = "server closed idle connection"

func mayPass(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, errSilent, syscall.ECONNREFUSED, syscall.ECONNRESET,
		syscall.ECONNABORTED, syscall.EPIPE, syscall.ENETUNREACH, syscall.EHOSTUNREACH} {
		if errors.Is(err, e) {
			return true
		}
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsTemporary || dns.IsTimeout
	}
	if strings.Contains(err.Error(), closedIdle) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// foreign is the failure of a reply that is no JSON-RPC reply: the status says
// what it was instead.
func (c *Client) foreign(method string, status int, body []byte) *failure {
	code := fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))
	switch status {
	case http.StatusUnauthorized:
		return &failure{err: fault.New(c.opts.TokenHint, "%s refused %s: %w", c, method, ErrUnauthorized)}
	case http.StatusForbidden:
		return &failure{err: fault.New(c.opts.PermissionHint, "%s refused %s: %w (%s)", c, method, ErrPermission, code)}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return &failure{passing: true, maybe: true, why: code, err: fault.New(
			fmt.Sprintf("%s, or the proxy in front of it, is busy or down: run the command again later", c.opts.Name),
			"%s did not answer %s: %w", c, method, &reasonError{code, []error{ErrUnreachable}})}
	}
	what := fmt.Sprintf("%s with an empty reply", code)
	if text := c.quote(body); text != "" {
		what = fmt.Sprintf("%s: %q", code, text)
	}
	return &failure{err: fault.New(
		fmt.Sprintf("something other than a %s may be listening there, or the path is wrong: check the address", c.opts.Name),
		"%s answered %s with %w (%s)", c, method, ErrNotJSON, what)}
}

// broken is the failure of a reply that began as JSON and cannot be used.
func (c *Client) broken(method string, err error, head []byte) *failure {
	hint := fmt.Sprintf("check that the address is that of a %s, and that no proxy changes its replies", c.opts.Name)
	if errors.Is(err, errTooLarge) {
		return &failure{err: fault.New("check that the address is right", "%s answered %s with more than fits: %w (limit %d bytes)",
			c, method, err, c.opts.MaxBody)}
	}
	why := c.at.Token.redact(err.Error())
	return &failure{err: fault.New(hint, "%s answered %s with %w: %s: %q", c, method,
		ErrNotJSON, why, c.quote(head))}
}

// refused is the peer's own error. The hint depends on what it was.
func (c *Client) refused(method string, code int, message string) *failure {
	e := &RPCError{Method: method, Code: code, Message: c.at.Token.redact(message)}
	switch {
	case strings.HasPrefix(message, "missing permission to invoke"):
		return &failure{err: fault.New(c.opts.PermissionHint, "%s refused %s: %w", c, method,
			&reasonError{e.Message, []error{ErrPermission, e}})}
	case code == MethodNotFound:
		return &failure{err: fault.New(
			fmt.Sprintf("this %s may be too old, or the address belongs to another program", c.opts.Name),
			"%s does not know %s: %w", c, method, e)}
	}
	return &failure{err: fault.New(fmt.Sprintf("see the log of %s for the reason", c.opts.Name),
		"%s answered %s with an error: %w", c, method, e)}
}

// quote is the beginning of what a peer sent, fit to be printed.
func (c *Client) quote(body []byte) string {
	return shorten(c.at.Token.redact(strings.TrimSpace(string(body))), 60)
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}
