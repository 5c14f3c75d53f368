package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

func TestListIsAsInTheOriginal(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *world, cmd func(...string) *result) {
		cmd("list").exits(0).same(printed(t, "list.txt"))
		cmd("list", "--offline").exits(0).same(printed(t, "list-offline.txt"))
		cmd("list", "--offline=true").exits(0).same(printed(t, "list-offline.txt"))
		cmd("list", "--offline", "--miner", "t01001").exits(0).same(printed(t, "list-miner.txt")).never("left out")
		cmd("list", "--offline", "--miner", "1002").exits(0).same("Sectors:\nCount: 0\n")
		// this one was captured after 117 had been finalized
		cmd("finalize", "--miner", "f01000", "--really-do-it", "--without-chain", "117").exits(0)
		cmd("list", "--offline", "--snapup", "--rebuild").exits(0).same(printed(t, "list-offline-all.txt"))
	})
}

func TestListMiner(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *world, cmd func(...string) *result) {
		for _, miner := range []string{"t01000", "f01000", "1000"} {
			cmd("list", "--offline", "--miner", miner).exits(0).says("Count: 15", "left out: 4 upgraded").never("s-t01001")
		}
		cmd("list", "--miner", "f01000", "--unseal").exits(0).says("Count: 2")
		cmd("list", "--offline", "--miner", "f01000", "--unseal").exits(0).says("s-t01000-119(unseal):", "Count: 16").never("being unsealed")
		cmd("list", "--miner", "nobody").exits(2)
	})
}

// marked is a sector of the fixtures with the marks by which `list` selects.
type marked struct {
	offline                          bool
	Upgraded, NeedRebuild, Unsealing bool
}

// For every combination of selectors: how many are shown, how many are left out,
// and with which flag those show.
func TestListSelectors(t *testing.T) {
	var all []marked
	for _, path := range testkit.Glob(t, "damocles-states/*.json") {
		m := marked{offline: strings.Contains(path, "-offline-")}
		readJSONFile(t, path, &m)
		all = append(all, m)
	}
	both := func(state string) string { // marked as both, it shows with either flag
		return strings.NewReplacer(`"Unsealing":false`, `"Unsealing":true`, `"Number":113`, `"Number":113000`).Replace(state)
	}
	all = append(all, marked{offline: true, NeedRebuild: true, Unsealing: true})

	w := newWorld(t)
	home := w.home("home")
	extra := both(w.get(home, "offline_meta", offlineKey(113)))
	w.set(home, "offline_meta", offlineKey(113000), extra)
	through := newWorld(t)
	through.daemon(testkit.DamoclesOptions{Offline: []json.RawMessage{json.RawMessage(extra)}})

	flags := []string{"sealing", "snapup", "rebuild", "unseal"}
	for combination := range 1 << 5 {
		var args []string
		on := map[string]bool{}
		offline := combination&(1<<4) != 0
		for i, name := range flags {
			on[name] = combination&(1<<i) != 0
			args = append(args, fmt.Sprintf("--%s=%v", name, on[name]))
		}
		args = append(args, fmt.Sprintf("--offline=%v", offline))
		count, remark := expectList(all, on, offline)
		for _, r := range []*result{w.sectorsCmd(home, append([]string{"list"}, args...)...), through.cmd(append([]string{"list"}, args...)...)} {
			r.exits(0).says(fmt.Sprintf("Count: %d\n", count))
			if n := strings.Count(r.out, "Finalized: "); n != count {
				t.Errorf("%v: shows %d, counts %d", args, n, count)
			}
			if got := remarkOf(r.stderr); got != remark {
				t.Errorf("%v: says %q, want %q", args, got, remark)
			}
		}
	}
	through.cmd("list", "--offline", "--quiet").exits(0).never("left out")
}

func remarkOf(stderr string) string {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "left out") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func expectList(all []marked, on map[string]bool, offline bool) (count int, remark string) {
	out := map[string]int{}
	for _, m := range all {
		if m.offline != offline {
			continue
		}
		var by []string
		switch {
		case m.NeedRebuild && m.Unsealing:
			by = []string{"rebuild", "unseal"}
		case m.NeedRebuild:
			by = []string{"rebuild"}
		case m.Unsealing:
			by = []string{"unseal"}
		case m.Upgraded:
			by = []string{"snapup"}
		default:
			by = []string{"sealing"}
		}
		if slices.ContainsFunc(by, func(f string) bool { return on[f] }) {
			count++
		} else {
			out[by[0]]++
		}
	}
	var parts []string
	for _, p := range [][2]string{{"sealing", "ordinary"}, {"snapup", "upgraded"}, {"rebuild", "to be rebuilt"}, {"unseal", "being unsealed"}} {
		if n := out[p[0]]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (show with --%s)", n, p[1], p[0]))
		}
	}
	if parts == nil {
		return count, ""
	}
	return count, "left out: " + strings.Join(parts, ", ")
}

