package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.mongodb.org/mongo-driver/v2/bson"

	"damocles-manager/internal/daemon"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/serve"
	"damocles-manager/internal/testkit"
)

// running is a `daemon run` in this process.
type running struct {
	w    *world
	url  string
	addr string
	stop context.CancelFunc
	done chan int

	mu          sync.Mutex
	out, stderr bytes.Buffer
}

// Write is the daemon's stdout.
func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

func (r *running) text() (out, stderr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String(), r.stderr.String()
}

type locked struct{ r *running }

func (l locked) Write(p []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.r.stderr.Write(p)
}

var servingAt = regexp.MustCompile(`serving .* at (http://\S+)|"type":"serving".*"url":"(http://[^"]+)"`)

// serves runs a daemon on a home until the test ends or stops it.
func (w *world) serves(home string, args ...string) *running {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx))
	r := &running{w: w, stop: cancel, done: make(chan int, 1)}
	env := Env{Stdout: r, Stderr: locked{r}, Getenv: func(k string) string { return w.env[k] }, Listen: w.addr, Patience: w.patience}
	var wg sync.WaitGroup
	wg.Go(func() {
		r.done <- Run(ctx, env, append([]string{"--home", home, "daemon", "run", "--listen", "127.0.0.1:0"}, args...))
	})
	w.t.Cleanup(func() { cancel(); wg.Wait() })
	for range 3000 {
		out, stderr := r.text()
		if m := servingAt.FindStringSubmatch(out); m != nil {
			r.url = m[1] + m[2]
			r.addr = strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/rpc/v0")
			return r
		}
		select {
		case code := <-r.done:
			w.t.Fatalf("the daemon ended with %d\n%s\n%s", code, out, stderr)
		case <-time.After(10 * time.Millisecond):
		}
	}
	w.t.Fatal("the daemon does not say that it serves")
	return nil
}

// ends stops the daemon, which has to end well.
func (r *running) ends() {
	r.w.t.Helper()
	r.stop()
	select {
	case code := <-r.done:
		if out, stderr := r.text(); code != 0 {
			r.w.t.Fatalf("the daemon ended with %d\n%s\n%s", code, out, stderr)
		}
	case <-time.After(time.Minute):
		r.w.t.Fatal("the daemon does not end")
	}
}

// post sends a body and returns the answer with its status.
func (r *running) post(body, token string) (string, int) {
	r.w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.url, strings.NewReader(body))
	if err != nil {
		r.w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	return string(answer), resp.StatusCode
}

// talk sends a body over a WebSocket connection of its own.
func (r *running) talk(body string) string {
	r.w.t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.url, "http"), nil)
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	defer func() { _ = conn.Close() }()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(body)); err != nil {
		r.w.t.Fatal(err)
	}
	_, answer, err := conn.ReadMessage()
	if err != nil {
		r.w.t.Fatal(err)
	}
	return string(answer)
}

// storedHome is the fixture home with the fixture's stores.
func (w *world) storedHome() string {
	w.t.Helper()
	home := w.home("damocles")
	w.copy("switch-2k/storage", "storage")
	path := filepath.Join(home, "sector-manager.cfg")
	raw, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	raw = bytes.ReplaceAll(raw, []byte(`"/storage/`), []byte(`"`+w.path("storage")+`/`))
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return home
}

var sizesOfDisk = regexp.MustCompile(`"Type":"[^"]*","Total":\d+,"Free":\d+,"Used":\d+,"UsedPercent":[\d.]+`)

