package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// socket is one WebSocket connection. One goroutine reads, one pings, and each
// call has its own; write is held by the one that writes a message.
type socket struct {
	s    *Server
	ws   *websocket.Conn
	perm Perm
	ctx  context.Context
	end  context.CancelFunc

	queue chan struct{} // calls that were read and not answered
	calls chan struct{} // calls that run
	lists chan struct{} // the list that is being written
	write chan struct{}
	wg    sync.WaitGroup

	mu        sync.Mutex
	inMessage bool
	draining  bool
	broken    bool
	cancels   map[string]*socketCall
}

// socketCall is a call on its way, which the client may cancel.
type socketCall struct {
	req    request
	fail   *Error
	body   *held
	ctx    context.Context
	cancel context.CancelFunc
}

// tinyBuffer makes gorilla send what it is given as it is given: it has no Flush,
// and would keep the first element until its buffer is full.
const tinyBuffer = 16

func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, perm Perm, start time.Time) {
	select {
	case s.sockets <- struct{}{}:
		defer func() { <-s.sockets }()
	default:
		s.refuse(w, r, start, &refusal{http.StatusServiceUnavailable, "too many WebSocket connections: try again later"})
		return
	}
	up := websocket.Upgrader{
		HandshakeTimeout: s.limits.HeaderTime, WriteBufferSize: tinyBuffer,
		// access has looked at the Origin, and knows about tokens, too.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		s.observe(Refused, start, http.StatusBadRequest)
		return
	}
	ctx, end := s.within(r.Context())
	c := &socket{
		s: s, ws: ws, perm: perm, ctx: ctx, end: end,
		queue:   make(chan struct{}, 4*s.limits.PerSocket),
		calls:   make(chan struct{}, s.limits.PerSocket),
		lists:   make(chan struct{}, 1),
		write:   make(chan struct{}, 1),
		cancels: map[string]*socketCall{},
	}
	defer context.AfterFunc(s.base, func() { _ = ws.Close() })()
	s.register(c)
	defer s.unregister(c)
	c.serve()
}

func (s *Server) register(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = true
	if s.closing {
		c.drain()
	}
}

func (s *Server) unregister(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// drain makes the reader stop. What runs is answered.
func (c *socket) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	_ = c.ws.SetReadDeadline(time.Now())
}

// breakOff ends the connection because a message cannot be completed. The other
// calls end, too: none of them could be answered.
func (c *socket) breakOff() {
	c.mu.Lock()
	c.broken = true
	c.mu.Unlock()
	c.end()
	c.drain()
}

// why is the reason that this side has to end the connection, if it has one.
func (c *socket) why() (broken, draining bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken, c.draining
}

func (c *socket) serve() {
	var pings sync.WaitGroup
	c.ws.SetReadLimit(c.s.limits.Body)
	c.ws.SetPongHandler(func(string) error { c.alive(); return nil })
	c.ws.SetPingHandler(c.pong)
	pings.Go(c.ping)
	code, text := c.read()
	switch broken, draining := c.why(); {
	case broken:
		code, text = websocket.CloseInternalServerErr, "a list broke off"
	case draining:
		code, text = websocket.CloseGoingAway, "the server is shutting down"
		c.wg.Wait()
		if broken, _ = c.why(); broken {
			code, text = websocket.CloseInternalServerErr, "a list broke off"
		}
	}
	c.close(code, text)
	c.wg.Wait()
	pings.Wait()
}

// close ends the connection, and with it all its calls. A connection that is
// closed while something unread is there is reset, and the client would never see
// the reason: it is given a moment to send what it is sending.
func (c *socket) close(code int, text string) {
	c.end()
	if code != 0 {
		message := websocket.FormatCloseMessage(code, text)
		err := c.ws.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second))
		if err == nil || errors.Is(err, websocket.ErrCloseSent) {
			c.linger()
		}
	}
	_ = c.ws.Close()
}

func (c *socket) linger() {
	const most, moment = 16 << 20, 500 * time.Millisecond
	conn := c.ws.NetConn()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(moment))
	_, _ = io.CopyN(io.Discard, conn, most)
}

// cut ends a connection that cannot be written to any more.
func (c *socket) cut() {
	c.end()
	_ = c.ws.Close()
}

