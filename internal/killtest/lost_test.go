package killtest

import (
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

// gate stands between a command and a peer, and can be closed.
type gate struct {
	t       *testing.T
	backend string
	addr    string

	mu       sync.Mutex
	listener net.Listener // nil: closed
	conns    []net.Conn
	work     errgroup.Group
}

// newGate makes a gate to the server of a URL.
func newGate(t *testing.T, to string) *gate {
	t.Helper()
	u, err := url.Parse(to)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	g := &gate{t: t, backend: u.Host, addr: l.Addr().String()}
	g.serve(l)
	t.Cleanup(func() {
		g.close()
		_ = g.work.Wait()
	})
	return g
}

// open lets through again, at the same address as before.
func (g *gate) open() {
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		g.t.Error(err)
		return
	}
	g.serve(l)
}

func (g *gate) serve(l net.Listener) {
	g.mu.Lock()
	g.listener = l
	g.mu.Unlock()
	g.work.Go(func() error {
		for {
			conn, err := l.Accept()
			if err != nil {
				return nil //nolint:nilerr // the listener was closed
			}
			g.work.Go(func() error { return g.pass(l, conn) })
		}
	})
}

// close ends all connections; from then on nothing listens.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		return
	}
	_ = g.listener.Close()
	g.listener = nil
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

func (g *gate) pass(l net.Listener, conn net.Conn) error {
	defer conn.Close()
	back, err := net.Dial("tcp", g.backend)
	if err != nil {
		return nil
	}
	defer back.Close()
	g.mu.Lock()
	if g.listener != l {
		g.mu.Unlock()
		return nil
	}
	g.conns = append(g.conns, conn, back)
	g.mu.Unlock()
	var both errgroup.Group
	both.Go(func() error { return pipe(back, conn) })
	both.Go(func() error { return pipe(conn, back) })
	return both.Wait()
}

func pipe(to, from net.Conn) error {
	defer to.Close()
	_, err := io.Copy(to, from)
	return err
}

func (g *gate) multiaddr() string {
	host, port, _ := net.SplitHostPort(g.addr)
	return "/ip4/" + host + "/tcp/" + port + "/http"
}

// breaking closes the gate at a call, and opens it again if it is told after
// which time.
type breaking struct {
	at   int
	back time.Duration
	gate atomic.Pointer[gate]
}

func (b *breaking) fail(_ string, n int) testkit.Failure {
	g := b.gate.Load()
	if g == nil || n != b.at {
		return testkit.Pass
	}
	g.close()
	if b.back > 0 {
		time.AfterFunc(b.back, g.open)
	}
	return testkit.Close
}

const lostSectors = 600

// some are the moments at which a peer goes away: the first alone, where it has
// to be quick.
func some(moments ...int) []int {
	if !long() {
		return moments[:1]
	}
	return moments
}

var lotusAway = []string{"trying again in", "did not answer", "check that lotus-miner is running", "run the command again"}