// Every captured request of the original is answered as the original did, byte
// for byte, but for paths, the sizes of the disk and the version.
func TestDaemonAnswersAsTheOriginal(t *testing.T) {
	w := newWorld(t)
	node := testkit.Chain(t, testkit.ChainOptions{})
	d := w.serves(w.storedHome(), "--chain", node.URL)
	paths := testkit.Glob(t, "rpc/damocles-manager/*.json")
	if len(paths) < 18 {
		t.Fatalf("only %d captured requests", len(paths))
	}
	same := func(text string) string {
		text = strings.ReplaceAll(text, w.path("storage")+"/", "/storage/")
		return sizesOfDisk.ReplaceAllString(text, `"Type":"ext2/ext3","Total":1`)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		x := testkit.ReadExchange(t, path)
		var file struct{ Request json.RawMessage }
		readJSONFile(t, path, &file)
		want := same(string(x.Response))
		status := http.StatusOK
		if name == "method-missing.json" {
			status = http.StatusInternalServerError
		}
		answer, got := d.post(string(file.Request), "")
		if got != status {
			t.Errorf("%s: status %d, want %d", name, got, status)
		}
		for transport, answer := range map[string]string{"HTTP": answer, "WebSocket": d.talk(string(file.Request))} {
			if name == "Version.json" {
				if !strings.HasPrefix(answer, `{"jsonrpc":"2.0","result":"v0.13.1-`) {
					t.Errorf("%s over %s: %s", name, transport, answer)
				}
				continue
			}
			if got := same(strings.TrimSuffix(answer, "\n")); got != want {
				t.Errorf("%s over %s:\ngot  %s\nwant %s", name, transport, got, want)
			}
		}
	}
	d.ends()
}

// At an address that others can reach, every call needs a token; commands on this
// machine take that of the home themselves.
func TestDaemonTokens(t *testing.T) {
	t.Run("all addresses", func(t *testing.T) { daemonTokens(t, "0.0.0.0", "--listen", "0.0.0.0:0") })
	t.Run("asked for", func(t *testing.T) { daemonTokens(t, "127.0.0.1", "--listen", "127.0.0.1:0", "--require-token") })
}

