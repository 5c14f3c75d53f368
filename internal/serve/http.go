package serve

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"
)

// plainText is what net/http makes of the original's answers.
const plainText = "text/plain; charset=utf-8"

func (s *Server) post(w http.ResponseWriter, r *http.Request, perm Perm, start time.Time) {
	if r.ContentLength > s.limits.Body {
		s.refuse(w, r, start, s.tooLarge())
		return
	}
	rc := http.NewResponseController(w)
	// The http.Server's own deadline began with the header.
	_ = rc.SetWriteDeadline(time.Time{})
	body, err := s.read(r.Context(), r.Body, rc.SetReadDeadline)
	defer body.release()
	if err != nil {
		s.unread(w, r, start, err)
		return
	}
	// net/http goes on reading, to notice a client that leaves. A deadline that
	// stays would end the call.
	_ = rc.SetReadDeadline(time.Time{})
	ctx, cancel := s.within(r.Context())
	defer cancel()
	out := &httpAnswer{w: w, rc: rc, step: s.limits.WriteStep}
	req, fail := decode(body.data)
	if fail != nil {
		body.release()
		a := failed(req.ID, fail)
		// The original says nothing where it knows no id. An id that we refuse is
		// not one of its kind.
		out.send(a, fail.Code == CodeParse && req.isNotification())
		s.observe(Refused, start, a.code)
		return
	}
	a := s.call(ctx, perm, &req)
	body.release()
	code := a.code
	switch {
	case a.list != nil && !req.isNotification():
		code = s.postList(ctx, &req, a.list, out)
	default:
		if !out.send(a, req.isNotification()) {
			code = CodeBroken
		}
	}
	s.observe(req.Method, start, code)
	if code == CodeBroken {
		panic(http.ErrAbortHandler)
	}
}

// postList writes a list and returns the code for Observe. A list that broke off
// has no end: the caller cuts the connection.
func (s *Server) postList(ctx context.Context, req *request, list Elements, out *httpAnswer) int {
	release, err := take(ctx, s.lists, s.limits.Wait)
	if err != nil {
		return out.fail(req, err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, s.limits.WriteWhole)
	defer cancel()
	begun, err := s.list(ctx, req, list, out)
	switch {
	case err == nil:
		return 0
	case begun || out.begun:
		s.log.Debug("a list broke off", "method", req.Method, "error", err)
		return CodeBroken
	}
	return out.fail(req, err)
}

// unread answers a request whose body did not come to its end.
func (s *Server) unread(w http.ResponseWriter, r *http.Request, start time.Time, err error) {
	no := &refusal{http.StatusBadRequest, "the request broke off"}
	switch {
	case errors.Is(err, errTooLarge):
		no = s.tooLarge()
	case errors.Is(err, errBusy):
		no = &refusal{http.StatusServiceUnavailable, errBusy.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		no = &refusal{http.StatusRequestTimeout, "the request came too slowly"}
	}
	s.refuse(w, r, start, no)
}

func (s *Server) tooLarge() *refusal {
	return &refusal{http.StatusRequestEntityTooLarge, "the request is larger than " + strconv.FormatInt(s.limits.Body, 10) + " bytes"}
}

// httpAnswer writes an answer. Every Write goes out at once, and must be taken in
// time.
type httpAnswer struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	step  time.Duration
	begun bool
}

func (o *httpAnswer) Write(p []byte) (int, error) {
	if !o.begun {
		o.begun = true
		o.w.Header().Set("Content-Type", plainText)
		o.w.WriteHeader(http.StatusOK)
	}
	n, err := o.write(p)
	if err == nil {
		err = o.flush()
	}
	return n, err
}

func (o *httpAnswer) write(p []byte) (int, error) {
	_ = o.rc.SetWriteDeadline(time.Now().Add(o.step))
	return o.w.Write(p)
}

func (o *httpAnswer) flush() error {
	if err := o.rc.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// send writes a whole answer, and returns whether it went out.
func (o *httpAnswer) send(a answer, silent bool) bool {
	if a.status == http.StatusServiceUnavailable {
		o.w.Header().Set("Retry-After", retryAfter)
	}
	if silent {
		_ = o.rc.SetWriteDeadline(time.Now().Add(o.step))
		o.w.WriteHeader(a.status)
		return true
	}
	o.w.Header().Set("Content-Type", plainText)
	o.w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	o.w.WriteHeader(a.status)
	for rest := a.body; len(rest) > 0; {
		n, err := o.write(rest[:min(chunk, len(rest))])
		if err != nil {
			return false
		}
		rest = rest[n:]
	}
	return true
}

// fail answers an error that came before the first element.
func (o *httpAnswer) fail(req *request, err error) int {
	a := failedList(req, err)
	if !o.send(a, false) {
		return CodeBroken
	}
	return a.code
}

func failedList(req *request, err error) answer {
	if c, ok := errors.AsType[*crash](err); ok {
		return crashed(req, c.panicked)
	}
	return failed(req.ID, err)
}