// A lotus-miner that goes away in the middle of an import, for good or for a
// moment.
func TestLostLotusMiner(t *testing.T) {
	t.Parallel()
	whole := testkit.Lotus(t, testkit.LotusOptions{Generated: lostSectors, Empty: true})
	want := filepath.Join(t.TempDir(), "home")
	run(t, "--home", want, "import", "--api", whole.Multiaddr()).exits(0)
	expect := homeRecords(t, want, readOnly)
	if len(expect) != lostSectors+1 {
		t.Fatalf("undisturbed, %d records", len(expect))
	}
	for _, at := range some(150, 2, 400) {
		t.Run("for good", func(t *testing.T) {
			t.Parallel()
			b := &breaking{at: at}
			g := newGate(t, testkit.Lotus(t, testkit.LotusOptions{Generated: lostSectors, Empty: true, Options: testkit.Options{Fail: b.fail}}).URL)
			b.gate.Store(g)
			home := filepath.Join(t.TempDir(), "home")
			run(t, "--home", home, "import", "--api", g.multiaddr()).exits(1).says(lotusAway...)
			got := homeRecords(t, home, readOnly)
			eachOldOrNew(t, "the home without its lotus-miner", got, records{}, expect)
			noted(t, home, got, records{})
			expectedFiles(t, home, homeFiles)

			api := whole.Multiaddr() // another one has the sectors, too
			if at < 200 {            // or the same comes back
				g.open()
				api = g.multiaddr()
			}
			run(t, "--home", home, "import", "--api", api).exits(0)
			same(t, "the home in the end", homeRecords(t, home, readOnly), expect)
			noLeftovers(t, home, homeFiles)
			run(t, "--home", home, "import", "rollback").exits(0)
			same(t, "the home after the rollback", homeRecords(t, home, readOnly), undone(records{}, expect))
		})
	}
	t.Run("for a moment", func(t *testing.T) {
		t.Parallel()
		b := &breaking{at: 100, back: 600 * time.Millisecond}
		g := newGate(t, testkit.Lotus(t, testkit.LotusOptions{Generated: lostSectors, Empty: true, Options: testkit.Options{Fail: b.fail}}).URL)
		b.gate.Store(g)
		home := filepath.Join(t.TempDir(), "home")
		run(t, "--home", home, "import", "--api", g.multiaddr()).exits(0).says("trying again in")
		same(t, "the home in the end", homeRecords(t, home, readOnly), expect)
	})
}

// A damocles-manager that goes away in the middle of an import into it.
func TestLostDamocles(t *testing.T) {
	t.Parallel()
	source := filepath.Join(freshWorld(t), "source")
	whole := newDaemon(t, nil)
	run(t, "--home", whole.home, "--listen", whole.addr, "import", "--repo", source).exits(0)
	expect := whole.states()
	if len(expect) != sectorCount() {
		t.Fatalf("undisturbed, %d states", len(expect))
	}
	for _, at := range some(sectorCount(), 3, 5*sectorCount()/2) {
		for _, back := range []time.Duration{0, 600 * time.Millisecond} {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				d := newDaemon(t, &breaking{at: at, back: back})
				args := []string{"--home", d.home, "--listen", d.addr, "import", "--repo", source}
				if back > 0 {
					run(t, args...).exits(0).says("trying again in")
				} else {
					run(t, args...).exits(1).says("trying again in", "did not answer", "check that damocles-manager is running", "again")
					got := d.states()
					eachOldOrNew(t, "damocles after it was lost", got, records{}, expect)
					d.noted(got)
					d.gate.open()
					run(t, args...).exits(0)
				}
				same(t, "damocles in the end", d.states(), expect)
				d.noted(expect)
				noLeftovers(t, d.home, homeFiles)
			})
		}
	}
}

// daemon is a damocles-manager behind a gate.
type daemon struct {
	*testkit.DamoclesServer
	t          *testing.T
	gate       *gate
	home, addr string
}

func newDaemon(t *testing.T, b *breaking) *daemon {
	t.Helper()
	o := testkit.DamoclesOptions{Empty: true}
	if b != nil {
		o.Fail = b.fail
	}
	d := &daemon{DamoclesServer: testkit.Damocles(t, o), t: t, home: filepath.Join(t.TempDir(), "home")}
	must(t, os.Mkdir(d.home, 0o700))
	d.gate = newGate(t, d.URL)
	d.addr = d.gate.addr
	if b != nil {
		b.gate.Store(d.gate)
	}
	return d
}

func (d *daemon) states() records {
	out := records{}
	for n := range sectorCount() {
		if state := d.State("offline", 1000, uint64(n)); state != nil {
			out[damocles.CollectionOffline+"/"+damocles.StateKey(damocles.Offline, 1000, abi.SectorNumber(n))] = string(state)
		}
	}
	return out
}

// noted fails where a state is there that no journal has, and where there is
// more than one journal.
func (d *daemon) noted(got records) {
	d.t.Helper()
	noted(d.t, d.home, got, records{})
	if paths := journals(d.t, d.home); len(paths) > 1 {
		d.t.Fatalf("two journals: %s", strings.Join(paths, ", "))
	}
}