// daemonTokens runs a daemon that lets nobody in without a token.
func daemonTokens(t *testing.T, at string, args ...string) {
	w := newWorld(t)
	home := w.storedHome()
	d := w.serves(home, args...)
	host, port, err := net.SplitHostPort(d.addr)
	if err != nil || host != at {
		t.Fatalf("it serves at %s, want %s: %v", d.addr, at, err)
	}
	d.url = "http://127.0.0.1:" + port + "/rpc/v0"
	secret := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(home, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	admin, read := secret("token"), secret("token.read")
	const look = `{"jsonrpc":"2.0","id":1,"method":"Venus.SectorIndexerFind","params":["normal",{"Miner":1000,"Number":100}]}`
	const change = `{"jsonrpc":"2.0","id":1,"method":"Venus.StoreReleaseReserved","params":[{"Miner":1000,"Number":100}]}`
	for _, tt := range []struct {
		name, body, token string
		status            int
		want              string
	}{
		{"no token", look, "", 401, ""},
		{"a wrong token", look, "0123456789abcdef0123456789abcdef", 401, ""},
		{"read looks", look, read, 200, `{"jsonrpc":"2.0","result":{"Found":true`},
		{"read changes", change, read, 200, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"missing permission to invoke 'StoreReleaseReserved' (need 'admin')"}}`},
		{"admin looks", look, admin, 200, `{"jsonrpc":"2.0","result":{"Found":true`},
		{"admin changes", change, admin, 200, `{"jsonrpc":"2.0","result":false,"id":1}`},
	} {
		answer, status := d.post(tt.body, tt.token)
		if status != tt.status || !strings.HasPrefix(answer, tt.want) || (tt.want == "") != (answer == "") {
			t.Errorf("%s: status %d, %q; want %d, %q", tt.name, status, answer, tt.status, tt.want)
		}
	}
	for path, want := range map[string]int{"/metrics": 401, "/healthcheck": 200} {
		resp, err := http.Get("http://127.0.0.1:" + port + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s without a token: status %d, want %d", path, resp.StatusCode, want)
		}
	}
	at = "127.0.0.1:" + port
	w.run("--home", home, "util", "--listen", at, "sealer", "sectors", "list").exits(0).says("Count: 2").never(admin, read)
	// Another home has no token for it, and is not asked for one that it might have.
	other := w.home("other")
	if err := os.WriteFile(filepath.Join(other, "token"), []byte("fedcba9876543210fedcba9876543210"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run("--home", other, "util", "--listen", at, "sealer", "sectors", "list").exits(1).says("token not accepted", "$(cat HOME/token)").
		never("fedcba9876543210")
	w.run("--home", other, "util", "--listen", admin+":/ip4/127.0.0.1/tcp/"+port, "sealer", "sectors", "list").exits(0).never(admin)
	if out, stderr := d.text(); strings.Contains(out+stderr, admin) || strings.Contains(out+stderr, read) {
		t.Error("the daemon prints a token")
	}
	d.ends()
}

func TestDaemonRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w := newWorld(t)
	home := w.storedHome()
	broken := w.home("broken")
	if err := os.WriteFile(filepath.Join(broken, "sector-manager.cfg"),
		[]byte("[Common]\n[[Common.PersistStores]]\nName = \"a\"\nPath = \"/nowhere/at/all\"\n[Common.DB]\nDriver = 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mongo := w.home("mongo")
	if err := os.WriteFile(filepath.Join(mongo, "sector-manager.cfg"),
		[]byte("[Common.DB]\nDriver = \"mongo\"\n[Common.DB.Mongo]\nDSN = \"mongodb://u:secret@127.0.0.1:1/\"\nDatabaseName = \"d\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loose := w.home("loose")
	for name, content := range map[string]string{"token": strings.Repeat("a", 64), "sector-manager.cfg": "[Common]\n"} {
		if err := os.WriteFile(filepath.Join(loose, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := w.serves(home)
	for _, tt := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"no home", []string{"--home", w.path("missing"), "daemon", "run", "--listen", "127.0.0.1:0"}, 1, []string{"there is no damocles-manager home", "daemon init"}},
		{"a home that is open", []string{"--home", home, "daemon", "run", "--listen", "127.0.0.1:0"}, 5, []string{"meta", fmt.Sprint(os.Getpid()), "stop it, or wait until it has ended"}},
		{"an address that is taken", []string{"--home", broken, "daemon", "run", "--listen", taken.Addr().String()}, 5, []string{"in use", "--listen"}},
		{"a broken configuration", []string{"--home", broken, "daemon", "run", "--listen", "127.0.0.1:0"}, 5,
			[]string{"sector-manager.cfg:4: ", "/nowhere/at/all", "sector-manager.cfg:6: ", "Driver"}},
		{"a home in MongoDB", []string{"--home", mongo, "daemon", "run", "--listen", "127.0.0.1:0"}, 5, []string{"--daemon-stopped"}},
		{"a token that all can read", []string{"--home", loose, "daemon", "run", "--listen", "127.0.0.1:0"}, 5, []string{"chmod 600", "can be read by others"}},
		{"no address", []string{"--home", home, "daemon", "run", "--listen", "quick"}, 2, []string{"--listen"}},
		{"a port too high", []string{"--home", home, "daemon", "run", "--listen", ":99999"}, 2, []string{"--listen"}},
		{"an address of another machine", []string{"--home", home, "daemon", "run", "--listen", "192.0.2.1:1789"}, 1, []string{"192.0.2.1:1789"}},
		{"a token in the address", []string{"--home", home, "daemon", "run", "--listen", "s3cr3ttoken:/ip4/127.0.0.1/tcp/1789"}, 2, []string{"--listen"}},
		{"a chain node that is none", []string{"--home", w.home("free"), "daemon", "run", "--listen", "127.0.0.1:0", "--chain", "/ip4"}, 2, []string{"chain"}},
	} {
		if tt.name == "a chain node that is none" {
			if err := os.WriteFile(filepath.Join(w.path("free"), "sector-manager.cfg"), []byte("[Common]\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := w.run(tt.args...)
		if r.code != tt.code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", tt.name, r.code, tt.code, r.out, r.stderr)
		}
		r.says(append(tt.says, "hint:")...).never("secret", "s3cr3t", "goroutine")
	}
	d.ends()
}

// A stop finishes what is under way, answers it, and leaves databases that need
// no replay.
func TestDaemonStopsCleanly(t *testing.T) {
	w := newWorld(t)
	home := w.storedHome()
	d := w.serves(home)
	raw, err := os.ReadFile(testkit.Fixture(t, "damocles-states/100-offline-cc.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state bytes.Buffer
	if err := json.Compact(&state, raw); err != nil {
		t.Fatal(err)
	}
	answered, some := make(chan int, 1), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		n := 0
		once := sync.OnceFunc(func() { close(some) })
		defer once()
		defer func() { answered <- n }()
		for {
			one := strings.Replace(state.String(), `"Number":100`, fmt.Sprintf(`"Number":%d`, 3000+n), 1)
			resp, err := http.Post(d.url, "", strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"Venus.ImportSector","params":["offline",%s,false]}`, one)))
			if err != nil {
				return
			}
			answer, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || string(answer) != `{"jsonrpc":"2.0","result":true,"id":1}`+"\n" {
				return // refused while it stops
			}
			if n++; n == 20 {
				once()
			}
		}
	})
	<-some
	d.ends()
	wg.Wait()
	n := <-answered
	if n == 0 {
		t.Fatal("nothing was written")
	}
	r := w.run("--home", home, "util", "sealer", "sectors", "list", "--offline", "--json").exits(0).never("not closed cleanly")
	have := map[float64]bool{}
	for _, line := range r.lines()["sector"] {
		number, _ := line["number"].(float64)
		have[number] = true
	}
	for i := range n {
		if !have[float64(3000+i)] {
			t.Errorf("sector %d was answered, and is not there", 3000+i)
		}
	}
}

