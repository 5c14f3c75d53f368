package mongotest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// server is a FerretDB that can be stopped and started again on its data.
type server struct {
	t    *testing.T
	dir  string
	addr string
	stop func()
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), addr: "127.0.0.1:0"}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// start starts it, and the second time on the port that it had.
func (s *server) start() {
	s.t.Helper()
	db, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{TCP: s.addr}, Logger: slog.New(slog.DiscardHandler),
		Handler: "sqlite", SQLiteURL: "file:" + s.dir + "/",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := db.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	s.addr = strings.TrimSuffix(strings.TrimPrefix(db.MongoDBURI(), "mongodb://"), "/")
}

func (s *server) dsn() string { return "mongodb://" + s.addr + "/" }

// raw is the bare driver on a database.
func (s *server) raw(database string) *mongo.Database {
	s.t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(s.dsn()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := client.Disconnect(context.Background()); err != nil {
			s.t.Error(err)
		}
	})
	return client.Database(database)
}

// proxy stands before a server. When what a client sends holds the text, it
// calls act once, and then does with the connection what act says.
type proxy struct {
	t    *testing.T
	l    net.Listener
	to   string
	wg   sync.WaitGroup
	mu   sync.Mutex
	text string
	act  func() fate
	open []net.Conn
}

// fate is what becomes of a connection.
type fate int

const (
	goOn fate = iota
	// cut it before the server gets it.
	cut
	// mute: the server gets it, and its answer is lost with the connection.
	mute
)

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, l: l, to: to}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.l.Close()
		p.drop()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) dsn() string { return "mongodb://" + p.l.Addr().String() + "/" }

// when sets what the next client that sends the text finds.
func (p *proxy) when(text string, act func() fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.act = text, act
}

// drop cuts every connection.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.open {
		conn.Close()
	}
	p.open = nil
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		behind, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.open = append(p.open, client, behind)
		p.mu.Unlock()
		p.wg.Go(func() { p.forward(client, behind) })
		p.wg.Go(func() { p.back(client, behind) })
	}
}

func (p *proxy) forward(client, behind net.Conn) {
	defer client.Close()
	defer behind.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		is := p.fateOf(string(buf[:n]))
		if is == cut {
			return
		}
		if is == mute {
			client.Close() // the answer comes to nobody
		}
		if _, err := behind.Write(buf[:n]); err != nil {
			return
		}
		if is == mute {
			_, _ = io.CopyN(io.Discard, behind, 16) // the server is done with it
			return
		}
	}
}

// back carries the answers, until the connection is to be mute.
func (p *proxy) back(client, behind net.Conn) {
	buf := make([]byte, 1<<20)
	for {
		n, err := behind.Read(buf)
		if err != nil {
			client.Close()
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) fateOf(sent string) fate {
	p.mu.Lock()
	if p.act == nil || !strings.Contains(sent, p.text) {
		p.mu.Unlock()
		return goOn
	}
	act := p.act
	p.act = nil
	p.mu.Unlock()
	return act()
}

// eventually waits for what a server does after it has lost its client.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 200 {
		if is() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within 4 seconds", what)
}
