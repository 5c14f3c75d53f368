package ui

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	for _, tt := range []struct {
		done, total int64
		elapsed     time.Duration
		want        string
	}{
		{0, 0, 0, "importing 0 sectors, 0/s"},
		{10, 0, 2 * time.Second, "importing 10 sectors, 5/s"},
		{10, 0, 0, "importing 10 sectors, 10000/s"},
		{10, 100, 2 * time.Second, "importing 10 of 100 sectors, 5/s, 18s left"},
		{100, 100, 2 * time.Second, "importing 100 of 100 sectors, 50/s, 0s left"},
		{0, 100, 2 * time.Second, "importing 0 of 100 sectors, 0/s, ? left"},
		{101, 100, time.Second, "importing 101 sectors, 101/s"},
		{1, 1_000_000, 100 * time.Second, "importing 1 of 1000000 sectors, 0/s, 27777h45m0s left"},
	} {
		var p Progress
		p.Add(tt.done)
		p.SetTotal(tt.total)
		if got := p.Line("importing", tt.elapsed); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// The line is rewritten in place, makes room for notices, and is gone at the end.
func TestProgressOnATerminal(t *testing.T) {
	s := newScreen(t, Options{Terminal: true})
	want := errors.New("of the work")
	var p Progress
	err := s.While(t.Context(), "importing", &p, func(context.Context) error {
		p.Add(3)
		s.setStatus(p.Line("importing", time.Second))
		s.Notice("a notice")
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	const line = "importing 3 sectors, 3/s"
	if got, want := s.stderr.String(), line+"\r\x1b[Ka notice\n"+line+"\r\x1b[K"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.Notice("after")
	if !strings.HasSuffix(s.stderr.String(), "\x1b[Kafter\n") {
		t.Errorf("the line stands there still: %q", s.stderr.String())
	}
}

// It is drawn while the work goes on.
func TestProgressIsDrawn(t *testing.T) {
	s := newScreen(t, Options{Terminal: true})
	var p Progress
	err := s.While(t.Context(), "importing", &p, func(context.Context) error {
		p.Add(1)
		time.Sleep(700 * time.Millisecond)
		return nil
	})
	if err != nil || !strings.Contains(s.stderr.String(), "importing 1 sectors, ") {
		t.Errorf("got %q, %v", s.stderr.String(), err)
	}
}

// Where stderr is no terminal, or nobody wants it, nothing is drawn.
func TestNoProgress(t *testing.T) {
	for _, o := range []Options{{}, {Terminal: true, Quiet: true}, {Terminal: true, JSON: true}} {
		s := newScreen(t, o)
		err := s.While(t.Context(), "importing", &Progress{}, func(context.Context) error {
			time.Sleep(600 * time.Millisecond)
			return nil
		})
		if err != nil || s.stderr.Len() > 0 {
			t.Errorf("%+v: got %q, %v", o, s.stderr.String(), err)
		}
	}
}
