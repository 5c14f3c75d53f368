package killtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/damocles"
)

// loadTime is how long the daemon is under load: DM_LOAD, or a few seconds.
func loadTime(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("DM_LOAD")
	if text == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("DM_LOAD: %v", err)
	}
	return d
}

// maxMemory bounds what the daemon may take at any moment of the load, in KiB.
const maxMemory = 512 << 10

// load is what happens to a daemon at once.
type load struct {
	t     testing.TB
	d     *served
	ctx   context.Context
	reads atomic.Int64
	odd   atomic.Int64 // malformed requests that were sent
}

// TestDaemonUnderLoad has 200 clients read and write at once, over HTTP and
// WebSocket, beside clients that mean it ill. The daemon stays up and bounded,
// loses nothing, and gives everything back afterwards.
func TestDaemonUnderLoad(t *testing.T) {
	d := serveHome(t, homeCopy(t))
	files, routines := d.files(), d.metric("go_goroutines")
	ctx, cancel := context.WithTimeout(t.Context(), loadTime(t))
	defer cancel()
	l := &load{t: t, d: d, ctx: ctx}
	var g errgroup.Group
	var writers []*writer
	for i := range 100 {
		w := newWriter(t, d, uint64(5000+i))
		writers = append(writers, w)
		g.Go(func() error { return l.write(w) })
		if i%2 == 0 {
			g.Go(func() error { return l.readHTTP(i) })
		} else {
			g.Go(func() error { return l.readWebSocket(i) })
		}
	}
	g.Go(l.neverReads)
	g.Go(l.huge)
	g.Go(l.foreign)
	for i := range 4 {
		g.Go(func() error { return l.malformed(uint64(i)) })
	}
	must(t, g.Wait())
	must(t, l.enough())
	answered := 0
	for _, w := range writers {
		w.look(t.Context(), w.client)
		answered += int(w.answered)
	}
	t.Logf("in %v: %d writes, %d reads, %d malformed requests; VmHWM %d MiB",
		loadTime(t), answered, l.reads.Load(), l.odd.Load(), d.status("VmHWM")>>10)
	if n := enoughLoad(); int64(answered) < n || l.reads.Load() < n {
		t.Errorf("%d writes and %d reads: no load", answered, l.reads.Load())
	}
	if hwm := d.status("VmHWM"); hwm > maxMemory && !raced {
		t.Errorf("VmHWM %d KiB", hwm)
	}
	l.settles(files, routines)
	d.stops()
	records := homeRecords(t, d.home, readOnly)
	for _, w := range writers {
		key := "offline_meta/" + damocles.StateKey(damocles.Offline, w.id.Miner, w.id.Number)
		if w.answered > 0 && records[key] == "" {
			t.Errorf("%s is not in the database", key)
		}
	}
}