// A client that does not take its answer is cut off at a stop, and keeps neither the
// daemon from ending well nor the databases from being closed.
func TestDaemonStopsBesideSlowClient(t *testing.T) {
	w := newWorld(t)
	w.patience = 300 * time.Millisecond
	home := w.storedHome()
	d := w.serves(home)
	var state map[string]any
	readJSONFile(t, testkit.Fixture(t, "damocles-states/100-offline-cc.json"), &state)
	state["AbortReason"] = strings.Repeat("x", 2<<20)
	for n := range 8 { // more than sockets hold
		state["ID"] = map[string]int{"Miner": 1000, "Number": 7000 + n}
		raw, err := json.Marshal([]any{"offline", state, true})
		if err != nil {
			t.Fatal(err)
		}
		if answer, _ := d.post(`{"jsonrpc":"2.0","id":1,"method":"Venus.ImportSector","params":`+string(raw)+`}`, ""); !strings.Contains(answer, `"result":true`) {
			t.Fatal(answer)
		}
	}
	slow, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	const list = `{"jsonrpc":"2.0","id":1,"method":"Venus.ListSectors","params":["offline",0]}`
	if _, err := fmt.Fprintf(slow, "POST /rpc/v0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(list), list); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(slow, make([]byte, 1000)); err != nil { // it has begun
		t.Fatal(err)
	}
	d.ends()
	if _, stderr := d.text(); !strings.Contains(stderr, "were broken off") || strings.Contains(stderr, "replaying") {
		t.Error(stderr)
	}
	w.run("--home", home, "util", "sealer", "sectors", "list", "--offline").exits(0).never("not closed cleanly")
}

// An address that others can reach is never open, however it is written.
func TestDaemonOpen(t *testing.T) {
	w := newWorld(t)
	home := w.storedHome()
	for listen, open := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "[::ffff:127.0.0.1]:0": true,
		":0": false, "0.0.0.0:0": false, "[::ffff:0.0.0.0]:0": false,
	} {
		d := w.serves(home, "--json", "--listen", listen)
		d.ends()
		if out, _ := d.text(); !strings.Contains(out, fmt.Sprintf(`"open":%t}`, open)) {
			t.Errorf("%s: want open %t, got %s", listen, open, out)
		}
	}
}

