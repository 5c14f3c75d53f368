package serve

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/semaphore"
)

// Server answers JSON-RPC requests. It is the handler of one path, for POST and
// for WebSocket connections.
type Server struct {
	opts   Options
	limits Limits
	log    *slog.Logger

	bodies  *semaphore.Weighted
	calls   chan struct{}
	lists   chan struct{}
	sockets chan struct{}

	// base ends every call when a shutdown has no time left.
	base context.Context
	stop context.CancelFunc

	mu      sync.Mutex
	closing bool
	running int
	idle    chan struct{} // closed when closing, and nothing runs
	open    map[*socket]bool
}

var _ http.Handler = (*Server)(nil)

// New makes a server. It listens nowhere by itself.
func New(o Options) *Server {
	o.Limits.fill()
	base, stop := context.WithCancel(context.Background())
	return &Server{
		opts: o, limits: o.Limits, log: orDiscard(o.Log),
		bodies:  semaphore.NewWeighted(o.Limits.Bodies),
		calls:   make(chan struct{}, o.Limits.Calls),
		lists:   make(chan struct{}, o.Limits.Lists),
		sockets: make(chan struct{}, o.Limits.Sockets),
		base:    base, stop: stop,
		idle: make(chan struct{}),
		open: map[*socket]bool{},
	}
}

// ServeHTTP answers one request, or serves one WebSocket connection to its end.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if !s.enter() {
		s.refuse(w, r, start, &refusal{http.StatusServiceUnavailable, "the server is shutting down: try again later"})
		return
	}
	defer s.leave()
	perm, no := s.access(r)
	switch {
	case no != nil:
		s.refuse(w, r, start, no)
	case r.Method == http.MethodPost:
		s.post(w, r, perm, start)
	case r.Method == http.MethodGet && websocket.IsWebSocketUpgrade(r):
		s.upgrade(w, r, perm, start)
	default:
		w.Header().Set("Allow", http.MethodPost)
		s.refuse(w, r, start, &refusal{http.StatusMethodNotAllowed, "send a JSON-RPC request with POST, or open a WebSocket"})
	}
}

// refuse answers without having read the body, and never reads it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, start time.Time, no *refusal) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(s.limits.WriteStep))
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		_ = rc.SetReadDeadline(time.Now().Add(time.Second))
	}
	if no.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	if no.text != "" {
		w.Header().Set("Content-Type", plainText)
	}
	w.WriteHeader(no.status)
	if no.text != "" {
		_, _ = io.WriteString(w, no.text+"\n")
	}
	s.observe(Refused, start, no.status)
}

// within is a context that ends with the server, too.
func (s *Server) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.base, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.running++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.closing && s.running == 0 {
		close(s.idle)
	}
}

// Shutdown takes no new calls, waits until those that run have been answered,
// and then closes the WebSocket connections. When ctx ends first, the contexts of
// the calls are ended, the WebSocket connections are cut, and it returns ctx's
// error at once. The listener and idle connections are the http.Server's: shut it
// down afterwards.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing && s.running == 0 {
		close(s.idle)
	}
	s.closing = true
	for c := range s.open {
		c.drain()
	}
	s.mu.Unlock()
	defer s.stop()
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