// A record that cannot be read is named, and the others are listed.
func TestListBrokenRecords(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.changeState(home, 101, `"SectorType":5`, `"SectorType":"five"`)
	w.set(home, "offline_meta", offlineKey(102), "{")
	w.set(home, "offline_meta", "sector-states-offline/m-1000-n-x", "{}")
	for _, args := range [][]string{{}, {"--json"}} {
		w.sectorsCmd(home, append([]string{"list", "--offline"}, args...)...).exits(3).
			says(offlineKey(101)+": cannot be decoded", "SectorType", offlineKey(102)+": cannot be decoded").
			says("sector-states-offline/m-1000-n-x", "is not one of a sector")
	}
	r := w.sectorsCmd(home, "list", "--offline", "--json").exits(3)
	if s := r.lines()["summary"][0]; s["count"] != 14.0 || s["broken"] != 3.0 {
		t.Errorf("the summary is %v", s)
	}
	w.sectorsCmd(home, "list", "--offline").exits(3).says("Count: 14", "s-t01000-100:", "s-t01000-103:", "s-t01001-120:").never("s-t01000-101:")

	w.daemon(testkit.DamoclesOptions{Offline: []json.RawMessage{json.RawMessage(`{"ID":{"Miner":1000,"Number":101},"SectorType":"five"}`)}})
	w.cmd("list", "--offline").exits(3).says("Count: 15", "s-t01000-101 of http://"+w.addr, "cannot be decoded", "SectorType")
}

// many gives the states of many sectors, in the order of the keys.
func many(t *testing.T, each func(key string, raw []byte) error) {
	t.Helper()
	keys := make([]string, manySectors)
	numbers := map[string]int{}
	for n := range manySectors {
		keys[n] = offlineKey(n)
		numbers[keys[n]] = n
	}
	slices.Sort(keys)
	state, err := damocles.EncodeState(&damocles.SectorState{
		ID: abi.SectorID{Miner: 1000}, SectorType: 5, Finalized: true, AbortReason: strings.Repeat("x", 500),
	})
	before, after, ok := strings.Cut(string(state), `"Number":0`)
	if err != nil || !ok {
		t.Errorf("%s has no number: %v", state, err)
		return
	}
	for _, key := range keys {
		if err := each(key, fmt.Appendf(nil, `%s"Number":%d%s`, before, numbers[key], after)); err != nil {
			t.Error(err)
			return
		}
	}
}

// A long list begins to be printed long before it ends, and is never held whole:
// 50,000 states are more than 50 MB. Neither is it read on when nobody wants it.
func TestListStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 seconds")
	}
	t.Run("home", func(t *testing.T) {
		w := newWorld(t)
		home := w.path("home")
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		w.withTables(home, "offline_meta", 64<<20, func(db *badger.DB) {
			batch := db.NewWriteBatch()
			many(t, func(key string, raw []byte) error { return batch.Set([]byte(key), raw) })
			if err := batch.Flush(); err != nil {
				t.Fatal(err)
			}
		})
		checkStreams(t, w, nil, "--home", home)
	})
	t.Run("daemon", func(t *testing.T) {
		w := newWorld(t)
		// The second half is sent only once the first lines have been printed.
		halfway := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			var req struct {
				ID     json.RawMessage
				Method string
			}
			if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
				t.Error(err)
			}
			if req.Method == "Venus.Version" {
				fmt.Fprintf(rw, `{"jsonrpc":"2.0","result":"v0.13.1","id":%s}`, req.ID)
				return
			}
			streamMany(t, rw, req.ID, halfway)
		}))
		defer server.Close()
		at, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		w.addr = at.Host
		checkStreams(t, w, func() { close(halfway) })
	})
}

func streamMany(t *testing.T, rw io.Writer, id json.RawMessage, halfway <-chan struct{}) {
	out := bufio.NewWriterSize(rw, 64<<10)
	fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":[`, id)
	n := 0
	many(t, func(_ string, raw []byte) error {
		if n == manySectors/2 {
			<-halfway
		}
		if n++; n > 1 {
			raw = append([]byte(","), raw...)
		}
		_, err := out.Write(raw)
		return err
	})
	fmt.Fprint(out, "]}\n")
	if err := out.Flush(); err != nil {
		t.Error(err)
	}
}

// checkStreams reads the list through a pipe, and looks at the memory on the way.
func checkStreams(t *testing.T, w *world, begun func(), args ...string) {
	t.Helper()
	start := liveHeap()
	out, code := w.piped(w.ctx, append([]string{"util", "sealer", "sectors", "list", "--offline"}, args...)...)
	lines := bufio.NewScanner(out)
	seen, highest := 0, uint64(0)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "s-t01000-") {
			continue
		}
		seen++
		if seen == 1 && begun != nil {
			begun()
		}
		if seen%(manySectors/10) == 0 {
			highest = max(highest, liveHeap())
		}
	}
	if c := <-code; c != 0 || seen != manySectors {
		t.Errorf("exit code %d after %d sectors", c, seen)
	}
	if grown := int64(highest) - int64(start); grown > 24<<20 {
		t.Errorf("the live heap grew by %d MiB", grown>>20)
	} else {
		t.Logf("the live heap grew by %d KiB", grown>>10)
	}
	if begun != nil {
		return
	}
	// Cancelled after its first lines it ends, so it was not through before.
	ctx, cancel := context.WithCancel(w.ctx)
	out, code = w.piped(ctx, append([]string{"util", "sealer", "sectors", "list", "--offline"}, args...)...)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	rest, err := io.Copy(io.Discard, out)
	if c := <-code; c != exitInterrupted || err != nil || rest > 512<<10 {
		t.Errorf("cancelled: exit code %d, %d bytes more, %v", c, rest, err)
	}
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// piped runs a command line whose stdout is a pipe.
func (w *world) piped(ctx context.Context, args ...string) (io.Reader, <-chan int) {
	r, pipe := io.Pipe()
	code := make(chan int, 1)
	env := Env{Stdout: pipe, Stderr: io.Discard, Getenv: func(k string) string { return w.env[k] }, Listen: w.addr}
	go func() {
		defer pipe.Close() //nolint:errcheck // a pipe's never fails
		code <- Run(ctx, env, args)
	}()
	return r, code
}
