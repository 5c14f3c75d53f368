package testkit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Failure is a way in which a call can go wrong below the method.
type Failure int

const (
	Pass        Failure = iota
	Close               // the connection is closed without an answer
	HTML                // a web server's page, with status 200
	Empty               // no body, with status 200
	Truncated           // half of the reply, the connection then breaks
	CutJSON             // half of the reply, as if it were whole
	WrongID             // a reply to another call
	Unavailable         // HTTP 503, with a proxy's page
	Denied              // HTTP 401 with no body, whatever the token
	Silent              // no answer until the client goes away
	Echo                // HTTP 200 with the request's own headers as text
	Lost                // the work is done, then the connection is closed without an answer
)

// Options are common to all stand-ins.
type Options struct {
	// Latency is added to every call.
	Latency time.Duration
	// Token, if set, is the admin token; ReadToken allows reading only. Any other
	// token is answered with 401, none at all means reading only.
	Token, ReadToken string
	// Fail is asked before every call; n counts the calls of all methods from 1.
	Fail func(method string, n int) Failure
	// Results answer a method with a fixed result instead of the stand-in's own.
	Results map[string]json.RawMessage
}

// Server is a running stand-in.
type Server struct {
	// URL has the path, too.
	URL string

	opts    Options
	style   style
	methods map[string]method
	http    *httptest.Server

	mu           sync.Mutex
	calls        map[string]int
	last         map[string]json.RawMessage
	header       http.Header
	total        int
	now, highest int
}

// method answers one call; void{} is a result that is not there.
type method struct {
	params int
	admin  bool
	call   func(params []json.RawMessage) (any, error)
}

type void struct{}

// Error is an error that a method answers with.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

func newServer(t testing.TB, opts Options, path string, s style, methods map[string]method) *Server {
	srv := &Server{opts: opts, style: s, methods: methods, calls: map[string]int{}, last: map[string]json.RawMessage{}}
	mux := http.NewServeMux()
	mux.HandleFunc(path, srv.serve)
	srv.http = httptest.NewServer(mux)
	srv.URL = srv.http.URL + path
	t.Cleanup(srv.Stop)
	return srv
}

// Stop ends the server: from then on, nothing listens at its address.
func (s *Server) Stop() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Multiaddr is the server's address as lotus writes it.
func (s *Server) Multiaddr() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("/ip4/%s/tcp/%s/http", u.Hostname(), u.Port())
}

// Calls returns how often a method was called; "" counts all.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if method == "" {
		return s.total
	}
	return s.calls[method]
}

// MaxConcurrent returns how many calls were under way at once, at most.
func (s *Server) MaxConcurrent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}

// LastParams returns the parameters of a method's last call.
func (s *Server) LastParams(method string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[method]
}

// LastHeader returns the header of the last request.
func (s *Server) LastHeader() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header
}

type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	// Read to the end, or a client that goes away is not noticed.
	body, _ := io.ReadAll(r.Body)
	var req request
	if err := json.Unmarshal(body, &req); err != nil {
		s.style.write(w, 500, nil, nil, &Error{-32700, "unmarshaling request: " + err.Error()})
		return
	}
	n := s.enter(r, req)
	defer s.leave()
	time.Sleep(s.opts.Latency)
	if s.opts.Fail != nil {
		if f := s.opts.Fail(req.Method, n); f != Pass {
			s.fail(w, r, req, f)
			return
		}
	}
	s.answer(w, r, req)
}

func (s *Server) enter(r *http.Request, req request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	s.calls[req.Method]++
	s.last[req.Method] = req.Params
	s.header = r.Header
	s.now++
	s.highest = max(s.highest, s.now)
	return s.total
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, req request) {
	admin, ok := s.allowed(r)
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	m, ok := s.methods[req.Method]
	if !ok {
		s.style.write(w, 500, req.ID, nil, &Error{-32601, s.style.protocol(-32601, fmt.Sprintf("method '%s' not found", req.Method))})
		return
	}
	var params []json.RawMessage
	if err := json.Unmarshal(orEmpty(req.Params), &params); err != nil || len(params) != m.params {
		s.style.write(w, 500, req.ID, nil, &Error{-32602, s.style.protocol(-32602,
			fmt.Sprintf("wrong param count (method '%s'): %d != %d", req.Method, len(params), m.params))})
		return
	}
	if m.admin && !admin {
		_, name, _ := strings.Cut(req.Method, ".")
		s.style.write(w, 200, req.ID, nil, &Error{1, fmt.Sprintf("missing permission to invoke '%s' (need 'admin')", name)})
		return
	}
	res, err := s.result(req, m, params)
	s.style.write(w, 200, req.ID, res, err)
}

func orEmpty(params json.RawMessage) json.RawMessage {
	if len(params) == 0 {
		return json.RawMessage("[]")
	}
	return params
}

func (s *Server) result(req request, m method, params []json.RawMessage) (any, error) {
	if fixed, ok := s.opts.Results[req.Method]; ok {
		return fixed, nil
	}
	return m.call(params)
}

func (s *Server) allowed(r *http.Request) (admin, ok bool) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case s.opts.Token == "" && s.opts.ReadToken == "":
		return true, true
	case token == "":
		return false, true
	}
	return token == s.opts.Token, token == s.opts.Token || token == s.opts.ReadToken
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, req request, f Failure) {
	switch f {
	case Close:
		panic(http.ErrAbortHandler)
	case Lost:
		s.answer(httptest.NewRecorder(), r, req)
		panic(http.ErrAbortHandler)
	case HTML:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head><body>It works.</body></html>\n")
	case Empty:
	case Unavailable:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<html><body><h1>503 Service Unavailable</h1></body></html>")
	case Denied:
		w.WriteHeader(http.StatusUnauthorized)
	case Silent:
		<-r.Context().Done()
	case Echo:
		_, _ = fmt.Fprintf(w, "%s\n", r.Header.Get("Authorization"))
	case WrongID:
		req.ID = json.RawMessage(`4711`)
		s.answer(w, r, req)
	case Truncated, CutJSON:
		s.half(w, r, req, f == Truncated)
	}
}

// half sends the first half of the right reply.
func (s *Server) half(w http.ResponseWriter, r *http.Request, req request, breakOff bool) {
	rec := httptest.NewRecorder()
	s.answer(rec, r, req)
	body := rec.Body.Bytes()
	if breakOff {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	_, _ = w.Write(body[:len(body)/2])
	if breakOff {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}
