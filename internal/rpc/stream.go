package rpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"damocles-manager/internal/fault"
)

// Stream calls a method whose result is an array, and hands its elements to
// elem one by one, in order, without ever holding the whole. The element
// belongs to elem, which may keep it; an error of elem ends the stream and is
// returned as it is. null, [] and a reply without result are no elements.
//
// The elements are complete only if Stream returns nil: a connection can break
// in the middle. Only what fails before the first element is tried again.
func (c *Client) Stream(ctx context.Context, method string, params []any, elem func(json.RawMessage) error) error {
	raw, err := marshalParams(params)
	if err != nil {
		return fmt.Errorf("%s: encode the parameters: %w", method, err)
	}
	id := strconv.FormatInt(c.ids.Add(1), 10)
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, raw)
	return c.retry(ctx, method, func() *failure { return c.stream(ctx, method, id, body, elem) })
}

// stream makes one try.
func (c *Client) stream(ctx context.Context, method, id string, body []byte, elem func(json.RawMessage) error) *failure {
	resp, err := c.open(ctx, body, 5*c.opts.Silence)
	if err != nil {
		return c.lost(ctx, method, err)
	}
	defer resp.Body.Close()
	buf := bufio.NewReaderSize(resp.Body, 64<<10)
	head, err := buf.Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) {
		return c.lost(ctx, method, err)
	}
	head = bytes.Clone(head)
	if !looksLikeReply(head) {
		return c.foreign(method, resp.StatusCode, head)
	}
	s := newReply(buf, id, c.opts.MaxBody, elem)
	if err := s.read(); err != nil {
		return c.streamFailure(ctx, method, s, err, head)
	}
	switch {
	case s.env.Error != nil:
		return c.refused(method, s.env.Error.Code, s.env.Error.Message)
	case s.env.Version == "" && s.env.ID == nil:
		return c.foreign(method, resp.StatusCode, head)
	case string(s.env.ID) != id:
		return c.broken(method, errWrongID, head)
	}
	return nil
}

// streamFailure tells the receiver's error, a broken connection and a broken
// reply apart. After the first element a new try would hand it over twice.
func (c *Client) streamFailure(ctx context.Context, method string, s *reply, err error, head []byte) *failure {
	if own, ok := errors.AsType[*elemError](err); ok {
		return &failure{err: own.err}
	}
	if s.in.err == nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return c.broken(method, err, head)
	}
	f := c.lost(ctx, method, err)
	if s.count > 0 {
		f.passing = false
		f.err = fault.New(fault.HintOf(f.err), "%w, after %d elements", f.err, s.count)
	}
	return f
}

// reply decodes a reply as it comes. The keys may stand in any order.
type reply struct {
	dec   *json.Decoder
	in    *meter
	id    string
	elem  func(json.RawMessage) error
	env   envelope
	count int
}

// elemError marks an error that came from the receiver of the elements.
type elemError struct{ err error }

func (e *elemError) Error() string { return e.err.Error() }

func newReply(r io.Reader, id string, limit int64, elem func(json.RawMessage) error) *reply {
	in := &meter{r: r, limit: limit, left: limit}
	return &reply{dec: json.NewDecoder(in), in: in, id: id, elem: elem}
}

func (s *reply) read() error {
	if err := s.expect('{'); err != nil {
		return err
	}
	for s.dec.More() {
		key, err := s.dec.Token()
		if err != nil {
			return err
		}
		if err := s.value(key); err != nil {
			return err
		}
	}
	if err := s.expect('}'); err != nil {
		return err
	}
	if _, err := s.dec.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

func (s *reply) value(key json.Token) error {
	switch key {
	case "result":
		return s.result()
	case "id":
		if err := s.dec.Decode(&s.env.ID); err != nil {
			return err
		}
		if !isNull(s.env.ID) && string(s.env.ID) != s.id {
			return errWrongID
		}
		return nil
	case "jsonrpc":
		return s.dec.Decode(&s.env.Version)
	case "error":
		return s.dec.Decode(&s.env.Error)
	}
	var unknown json.RawMessage
	return s.dec.Decode(&unknown)
}

func (s *reply) result() error {
	open, err := s.dec.Token()
	if err != nil || open == nil {
		return err
	}
	if open != json.Delim('[') {
		return fmt.Errorf("the result is not an array but begins with %v", open)
	}
	for s.dec.More() {
		s.in.left = s.in.limit
		var raw json.RawMessage
		if err := s.dec.Decode(&raw); err != nil {
			return err
		}
		if err := s.elem(raw); err != nil {
			return &elemError{err}
		}
		s.count++
	}
	s.in.left = s.in.limit
	return s.expect(']')
}

func (s *reply) expect(d json.Delim) error {
	t, err := s.dec.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if t != d {
		return fmt.Errorf("%v where %v belongs", t, d)
	}
	return nil
}

// meter bounds what is read since left was last set, and keeps the error of the
// connection, which a decoder may wrap.
type meter struct {
	r           io.Reader
	limit, left int64
	err         error
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errTooLarge
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	if !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}