func (l *load) write(w *writer) error {
	for l.ctx.Err() == nil {
		if err := w.write(context.WithoutCancel(l.ctx)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

func (l *load) readHTTP(i int) error {
	client := l.d.client(l.t)
	ctx := context.WithoutCancel(l.ctx)
	for l.ctx.Err() == nil {
		_, _, err := client.FindSector(ctx, damocles.Offline, abi.SectorID{Miner: 1000, Number: abi.SectorNumber(100 + i%10)})
		if err == nil && i%10 == 0 {
			n := 0
			err = client.ListSectors(ctx, damocles.Offline, func(json.RawMessage) error { n++; return nil })
			if err == nil && n < 20 {
				err = fmt.Errorf("a list of only %d sectors", n)
			}
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		l.reads.Add(1)
	}
	return nil
}

func (l *load) readWebSocket(i int) error {
	conn, err := l.dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for n := 0; l.ctx.Err() == nil; n++ {
		request := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"Venus.FindSector","params":["offline",{"Miner":1000,"Number":%d}]}`, n, 100+i%10)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(request)); err != nil {
			return fmt.Errorf("websocket: %w", err)
		}
		_, answer, err := conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("websocket: %w", err)
		}
		if !bytes.HasPrefix(answer, []byte(`{"jsonrpc":"2.0","result":{"ID":`)) || !bytes.Contains(answer, fmt.Appendf(nil, `"id":%d}`, n)) {
			return fmt.Errorf("websocket: %.100s", answer)
		}
		l.reads.Add(1)
	}
	return nil
}

func (l *load) dial() (*websocket.Conn, error) {
	conn, resp, err := websocket.DefaultDialer.DialContext(context.WithoutCancel(l.ctx), "ws://"+l.d.addr+"/rpc/v0", nil)
	if err != nil {
		return nil, fmt.Errorf("dial the websocket: %w", err)
	}
	return conn, resp.Body.Close()
}

// neverReads asks for lists, many times, and reads nothing of the answers.
func (l *load) neverReads() error {
	for range 3 {
		conn, err := net.Dial("tcp", l.d.addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		body := `{"jsonrpc":"2.0","id":1,"method":"Venus.ListSectors","params":["offline",0]}`
		for range 500 {
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := fmt.Fprintf(conn, "POST /rpc/v0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
				break // it does not take more, which is as good
			}
		}
	}
	<-l.ctx.Done()
	return nil
}

// huge announces 1 GiB, and sends of it what is taken.
func (l *load) huge() error {
	for l.ctx.Err() == nil {
		resp, err := http.Post("http://"+l.d.addr+"/rpc/v0", "application/json", io.LimitReader(zeros{}, 1<<30))
		if err == nil {
			if resp.StatusCode < 400 {
				return fmt.Errorf("a request of 1 GiB: status %d", resp.StatusCode)
			}
			_ = resp.Body.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// foreign comes from web pages, with hosts and origins that are not of here.
func (l *load) foreign() error {
	raw, err := os.ReadFile("../../testdata/fixtures/damocles-states/101-offline-cc.json")
	if err != nil {
		return err
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"Venus.ImportSector","params":["offline",%s,true]}`,
		strings.ReplaceAll(string(raw), `"Number":101`, `"Number":666`))
	for l.ctx.Err() == nil {
		for _, spoil := range []func(*http.Request){
			func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
			func(r *http.Request) { r.Header.Set("Origin", "null") },
			func(r *http.Request) { r.Host = "evil.example:1789" },
			func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			func(r *http.Request) {
				r.Host = "evil.example"
				r.Header.Set("Authorization", "Bearer 0123456789abcdef")
			},
		} {
			r, err := http.NewRequest(http.MethodPost, "http://"+l.d.addr+"/rpc/v0", strings.NewReader(body))
			if err != nil {
				return err
			}
			spoil(r)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				return fmt.Errorf("foreign: %w", err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusUnauthorized {
				return fmt.Errorf("a foreign page: status %d", resp.StatusCode)
			}
		}
	}
	_, found, err := l.d.client(l.t).FindSector(context.WithoutCancel(l.ctx), damocles.Offline, abi.SectorID{Miner: 1000, Number: 666})
	if err == nil && found {
		err = fmt.Errorf("a foreign page has written a sector")
	}
	return err
}

// enoughLoad is how many writes and reads there are at least: in a short load on a busy
// machine, few.
func enoughLoad() int64 {
	if os.Getenv("DM_LOAD") == "" {
		return 1
	}
	return 100
}

// oddRequests is how many malformed requests there are at least: 10,000 where the
// load is long.
func oddRequests() int64 {
	if os.Getenv("DM_LOAD") == "" {
		return 2000
	}
	return 10_000
}

// malformed sends good requests with some bytes changed, cut out or doubled.
func (l *load) malformed(n uint64) error {
	random := rand.New(rand.NewPCG(seed(), n))
	good := []string{
		`{"jsonrpc":"2.0","id":1,"method":"Venus.FindSector","params":["offline",{"Miner":1000,"Number":100}]}`,
		`{"jsonrpc":"2.0","id":"a","method":"Venus.ListSectors","params":["online",0],"meta":{"SpanContext":"AA=="}}`,
		`{"jsonrpc":"2.0","id":2,"method":"Venus.SectorIndexerFind","params":["normal",{"Miner":1000,"Number":100}]}`,
		`{"jsonrpc":"2.0","id":3,"method":"Venus.StoreBasicInfo","params":["a"]}`,
		`[{"jsonrpc":"2.0","id":1,"method":"Venus.Version"}]`,
	}
	client := &http.Client{Timeout: 30 * time.Second}
	for sent := int64(0); l.ctx.Err() == nil || sent < oddRequests()/4; sent++ {
		body := []byte(good[random.IntN(len(good))])
		for range 1 + random.IntN(4) {
			body = mutate(random, body)
		}
		resp, err := client.Post("http://"+l.d.addr+"/rpc/v0", "application/json", bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("malformed %q: %w", body, err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return fmt.Errorf("malformed %q: %w", body, err)
		}
		l.odd.Add(1)
	}
	return nil
}

func mutate(random *rand.Rand, b []byte) []byte {
	if len(b) < 2 {
		return append(b, byte(random.Uint32()))
	}
	at := random.IntN(len(b) - 1)
	switch random.IntN(4) {
	case 0:
		b[at] = byte(random.Uint32())
	case 1:
		b = append(b[:at], b[at+random.IntN(len(b)-at):]...)
	case 2:
		b = append(bytes.Clone(b[:at]), b[random.IntN(at+1):]...)
	default:
		b = append(append(bytes.Clone(b[:at]), "[{\":,0"[random.IntN(6)]), b[at:]...)
	}
	return b
}

func (l *load) enough() error {
	if n := l.odd.Load(); n < oddRequests() {
		return fmt.Errorf("only %d malformed requests", n)
	}
	return nil
}

// settles waits until the daemon holds no more than before the load.
func (l *load) settles(files int, routines float64) {
	l.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	deadline := time.Now().Add(60 * time.Second)
	for {
		nowFiles, nowRoutines := l.d.files(), l.d.metric("go_goroutines")
		// Idle connections of this test's own clients are closed by the daemon in time.
		if nowFiles <= files+250 && nowRoutines <= routines+500 {
			return
		}
		if time.Now().After(deadline) {
			l.t.Errorf("%d files and %.0f goroutines open after the load, %d and %.0f before", nowFiles, nowRoutines, files, routines)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}
