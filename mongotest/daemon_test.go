package mongotest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"damocles-manager/internal/cli"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

// running is a `daemon run` in this process.
type running struct {
	t    *testing.T
	url  string
	addr string
	stop func() int

	mu   sync.Mutex
	text bytes.Buffer // stdout and stderr
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *running) printed() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

var servingAt = regexp.MustCompile(`serving .* at (http://(\S+)/rpc/v0)`)

// serves runs a daemon on the home until the test ends or stops it.
func (w *world) serves(args ...string) *running {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: w.t}
	env := cli.Env{
		Stdout: r, Stderr: r, Patience: time.Second,
		Getenv: func(k string) string { return map[string]string{"HOME": w.dir, "DAMOCLES_PATH": w.path("home")}[k] },
	}
	code := 0
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		code = cli.Run(ctx, env, append([]string{"daemon", "run", "--listen", "127.0.0.1:0", "--daemon-stopped"}, args...))
	})
	r.stop = func() int { cancel(); wg.Wait(); return code }
	w.t.Cleanup(func() { r.stop() })
	for range 1000 {
		if m := servingAt.FindStringSubmatch(r.printed()); m != nil {
			r.url, r.addr = m[1], m[2]
			return r
		}
		select {
		case <-done:
			w.t.Fatalf("the daemon ended with %d\n%s", code, r.printed())
		case <-time.After(10 * time.Millisecond):
		}
	}
	w.t.Fatal("the daemon does not say that it serves")
	return nil
}

