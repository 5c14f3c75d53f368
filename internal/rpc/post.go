package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// doRequest is what go-jsonrpc sends its requests through. What it returns is a
// checked reply: a result, or none.
func (c *Client) doRequest(ctx context.Context, body []byte) (io.ReadCloser, error) {
	var req struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	var reply []byte
	err := c.retry(ctx, req.Method, func() (f *failure) {
		reply, f = c.post(ctx, req.Method, req.ID, body)
		return f
	})
	return io.NopCloser(bytes.NewReader(reply)), err
}

// post makes one try of a call.
func (c *Client) post(ctx context.Context, method string, id json.RawMessage, body []byte) ([]byte, *failure) {
	resp, err := c.open(ctx, body, c.opts.Silence)
	if err != nil {
		return nil, c.lost(ctx, method, err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, c.opts.MaxBody+1))
	if err != nil {
		return nil, c.lost(ctx, method, err)
	}
	if int64(len(reply)) > c.opts.MaxBody {
		return nil, c.broken(method, errTooLarge, nil)
	}
	return reply, c.check(method, id, resp.StatusCode, reply)
}

// envelope is a reply without its result.
type envelope struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// check looks at the body first: servers answer a JSON-RPC error with HTTP 500
// as well as 200, and with any Content-Type.
func (c *Client) check(method string, id json.RawMessage, status int, reply []byte) *failure {
	var e envelope
	if err := json.Unmarshal(reply, &e); err != nil {
		if looksLikeReply(reply) && status == http.StatusOK {
			return c.broken(method, err, reply)
		}
		return c.foreign(method, status, reply)
	}
	switch {
	case e.Version == "" && e.ID == nil:
		return c.foreign(method, status, reply)
	case e.Error != nil && (isNull(e.ID) || bytes.Equal(e.ID, id)):
		return c.refused(method, e.Error.Code, e.Error.Message)
	case !bytes.Equal(e.ID, id):
		return c.broken(method, errWrongID, reply)
	}
	return nil
}

func looksLikeReply(b []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) }

func isNull(b json.RawMessage) bool { return len(b) == 0 || string(b) == "null" }

// open posts a request. The peer may stay silent for the given time, before the
// reply and within it; after that the connection is given up with errSilent.
// The body of the reply must be closed.
func (c *Client) open(ctx context.Context, body []byte, silence time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.at.URL, bytes.NewReader(body))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	for key, values := range c.opts.Header {
		req.Header[key] = values
	}
	req.Header.Set("Content-Type", "application/json")
	if c.at.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.at.Token.Reveal())
	}
	resp, err := c.http.Do(req)
	watch.Stop()
	if err != nil {
		err = silentOr(ctx, err)
		cancel(nil)
		return nil, err
	}
	c.answered.Store(true)
	resp.Body = &watchedBody{body: resp.Body, ctx: ctx, cancel: cancel, watch: watch, silence: silence}
	return resp, nil
}

// watchedBody is a reply that may not stay silent for too long.
type watchedBody struct {
	body    io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	watch   *time.Timer
	silence time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.Reset(b.silence)
	n, err := b.body.Read(p)
	b.watch.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = silentOr(b.ctx, err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.watch.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}

// silentOr returns errSilent if it was our own watch that ended the request.
func silentOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}