// A call that nothing can end, as one in a store whose server is gone, is left behind
// when the daemon stops: the journal is ended and the databases are closed all the same.
func TestDaemonStopsBesideHangingCall(t *testing.T) {
	hang, hangs := make(chan struct{}), make(chan struct{})
	home, dir := damocles.NewMemoryHome(), t.TempDir()
	d, err := daemon.New(daemon.Options{Home: home, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	methods := d.Methods()
	methods["T.Hang"] = serve.Method{Call: func(context.Context, []json.RawMessage) (any, error) {
		close(hangs)
		<-hang
		return nil, nil
	}}
	api := serve.New(serve.Options{Methods: methods, Open: true})
	server := httptest.NewServer(api)
	post := func(body string) string {
		resp, err := http.Post(server.URL, "", strings.NewReader(body))
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		return string(answer)
	}
	var state bytes.Buffer
	raw, err := os.ReadFile(testkit.Fixture(t, "damocles-states/100-offline-cc.json"))
	if err = errors.Join(err, json.Compact(&state, raw)); err != nil {
		t.Fatal(err)
	}
	for _, one := range []string{state.String(), strings.Replace(state.String(), `"AbortReason":""`, `"AbortReason":"x"`, 1)} {
		if got := post(`{"id":1,"method":"Venus.ImportSector","params":["offline",` + one + `,true]}`); !strings.Contains(got, `"result":true`) {
			t.Fatal(got)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { post(`{"id":1,"method":"T.Hang"}`) })
	defer wg.Wait()
	defer close(hang)
	<-hangs
	a := &app{env: Env{Patience: 100 * time.Millisecond}, ui: quietUI(), log: slog.New(slog.DiscardHandler)}
	if err := a.endDaemon(t.Context(), d, api, server.Config); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if path, err := durable.Latest(migrate.JournalDir(dir), func(_ durable.Header, ended bool) bool { return ended }); err != nil || path == "" {
		t.Errorf("the journal is not ended: %q, %v", path, err)
	}
}

// A write that does not end, as on a disk that hangs, is told with what becomes of it,
// and is not waited for when the home is closed.
func TestDaemonStopsBesideHangingWrite(t *testing.T) {
	t.Run("journal", func(t *testing.T) {
		hang, hangs := make(chan struct{}), make(chan struct{})
		once := sync.OnceFunc(func() { close(hangs) })
		fs := durable.FS{Fault: func(op, path string) error {
			if op == "sync" && strings.Contains(path, "journal") {
				once()
				<-hang
			}
			return nil
		}}
		stopsBesideWrite(t, damocles.NewMemoryHome(), fs, hang, hangs)
	})
	t.Run("database", func(t *testing.T) {
		w := newWorld(t)
		dir := w.storedHome()
		server := w.inMongo(dir, false)
		home := w.openMongo(dir)
		hang, hangs := make(chan struct{}), make(chan struct{})
		once := sync.OnceFunc(func() { close(hangs) })
		server.Answer(func(c testkit.MongoCommand) bson.D {
			if c.Name == "update" && bytes.Contains(c.Body, []byte(`"x"`)) {
				once()
				<-hang
			}
			return nil
		})
		stopsBesideWrite(t, home, durable.FS{}, hang, hangs)
		w.must(home.Close())
	})
}

// stopsBesideWrite stops a daemon while a write of its hangs.
func stopsBesideWrite(t *testing.T, home *damocles.Home, fs durable.FS, hang, hangs chan struct{}) {
	d, err := daemon.New(daemon.Options{Home: home, Dir: t.TempDir(), FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(testkit.Fixture(t, "damocles-states/100-offline-cc.json"))
	if err != nil {
		t.Fatal(err)
	}
	key := damocles.StateKey(damocles.Offline, 1000, 100)
	before, _, err := home.Get(t.Context(), damocles.Offline, 1000, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := home.Apply(t.Context(), []damocles.Change{{Store: damocles.CollectionOffline, Key: key, Before: before, After: raw}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		changed := json.RawMessage(strings.Replace(string(raw), `"AbortReason": ""`, `"AbortReason": "x"`, 1))
		_, _ = d.Methods()["Venus.ImportSector"].Call(context.Background(), []json.RawMessage{json.RawMessage(`"offline"`), changed, json.RawMessage("true")})
	})
	defer wg.Wait()
	defer close(hang)
	<-hangs
	api := serve.New(serve.Options{Methods: d.Methods(), Open: true})
	a := &app{env: Env{Patience: 5 * time.Millisecond}, ui: quietUI(), log: slog.New(slog.DiscardHandler)}
	err = a.endDaemon(t.Context(), d, api, &http.Server{})
	if err == nil || !strings.Contains(err.Error(), "did not end within") || fault.HintOf(err) == "" {
		t.Errorf("it ends with %v", err)
	}
	closed := make(chan struct{})
	wg.Go(func() { defer close(closed); closeHome(&err, home) })
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("closing the home waits for the write, and nobody is told")
	}
}
