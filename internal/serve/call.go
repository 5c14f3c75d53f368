package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// errBusy is answered where no place came free in time.
var errBusy = errors.New("too many calls at once: try again later")

// call finds the method and runs it. What it returns besides a list is complete;
// only the writing is left.
func (s *Server) call(ctx context.Context, perm Perm, req *request) answer {
	m, ok := s.opts.Methods[req.Method]
	if !ok {
		return failed(req.ID, s.unknown(req))
	}
	params, fail := req.params(m.Params)
	if fail != nil {
		return failed(req.ID, fail)
	}
	if perm < m.need() {
		_, name, _ := strings.Cut(req.Method, ".")
		return failed(req.ID, fmt.Errorf("missing permission to invoke '%s' (need '%s')", name, m.need()))
	}
	release, err := take(ctx, s.calls, s.limits.Wait)
	if err != nil {
		return failed(req.ID, err)
	}
	defer release()
	var a answer
	if p := s.guard(req.Method, func() { a = run(ctx, m, req, params) }); p != nil {
		return crashed(req, p)
	}
	return a
}

func (s *Server) unknown(req *request) error {
	if s.opts.Unknown != nil {
		if err := s.opts.Unknown(req.Method); err != nil {
			return err
		}
	}
	return protocol(CodeMethodNotFound, "method '%s' not found", req.name())
}

// need is Admin where nothing was said: forgetting it must not open a method.
func (m Method) need() Perm {
	if m.Perm == None {
		return Admin
	}
	return m.Perm
}

func run(ctx context.Context, m Method, req *request, params []json.RawMessage) answer {
	result, err := m.Call(ctx, params)
	if err != nil {
		return failed(req.ID, err)
	}
	var raw json.RawMessage
	switch v := result.(type) {
	case Void:
	case Elements:
		return answer{status: http.StatusOK, list: v}
	case json.RawMessage:
		if raw = v; len(raw) == 0 {
			raw = json.RawMessage("null")
		}
		if !json.Valid(raw) {
			err = errors.New("it is not JSON")
		}
	default:
		raw, err = json.Marshal(v)
	}
	if err != nil {
		return failed(req.ID, protocol(CodeInternal, "marshaling result of '%s': %s", req.name(), err))
	}
	return answer{status: http.StatusOK, body: resultOf(req.ID, raw)}
}

// panicked is a panic that was caught.
type panicked struct{ value any }

// guard runs f. A panic goes to the log with its stack, and is returned.
func (s *Server) guard(method string, f func()) (p *panicked) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic in a method", "method", method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			p = &panicked{v}
		}
	}()
	f()
	return nil
}

// crashed is the original's answer to a panic: its code is 0, with HTTP 500.
func crashed(req *request, p *panicked) answer {
	a := failed(req.ID, wrapped(0, "fatal error calling '%s': panic in rpc method '%s': %v", req.name(), req.name(), p.value))
	a.status, a.code = http.StatusInternalServerError, CodeInternal
	return a
}

// take waits for a place, and not for long. With a place free it does not ask
// whether the caller is still there: net/http takes one that only says no more
// for one that left.
func take(ctx context.Context, places chan struct{}, wait time.Duration) (release func(), err error) {
	release = func() { <-places }
	select {
	case places <- struct{}{}:
		return release, nil
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case places <- struct{}{}:
		return release, nil
	case <-timer.C:
		return nil, errBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// observe reports a request that is over.
func (s *Server) observe(method string, start time.Time, code int) {
	if s.opts.Observe == nil {
		return
	}
	if _, ok := s.opts.Methods[method]; !ok && method != Refused {
		method = Unknown
	}
	s.opts.Observe(method, time.Since(start), code)
}
