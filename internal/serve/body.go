package serve

import (
	"context"
	"errors"
	"io"
	"time"
)

var errTooLarge = errors.New("the request is too large")

// held is a request as it came, and what it takes of the bytes that all requests
// may hold together.
type held struct {
	data []byte
	took int64
	s    *Server
}

// release gives the bytes back. It may be called more than once.
func (h *held) release() {
	if h.took > 0 {
		h.s.bodies.Release(h.took)
	}
	h.took, h.data = 0, nil
}

// read takes a whole request in. What counts is what came, not what was
// announced: a client that announces much and sends little holds little.
// deadline is called before every step. The caller releases, after an error, too.
func (s *Server) read(ctx context.Context, r io.Reader, deadline func(time.Time) error) (*held, error) {
	h := &held{s: s}
	end := time.Now().Add(s.limits.ReadWhole)
	for {
		if len(h.data) == cap(h.data) {
			if err := h.grow(ctx); err != nil {
				return h, err
			}
		}
		step := time.Now().Add(s.limits.ReadStep)
		if step.After(end) {
			step = end
		}
		// A wrapped ResponseWriter may have no deadlines. The server's own hold then.
		_ = deadline(step)
		n, err := r.Read(h.data[len(h.data):cap(h.data)])
		h.data = h.data[:len(h.data)+n]
		switch {
		case int64(len(h.data)) > s.limits.Body:
			return h, errTooLarge
		case errors.Is(err, io.EOF):
			return h, nil
		case err != nil:
			return h, err
		}
	}
}

// grow doubles the room, up to one byte more than a request may have.
func (h *held) grow(ctx context.Context) error {
	size := min(max(4<<10, 2*int64(cap(h.data))), h.s.limits.Body+1)
	more := size - int64(cap(h.data))
	wait, cancel := context.WithTimeout(ctx, h.s.limits.Wait)
	defer cancel()
	if err := h.s.bodies.Acquire(wait, more); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errBusy
	}
	h.took += more
	data := make([]byte, len(h.data), size)
	copy(data, h.data)
	h.data = data
	return nil
}