// call returns the answer to a call, without its end of line.
func (r *running) call(method, params string) string {
	r.t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"Venus.%s","params":[%s]}`, method, params)
	resp, err := http.Post(r.url, "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.read(resp)
}

func (r *running) get(path string) string {
	r.t.Helper()
	resp, err := http.Get("http://" + r.addr + path)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.read(resp)
}

func (r *running) read(resp *http.Response) string {
	r.t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSuffix(string(raw), "\n")
}

func (r *running) wants(method, params, want string) {
	r.t.Helper()
	if got := r.call(method, params); got != want {
		r.t.Errorf("%s(%s):\ngot  %s\nwant %s", method, params, got, want)
	}
}

const (
	yes  = `{"jsonrpc":"2.0","result":true,"id":1}`
	null = `{"jsonrpc":"2.0","result":null,"id":1}`
	void = `{"jsonrpc":"2.0","id":1}`
)

func sectorID(number int) string { return fmt.Sprintf(`{"Miner":1000,"Number":%d}`, number) }

// eventually waits until what the daemon says at a path has the text.
func (r *running) eventually(path, text string) {
	r.t.Helper()
	got := ""
	for range 1000 {
		if got = r.get(path); strings.Contains(got, text) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.t.Fatalf("%s does not say %q:\n%s", path, text, got)
}

// filled is a world whose MongoDB has what the fixture home has.
func filled(t *testing.T, s *server, dsn string) *world {
	t.Helper()
	w := newWorld(t, dsn)
	before, err := damocles.OpenHome(t.Context(), testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/damocles-home")), damocles.Config{}, damocles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var changes []damocles.Change
	for _, name := range []string{"meta", "offline_meta", "sector-index", "common"} {
		err := before.Scan(t.Context(), name, "", func(key string, value []byte) error {
			changes = append(changes, damocles.Change{Store: name, Key: key, After: bytes.Clone(value)})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	into := openHome(t, s.dsn(), "lotus")
	if err := into.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	if err := into.Close(); err != nil {
		t.Fatal(err)
	}
	stores := testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/storage"))
	fixture, err := os.ReadFile(testkit.Fixture(t, "switch-2k/damocles-home/sector-manager.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	w.configure(strings.ReplaceAll(string(fixture), `"/storage/`, `"`+stores+`/`) + "\n" + mongoConfig(dsn))
	return w
}

// record is a state as it is sent, under another number.
func record(t *testing.T, name string, from, to int) string {
	t.Helper()
	raw, err := os.ReadFile(testkit.Fixture(t, "damocles-states/"+name))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(out.String(), fmt.Sprintf(`"Number":%d`, from), fmt.Sprintf(`"Number":%d`, to), 1)
}

// A home in MongoDB is served as the original serves one: what was captured of
// it is answered byte for byte, and what is written is in the database when it is
// answered.
func TestDaemon(t *testing.T) {
	s := newServer(t)
	w := filled(t, s, s.dsn())
	d := w.serves("--chain", testkit.Chain(t, testkit.ChainOptions{}).URL)
	for _, name := range []string{
		"ListSectors-offline", "ListSectors-online", "ListSectors-badworker", "FindSector", "FindSector-missing", "FindSectorInAllStates",
		"SectorIndexerFind", "SectorIndexerFind-split", "SectorIndexerFind-upgrade",
	} {
		var file struct {
			Request struct {
				Method string
				Params []json.RawMessage
			}
		}
		path := testkit.Fixture(t, "rpc/damocles-manager/"+name+".json")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &file); err != nil {
			t.Fatal(err)
		}
		var params []string
		for _, p := range file.Request.Params {
			params = append(params, string(p))
		}
		d.wants(strings.TrimPrefix(file.Request.Method, "Venus."), strings.Join(params, ","), string(testkit.ReadExchange(t, path).Response))
	}
	d.eventually("/metrics", `damocles_sectors{state="sealing",workspace="online"} 2`)

	now := func() map[string]string { return s.everything("lotus") }
	d.wants("ImportSector", `"offline",`+record(t, "100-offline-cc.json", 100, 3000)+`,false`, yes)
	if value := now()["offline_meta sector-states-offline/m-1000-n-3000"]; !strings.Contains(value, `"Number":3000`) {
		t.Errorf("what was imported is not there: %q", value)
	}
	d.wants("FinalizeSector", sectorID(117), void)
	if got := now(); got["meta sector-states/m-1000-n-117"] != "" || !strings.Contains(got["offline_meta sector-states-offline/m-1000-n-117"], `"Finalized":true`) {
		t.Error("what was finalized is not offline")
	}
	d.wants("RestoreSector", sectorID(117)+",true", null)
	if got := now(); got["meta sector-states/m-1000-n-117"] == "" || got["offline_meta sector-states-offline/m-1000-n-117"] != "" {
		t.Error("what was restored is not online")
	}
	if got := d.call("RemoveSector", sectorID(100)); !strings.Contains(got, `"error"`) || strings.Contains(now()["offline_meta sector-states-offline/m-1000-n-100"], `"Removed":true`) {
		t.Errorf("a live sector was removed: %s", got)
	}
	for _, want := range []string{
		`damocles_sectors{state="finished",workspace="offline"} 19`, `damocles_sectors{state="sealing",workspace="online"} 2`,
		`damocles_database_bytes{collection="meta"} `, `damocles_database_bytes{collection="offline_meta"} `, "damocles_store_bytes{",
	} {
		if got := d.get("/metrics"); !strings.Contains(got, want) {
			t.Errorf("the metrics lack %s:\n%s", want, regexp.MustCompile(`(?m)^damocles_(sectors|database|store).*$`).FindAllString(got, -1))
		}
	}
	if got := d.get("/metrics"); strings.Contains(got, `collection="prover"`) {
		t.Error("a collection that is not there has a size")
	}
	if code := d.stop(); code != 0 {
		t.Fatalf("the daemon ended with %d\n%s", code, d.printed())
	}

	w.configure(mongoConfig(s.dsn())) // without a chain node
	d = w.serves()
	if got := d.call("RemoveSector", sectorID(100)); !strings.Contains(got, "chain") {
		t.Errorf("a live sector was removed: %s", got)
	}
	d.wants("RemoveSector", sectorID(114), void)
	if value := now()["offline_meta sector-states-offline/m-1000-n-114"]; !strings.Contains(value, `"Removed":true`) {
		t.Errorf("what was removed: %s", value)
	}
	d.stop()
	// What the daemon replaced and deleted can be taken back.
	w.sectors("import", "rollback", "--backup", newestJournal(t, w), "--daemon-stopped").exits(0)
	if value := now()["offline_meta sector-states-offline/m-1000-n-114"]; strings.Contains(value, `"Removed":true`) {
		t.Errorf("after the rollback: %s", value)
	}
}

func newestJournal(t *testing.T, w *world) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.path("home"), "switching", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	newest, at := "", time.Time{}
	for _, path := range found {
		raw, err := os.ReadFile(path)
		if info, statErr := os.Stat(path); err == nil && statErr == nil && bytes.Contains(raw, []byte("m-1000-n-114")) && info.ModTime().After(at) {
			newest, at = path, info.ModTime()
		}
	}
	if newest == "" {
		t.Fatalf("no journal of it in %v", found)
	}
	return newest
}

// An import goes through a daemon of ours, and not beside it.
func TestImportThroughDaemon(t *testing.T) {
	s := newServer(t)
	w := newWorld(t, s.dsn())
	d := w.serves()
	w.addr = d.addr
	w.importing().exits(5).says("its data is in MongoDB, which does not tell who uses it")
	w.importing("--daemon-stopped").exits(5).says("a damocles-manager listens at " + d.addr)
	w.importing("--daemon-stopped", "--listen", d.addr).exits(5).says("--daemon-stopped is given, but a damocles-manager listens at "+d.addr, "stop it")
	w.run("util", "storage", "attach", "--daemon-stopped", w.dir).exits(5).says("--daemon-stopped is given")
	// Who looks past it is kept out by the home's lock.
	for _, args := range [][]string{{"--listen", "none"}, {"--listen", "127.0.0.1:1"}} {
		w.sectors(append([]string{"import", "rollback", "--daemon-stopped"}, args...)...).exits(5).
			says("is in use by process "+fmt.Sprint(os.Getpid()), "hint:")
	}
	w.run("daemon", "run", "--listen", "127.0.0.1:0", "--daemon-stopped").exits(5).says("is in use by process")
	if got := s.everything("lotus"); len(got) != 0 {
		t.Fatalf("written: %v", got)
	}
	w.importing("--listen", d.addr).exits(3).says(written, "working through the damocles-manager")
	got := s.everything("lotus")
	delete(got, counter)
	if len(got) != 27 {
		t.Errorf("got %d records, want 27", len(got))
	}
	w.importing("--listen", d.addr).exits(3).says("import: 0 written, 27 unchanged")
	if code := d.stop(); code != 0 {
		t.Fatalf("the daemon ended with %d\n%s", code, d.printed())
	}
	if n := w.sectors("list", "--offline", "--snapup", "--json").exits(0).lines("sector"); n != 27 {
		t.Errorf("list shows %d sectors, want 27", n)
	}
	if strings.Contains(d.printed(), "goroutine") {
		t.Errorf("printed: %s", d.printed())
	}
}

// A server that goes while it is served, and comes back: calls say what is wrong
// and work again. Nothing that was answered is lost.
func TestDaemonLosesServer(t *testing.T) {
	s := newServer(t)
	p := newProxy(t, s.addr)
	w := filled(t, s, p.dsn())
	d := w.serves()
	d.eventually("/metrics", `damocles_sectors{state="sealing",workspace="online"} 2`)
	find := `"offline",` + sectorID(100)
	was := d.call("FindSector", find)
	importing := func(n int) string { return `"offline",` + record(t, "100-offline-cc.json", 100, n) + `,false` }

	// The answer of a write is lost: the call fails, and its repetition says that
	// the record is there.
	p.when(update("offline_meta"), func() fate { return mute })
	if got := d.call("ImportSector", importing(3000)); !strings.Contains(got, "the connection to MongoDB at") {
		t.Errorf("a write whose answer was lost: %s", got)
	}
	eventually(t, "the server writes what it was sent", func() bool {
		return s.everything("lotus")["offline_meta sector-states-offline/m-1000-n-3000"] != ""
	})
	d.wants("ImportSector", importing(3000), `{"jsonrpc":"2.0","result":false,"id":1}`)
	d.wants("ImportSector", importing(3001), yes)

	s.stop()
	p.drop()
	for method, params := range map[string]string{
		"FindSector": find, "ListSectors": `"offline",0`, "ImportSector": importing(3002), "FindSectorInAllStates": sectorID(100),
		"SectorIndexerFind": `"normal",` + sectorID(100),
	} {
		if got := d.call(method, params); !strings.Contains(got, "the connection to MongoDB at") || !strings.Contains(got, "see that MongoDB is up") {
			t.Errorf("%s without a server: %s", method, got)
		}
	}
	if got := d.get("/healthcheck"); !strings.Contains(got, "Service Unavailable") {
		t.Errorf("health without a server: %s", got)
	}
	if got := d.get("/metrics"); !strings.Contains(got, "damocles_rpc_calls_total") || strings.Contains(got, "damocles_database_bytes{") {
		t.Errorf("metrics without a server: %s", got)
	}
	s.start()
	d.eventually("/healthcheck", `"OK"`)
	d.wants("FindSector", find, was)
	d.wants("ImportSector", importing(3002), yes)
	if list := d.call("ListSectors", `"offline",0`); strings.Count(list, `"SectorType"`) != 22+3 {
		t.Errorf("the list has %d sectors, want 25", strings.Count(list, `"SectorType"`))
	}
	d.eventually("/metrics", "damocles_database_bytes{")
	if code := d.stop(); code != 0 {
		t.Fatalf("the daemon ended with %d\n%s", code, d.printed())
	}
	if strings.Contains(d.printed(), "goroutine") {
		t.Errorf("printed: %s", d.printed())
	}
	got := s.everything("lotus")
	for n := range 3 {
		if got[fmt.Sprintf("offline_meta sector-states-offline/m-1000-n-%d", 3000+n)] == "" {
			t.Errorf("sector %d was answered, and is not there", 3000+n)
		}
	}
}
