package serve

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// send writes a whole answer as one message, and returns whether it went out.
func (c *socket) send(a answer) bool {
	m := &message{c: c}
	if err := m.whole(a.body); err != nil {
		if c.ctx.Err() == nil { // or the connection is being closed, with a reason
			c.cut()
		}
		return false
	}
	return true
}

// sendList writes a list as one message of many fragments, and returns the code
// for Observe. One list is written at a time; the others wait for it.
func (c *socket) sendList(call *socketCall, list Elements) int {
	req := &call.req
	select {
	case c.lists <- struct{}{}:
		defer func() { <-c.lists }()
	case <-call.ctx.Done():
		return c.sendError(req, call.ctx.Err())
	}
	release, err := take(call.ctx, c.s.lists, c.s.limits.Wait)
	if err != nil {
		return c.sendError(req, err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(call.ctx, c.s.limits.WriteWhole)
	defer cancel()
	// A list that was begun can no longer be cancelled: breaking it off would end
	// the connection for all other calls.
	m := &message{c: c, began: func() { c.forget(call) }}
	_, err = c.s.list(ctx, req, list, m)
	if err == nil {
		err = m.end()
	}
	switch {
	case err == nil:
		return 0
	case m.w == nil:
		return c.sendError(req, err)
	}
	c.s.log.Debug("a list broke off", "method", req.Method, "error", err)
	c.breakOff()
	return CodeBroken
}

// sendError answers an error that came before the first element.
func (c *socket) sendError(req *request, err error) int {
	a := failedList(req, err)
	if !c.send(a) {
		return CodeBroken
	}
	return a.code
}

// message is one message on its way. It takes hold of the connection with its
// first byte, and lets go of it at its end: after a message that broke off, nothing
// may be written that a client could take for its rest.
type message struct {
	c     *socket
	began func()
	w     io.WriteCloser
}

// whole writes a message that is there already: in one frame, unless it is so
// large that a slow client needs more time.
func (m *message) whole(body []byte) error {
	if len(body) <= chunk {
		if err := m.lock(); err != nil {
			return err
		}
		defer m.unlock()
		m.deadline()
		return m.c.ws.WriteMessage(websocket.TextMessage, body)
	}
	for len(body) > 0 {
		n, err := m.Write(body[:min(chunk, len(body))])
		if err != nil {
			return err
		}
		body = body[n:]
	}
	return m.end()
}

// Write sends a fragment.
func (m *message) Write(p []byte) (int, error) {
	if m.w == nil {
		if err := m.begin(); err != nil {
			return 0, err
		}
	}
	m.deadline()
	n, err := m.w.Write(p)
	if err == nil {
		m.c.alive() // a client that takes what it gets is there
	}
	return n, err
}

func (m *message) begin() error {
	if err := m.lock(); err != nil {
		return err
	}
	w, err := m.c.ws.NextWriter(websocket.TextMessage)
	if err != nil {
		m.unlock()
		return err
	}
	m.w = w
	if m.began != nil {
		m.began()
	}
	return nil
}

// end completes the message.
func (m *message) end() error {
	m.deadline()
	if err := m.w.Close(); err != nil {
		return err
	}
	m.unlock()
	return nil
}

func (m *message) lock() error {
	select {
	case m.c.write <- struct{}{}:
		return nil
	case <-m.c.ctx.Done():
		return m.c.ctx.Err()
	}
}

func (m *message) unlock() { <-m.c.write }

func (m *message) deadline() {
	_ = m.c.ws.SetWriteDeadline(time.Now().Add(m.c.s.limits.WriteStep))
}

// isControl is whether a method belongs to the library with which the original
// and its clients talk.
func isControl(method string) bool { return strings.HasPrefix(method, "xrpc.") }

// notice cancels the call that a client has given up. The other notices are about
// channels, which no method here returns.
func (c *socket) notice(req *request) {
	var params []json.RawMessage
	if req.Method != "xrpc.cancel" || len(req.Params) > 2*maxID || json.Unmarshal(req.Params, &params) != nil || len(params) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if call := c.cancels[string(params[0])]; call != nil {
		call.cancel()
	}
}

func (c *socket) remember(call *socketCall) {
	if call.req.isNotification() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancels[string(call.req.ID)] = call
}

func (c *socket) forget(call *socketCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancels[string(call.req.ID)] == call {
		delete(c.cancels, string(call.req.ID))
	}
}