// read takes requests in until the connection ends, and returns the code and the
// text to close it with; 0 is a connection that the client has ended.
func (c *socket) read() (code int, text string) {
	for {
		body, err := c.next()
		if err != nil {
			body.release()
			return closeCode(err)
		}
		if !c.take(body) {
			return websocket.CloseInvalidFramePayloadData, "the message is not a JSON-RPC request"
		}
	}
}

func closeCode(err error) (int, string) {
	switch {
	case errors.Is(err, errBusy):
		return websocket.CloseTryAgainLater, errBusy.Error()
	case errors.Is(err, websocket.ErrReadLimit), errors.Is(err, errTooLarge):
		return websocket.CloseMessageTooBig, errTooLarge.Error()
	}
	return 0, ""
}

func (c *socket) next() (*held, error) {
	c.alive()
	_, r, err := c.ws.NextReader()
	if err != nil {
		return &held{}, err
	}
	c.reading(true)
	defer c.reading(false)
	return c.s.read(c.ctx, r, c.deadline)
}

func (c *socket) reading(now bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inMessage = now
}

// alive puts the end of a silent connection off. Within a message it does not:
// pings must not keep one open that never ends.
func (c *socket) alive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.inMessage && !c.draining {
		_ = c.ws.SetReadDeadline(time.Now().Add(c.s.limits.Idle))
	}
}

func (c *socket) deadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return nil
	}
	return c.ws.SetReadDeadline(t)
}

// pong answers a ping. It waits as long as a part of a message may take: with less
// time, a client that pauses within a list would lose the connection.
func (c *socket) pong(data string) error {
	c.alive()
	return c.control(websocket.PongMessage, []byte(data))
}

func (c *socket) control(kind int, data []byte) error {
	err := c.ws.WriteControl(kind, data, time.Now().Add(c.s.limits.WriteStep))
	if errors.Is(err, websocket.ErrCloseSent) {
		return nil
	}
	return err
}

func (c *socket) ping() {
	ticker := time.NewTicker(max(c.s.limits.Idle/3, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
			if c.control(websocket.PingMessage, nil) != nil {
				c.cut()
				return
			}
		}
	}
}

// take starts the call that a message asks for. It returns false for a message
// that cannot even be answered. A message without a method is an answer to
// somebody who never asked; the original drops it, too.
func (c *socket) take(body *held) bool {
	call := &socketCall{body: body}
	call.req, call.fail = decode(body.data)
	switch {
	case call.fail != nil && call.fail.Code == CodeParse && call.req.isNotification():
		c.s.observe(Refused, time.Now(), CodeParse)
		body.release()
		return false
	case call.fail == nil && (call.req.Method == "" || isControl(call.req.Method)):
		c.notice(&call.req)
		body.release()
		return true
	}
	if !c.place() {
		body.release()
		return true
	}
	call.ctx, call.cancel = context.WithCancel(c.ctx)
	c.remember(call)
	c.wg.Go(func() {
		if c.s.guard(call.req.Method, func() { c.answer(call) }) != nil {
			c.cut()
		}
	})
	return true
}

// place waits until there is room for another call. Meanwhile nobody reads, and so
// nobody would notice that the client has gone, but for the pings.
func (c *socket) place() bool {
	probe := time.NewTicker(time.Second)
	defer probe.Stop()
	for {
		select {
		case c.queue <- struct{}{}:
			return true
		case <-c.ctx.Done():
			return false
		case <-probe.C:
			if c.control(websocket.PingMessage, nil) != nil {
				c.cut()
			}
		}
	}
}

// answer runs a call and writes what comes of it.
func (c *socket) answer(call *socketCall) {
	start := time.Now()
	defer func() { <-c.queue }()
	defer call.cancel()
	defer c.forget(call)
	defer call.body.release()
	req := &call.req
	if call.fail != nil {
		c.send(failed(req.ID, call.fail))
		c.s.observe(Refused, start, call.fail.Code)
		return
	}
	a := c.run(call)
	call.body.release()
	code := a.code
	switch {
	case req.isNotification():
	case a.list != nil:
		code = c.sendList(call, a.list)
	case !c.send(a):
		code = CodeBroken
	}
	c.s.observe(req.Method, start, code)
}

func (c *socket) run(call *socketCall) answer {
	select {
	case c.calls <- struct{}{}:
		defer func() { <-c.calls }()
	case <-call.ctx.Done():
		return failed(call.req.ID, call.ctx.Err())
	}
	return c.s.call(call.ctx, c.perm, &call.req)
}
