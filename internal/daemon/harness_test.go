package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/daemon"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/serve"
	"damocles-manager/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.InMemory(m)) }

// headTime is when the fixture's chain head was due.
var headTime = time.Unix(1700000000, 0)

// world is a daemon over a home of its own.
type world struct {
	t       *testing.T
	dir     string
	storage string
	home    *damocles.Home
	d       *daemon.Daemon
	methods map[string]serve.Method
	log     *lockedBuffer
	jail    *jail
	options daemon.Options
	closed  bool
}

type worldOptions struct {
	chain  *testkit.Server // nil: none
	empty  bool            // a home without sectors
	fs     durable.FS
	config string // appended to sector-manager.cfg
	change func(*daemon.Options)
}

// newWorld copies the fixture home and its stores.
func newWorld(t *testing.T, o worldOptions) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), storage: testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/storage")), log: &lockedBuffer{}}
	if !o.empty {
		w.dir = testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/damocles-home"))
	}
	raw, err := os.ReadFile(testkit.Fixture(t, "switch-2k/damocles-home/sector-manager.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(raw), `"/storage/`, `"`+w.storage+`/`) + o.config
	if err := os.WriteFile(filepath.Join(w.dir, "sector-manager.cfg"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.jail = &jail{dir: t.TempDir()}
	w.open(o)
	return w
}

func (w *world) open(o worldOptions) {
	w.t.Helper()
	t := w.t
	cfg, err := damocles.LoadConfig(w.dir, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	stores, err := migrate.HomeStores(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if w.home, err = damocles.OpenHome(t.Context(), w.dir, cfg, damocles.Options{Write: true, Create: true}); err != nil {
		t.Fatal(err)
	}
	w.options = daemon.Options{
		Home: w.home, Dir: w.dir, Config: cfg, Stores: stores, Version: "v0.13.1-fake-", FS: o.fs,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Now: func() time.Time { return headTime.Add(time.Minute) },
		Quarantine: w.jail,
		MinerConfig: func(id abi.ActorID) (json.RawMessage, bool, error) {
			return json.RawMessage(`{"Actor":1000}`), id == 1000, nil
		},
	}
	if o.chain != nil {
		at, err := chain.ParseEndpoint(o.chain.URL)
		if err != nil {
			t.Fatal(err)
		}
		w.options.Chain = chain.Dial(at, rpc.Options{})
	}
	if o.change != nil {
		o.change(&w.options)
	}
	if w.d, err = daemon.New(w.options); err != nil {
		t.Fatal(err)
	}
	w.methods = w.d.Methods()
	w.closed = false
	t.Cleanup(w.close)
}

func (w *world) close() {
	if w.closed {
		return
	}
	w.closed = true
	if err := w.d.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
	if err := w.home.Close(); err != nil {
		w.t.Error(err)
	}
}

// reply is what a server would answer with.
type reply struct {
	result string // "void" where there is none
	err    error
}

// call does what a server does with a method. Parameters are JSON, or marshalled.
func (w *world) call(method string, params ...any) reply {
	w.t.Helper()
	return w.callCtx(w.t.Context(), method, params...)
}

func (w *world) callCtx(ctx context.Context, method string, params ...any) reply {
	w.t.Helper()
	m, ok := w.methods["Venus."+method]
	if !ok {
		w.t.Fatalf("there is no method %s", method)
	}
	if len(params) != m.Params {
		w.t.Fatalf("%s takes %d parameters, not %d", method, m.Params, len(params))
	}
	raws := []json.RawMessage{}
	for _, p := range params {
		raw, ok := p.(json.RawMessage)
		if !ok {
			var err error
			if raw, err = json.Marshal(p); err != nil {
				w.t.Fatal(err)
			}
		}
		raws = append(raws, raw)
	}
	result, err := m.Call(ctx, raws)
	if err != nil {
		return reply{err: err}
	}
	switch r := result.(type) {
	case serve.Void:
		return reply{result: "void"}
	case serve.Elements:
		var items []string
		err := r(ctx, func(raw json.RawMessage) error {
			items = append(items, string(raw))
			return nil
		})
		return reply{result: "[" + strings.Join(items, ",") + "]", err: err}
	default:
		raw, err := json.Marshal(r)
		return reply{result: string(raw), err: err}
	}
}

// is checks a result.
func (w *world) is(want string, method string, params ...any) {
	w.t.Helper()
	if got := w.call(method, params...); got.err != nil || got.result != want {
		w.t.Errorf("%s%v: got %s, %v; want %s", method, params, shorten(got.result), got.err, shorten(want))
	}
}

// refuses checks that a call fails, with this in its text, and changes nothing in the
// home or the stores.
func (w *world) refuses(want string, method string, params ...any) {
	w.t.Helper()
	before := w.state()
	got := w.call(method, params...)
	if got.err == nil || !strings.Contains(got.err.Error(), want) {
		w.t.Errorf("%s%v: got %s, error %v; want the error %q", method, params, shorten(got.result), got.err, want)
	}
	if after := w.state(); after != before {
		w.t.Errorf("%s%v refused and has changed something", method, params)
	}
}

func shorten(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

// state is all that the home and the stores hold, as text.
func (w *world) state() string {
	w.t.Helper()
	var b strings.Builder
	for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
		err := w.home.Each(w.t.Context(), ws, nil, func(kv damocles.KV) error {
			_, err := fmt.Fprintf(&b, "%s %s\n", kv.Key, kv.Value)
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	err := filepath.WalkDir(w.storage, func(path string, e os.DirEntry, err error) error {
		fmt.Fprintln(&b, path)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

func (w *world) stored(ws damocles.Workspace, number abi.SectorNumber) []byte {
	w.t.Helper()
	raw, _, err := w.home.Get(w.t.Context(), ws, 1000, number)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

func sid(number int) sector.ID { return sector.ID{Miner: 1000, Number: abi.SectorNumber(number)} }

// code is that which a server answers an error with.
func code(err error) int {
	if e, ok := errors.AsType[*serve.Error](err); ok {
		return e.Code
	}
	return 1
}

// fixtureState reads one of the fixture states, compacted.
func fixtureState(t testing.TB, name string) json.RawMessage {
	t.Helper()
	raw, err := os.ReadFile(testkit.Fixture(t, "damocles-states/"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// jail is a quarantine that moves files aside.
type jail struct {
	dir  string
	mu   sync.Mutex
	puts []string
	fail error // if set, the last file of a Put stays, and this comes back
}

func (j *jail) Put(_ context.Context, id sector.ID, files []daemon.File, why string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, f := range files {
		if j.fail != nil && i == len(files)-1 {
			return j.fail
		}
		j.puts = append(j.puts, f.Store.Name+" "+f.Kind.String()+" "+id.String()+": "+why)
		if err := os.Rename(f.Store.Path(f.Kind, id), filepath.Join(j.dir, f.Store.Name+f.Kind.String()+id.String())); err != nil {
			return err
		}
	}
	return nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// openHomeOnly opens the home without a daemon.
func (w *world) openHomeOnly() {
	w.t.Helper()
	var err error
	if w.home, err = damocles.OpenHome(w.t.Context(), w.dir, w.options.Config, damocles.Options{Write: true}); err != nil {
		w.t.Fatal(err)
	}
}
