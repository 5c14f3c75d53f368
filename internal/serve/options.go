package serve

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Tokens knows the tokens that callers may show.
type Tokens interface {
	// Perm returns what a token allows, and false for one that it does not know.
	// It compares in constant time.
	Perm(token string) (Perm, bool)
}

// Options say what a server answers, and to whom.
type Options struct {
	// Methods are the methods by their full names, as in "Venus.ListSectors".
	// A method whose Perm was left out needs Admin.
	Methods map[string]Method
	// Unknown, if set, is asked about a method that is not in Methods. Its error
	// is the answer; nil is the protocol's own answer that there is none.
	Unknown func(method string) error
	// Tokens may be nil, which is no tokens.
	Tokens Tokens
	// Open lets a caller without a token do everything, as the original does; a
	// foreign Host or Origin is refused then, because it is a web page that calls.
	// A token that is not known counts as none. Without Open every call needs one.
	Open   bool
	Limits Limits
	// Observe, if set, is told of every request when it is over. The method is one
	// of Methods, or Unknown, or Refused. The code is 0 for a result, the error's
	// code, or the HTTP status with which a call was refused. It is called from
	// many goroutines.
	Observe func(method string, took time.Duration, code int)
	// Log may be nil.
	Log *slog.Logger
}

// What Observe is told in place of a method's name, and codes of its own.
const (
	// Unknown is any method that is not in Methods: names that callers make up
	// must not become names of metrics.
	Unknown = "unknown"
	// Refused is a request that did not come to name a method.
	Refused = "refused"
	// CodeInternal is a method that panicked, or a result that cannot be marshalled.
	CodeInternal = -32603
	// CodeBroken is an answer that broke off, or that nobody took.
	CodeBroken = -1
)

// Limits bound what callers can take. Zero is the default of each.
type Limits struct {
	// Body bounds one request, 8 MiB. Bodies bounds what all requests together
	// hold until their methods return, 64 MiB: what comes on top waits.
	Body, Bodies int64
	// Calls bounds the methods that run at once, 256. Lists bounds the lists that
	// are being written at once, 8: each may hold a snapshot of a database.
	Calls, Lists int
	// Sockets bounds the WebSocket connections, 256, and PerSocket the calls at
	// once on each of them, 16.
	Sockets, PerSocket int
	// Conns bounds the connections of a Listener, 1024.
	Conns int
	// Header bounds the header of a request, 16 KiB.
	Header int
	// Wait is how long a call waits for its turn before it is refused with HTTP
	// 503, 5 s.
	Wait time.Duration
	// HeaderTime bounds the reading of a header, 10 s.
	HeaderTime time.Duration
	// ReadStep is how long a body may bring nothing, 10 s, and ReadWhole how long
	// it may take, 1 min.
	ReadStep, ReadWhole time.Duration
	// WriteStep is how long a client may take nothing of an answer, 30 s, and
	// WriteWhole how long an answer may take, 1 h.
	WriteStep, WriteWhole time.Duration
	// Idle is how long a connection may be silent between requests, 2 min. A
	// WebSocket connection is asked for a sign of life in time.
	Idle time.Duration
}

func (l *Limits) fill() {
	setIfZero(&l.Body, 8<<20)
	setIfZero(&l.Bodies, 64<<20)
	setIfZero(&l.Calls, 256)
	setIfZero(&l.Lists, 8)
	setIfZero(&l.Sockets, 256)
	setIfZero(&l.PerSocket, 16)
	setIfZero(&l.Conns, 1024)
	setIfZero(&l.Header, 16<<10)
	setIfZero(&l.Wait, 5*time.Second)
	setIfZero(&l.HeaderTime, 10*time.Second)
	setIfZero(&l.ReadStep, 10*time.Second)
	setIfZero(&l.ReadWhole, time.Minute)
	setIfZero(&l.WriteStep, 30*time.Second)
	setIfZero(&l.WriteWhole, time.Hour)
	setIfZero(&l.Idle, 2*time.Minute)
	// A single request must fit, or it would wait for ever.
	l.Bodies = max(l.Bodies, 2*l.Body)
}

func setIfZero[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Listener accepts no more connections at once than Conns.
func (l Limits) Listener(ln net.Listener) net.Listener {
	l.fill()
	return netutil.LimitListener(ln, l.Conns)
}

// HTTPServer returns a server with all its timeouts set, for a Server and for
// what else is served beside it. A Server sets its own deadlines within a
// request; those here are for the other handlers. The log may be nil.
func (l Limits) HTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	l.fill()
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: l.HeaderTime,
		ReadTimeout:       l.HeaderTime + l.ReadStep,
		WriteTimeout:      l.WriteStep,
		IdleTimeout:       l.Idle,
		MaxHeaderBytes:    l.Header,
		ErrorLog:          slog.NewLogLogger(orDiscard(log).Handler(), slog.LevelDebug),
	}
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
