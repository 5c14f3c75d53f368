package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
)

// chunk is how much of an answer is put together before it is sent.
const chunk = 64 << 10

// lister writes the elements of a list as they come.
type lister struct {
	ctx   context.Context
	buf   *bufio.Writer
	count int
	err   error
}

// list writes a whole answer to w, whose every Write goes out at once. Nothing is
// written before the first element: an error until then can still be answered,
// which begun tells. The elements are trusted to be JSON: checking a million of
// them costs more than sending them.
func (s *Server) list(ctx context.Context, req *request, elements Elements, w io.Writer) (begun bool, err error) {
	l := &lister{ctx: ctx, buf: bufio.NewWriterSize(w, chunk)}
	var p *panicked
	if p = s.guard(req.Method, func() { err = elements(ctx, l.emit) }); p != nil {
		return l.count > 0, &crash{p}
	}
	if l.err != nil {
		err = l.err
	}
	if err != nil {
		return l.count > 0, err
	}
	if l.count == 0 {
		l.put(head, resultKey, "[")
	}
	l.put("]", idKey, string(req.ID), tail)
	if l.err == nil {
		l.err = l.buf.Flush()
	}
	return true, l.err
}

// crash is a panic on its way to an answer.
type crash struct{ *panicked }

func (*crash) Error() string { return "panic" }

// emit takes one element. Its error stays: a method that goes on is told again,
// and one that ends as if all were well is not believed.
func (l *lister) emit(elem json.RawMessage) error {
	if l.err == nil {
		l.err = l.ctx.Err()
	}
	if l.err == nil && len(elem) == 0 {
		l.err = errors.New("an element of the list is empty")
	}
	if l.err != nil {
		return l.err
	}
	first := l.count == 0
	l.count++
	if first {
		l.put(head, resultKey, "[")
	} else {
		l.put(",")
	}
	if l.err == nil {
		_, l.err = l.buf.Write(elem)
	}
	if first && l.err == nil {
		l.err = l.buf.Flush() // the client sees at once that something comes
	}
	return l.err
}

func (l *lister) put(texts ...string) {
	for _, text := range texts {
		if l.err == nil {
			_, l.err = l.buf.WriteString(text)
		}
	}
}
