package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/testkit"
)

// peer is a program that commands talk to, and the commands that do.
type peer struct {
	name  string
	start func(t *testing.T, o testkit.Options) *testkit.Server
	lines map[string]func(w *world, addr string) []string
}

func peers() []peer {
	over := func(flag string, args ...string) func(*world, string) []string {
		return func(w *world, addr string) []string { return append(into(args...)(w), flag, addr) }
	}
	return []peer{{
		name: "lotus-miner",
		start: func(t *testing.T, o testkit.Options) *testkit.Server {
			return testkit.Lotus(t, testkit.LotusOptions{Options: o})
		},
		lines: map[string]func(*world, string) []string{
			"import": func(w *world, addr string) []string {
				return []string{"--home", w.home("home"), "import", "--api", addr}
			},
			"import into a new home": func(w *world, addr string) []string {
				return []string{"--home", w.path("new"), "import", "--api", addr}
			},
		},
	}, {
		name: "chain node",
		start: func(t *testing.T, o testkit.Options) *testkit.Server {
			return testkit.Chain(t, testkit.ChainOptions{Options: o})
		},
		lines: map[string]func(*world, string) []string{
			"import":   over("--chain", "import"),
			"export":   over("--chain", "export", "--miner=1000", "metadata"),
			"number":   over("--chain", "export", "--miner=1000", "metadata", "--next-number=5", "--only-next-number"),
			"finalize": over("--chain", "finalize", "--miner=1000", "117", "--really-do-it"),
		},
	}, {
		name: "damocles-manager",
		start: func(t *testing.T, o testkit.Options) *testkit.Server {
			return testkit.Damocles(t, testkit.DamoclesOptions{Options: o}).Server
		},
		lines: map[string]func(*world, string) []string{
			"import":   over("--listen", "import"),
			"export":   over("--listen", "export", "--miner=1000", "metadata"),
			"list":     over("--listen", "list"),
			"state":    over("--listen", "state", "1000", "100"),
			"finalize": over("--listen", "finalize", "--miner=1000", "117", "--really-do-it"),
		},
	}}
}

// A peer that fails at once stops every command before anything is touched.
func TestPeerFails(t *testing.T) {
	t.Parallel()
	failures := []struct {
		name string
		how  testkit.Failure
		says []string
		hint string
		slow bool // it is tried again, so one command has to do
	}{
		{"answers with a web page", testkit.HTML, []string{"Welcome to nginx"}, "check the address", false},
		{"answers with nothing", testkit.Empty, []string{"empty reply"}, "check the address", false},
		{"breaks off in the middle", testkit.Truncated, []string{"trying again", "the reply broke off (tried 5 times)"}, "run the command again", true},
		{"answers half", testkit.CutJSON, []string{"no JSON-RPC reply"}, "proxy", false},
		{"answers another call", testkit.WrongID, []string{"belongs to another call"}, "proxy", false},
		{"closes the connection", testkit.Close, []string{"trying again", "(tried 5 times)"}, "run the command again", true},
		{"is behind a proxy that is down", testkit.Unavailable, []string{"503"}, "later", true},
		{"does not take the token", testkit.Denied, []string{"token not accepted"}, "token", false},
		{"accepts and never answers", testkit.Silent, []string{"did not answer within 300ms"}, "overloaded", false},
	}
	var cases []complaint
	for _, p := range peers() {
		for command, line := range p.lines {
			for _, f := range failures {
				if f.slow && command != "import" {
					continue
				}
				cases = append(cases, complaint{
					name: p.name + " " + f.name + ": " + command, code: 1, hint: f.hint,
					args: func(w *world) []string {
						if f.how == testkit.Silent {
							w.patience = 300 * time.Millisecond
						}
						server := p.start(w.t, testkit.Options{Fail: func(string, int) testkit.Failure { return f.how }})
						return line(w, server.Multiaddr())
					},
					says: append(f.says, strings.TrimSuffix(p.name, "-manager")),
				})
			}
			cases = append(cases, complaint{
				name: p.name + " is not there: " + command, code: 1, hint: "", says: []string{"127.0.0.1"},
				args: func(w *world) []string { return line(w, testkit.Nowhere(w.t)) },
			}, complaint{
				name: p.name + " has an unknown name: " + command, code: 1, hint: "", says: []string{"no-such-host.invalid"},
				args: func(w *world) []string { return line(w, "no-such-host.invalid:1234") },
			}, complaint{
				name: p.name + " at a malformed address: " + command, code: 2, hint: "/ip4/127.0.0.1/tcp/2345/http", says: []string{"address"},
				args: func(w *world) []string { return line(w, "/ip4/127.0.0.1/tcp") },
			}, complaint{
				name: p.name + " without port: " + command, code: 2, hint: "/ip4/127.0.0.1/tcp/2345/http", says: []string{"address"},
				args: func(w *world) []string { return line(w, "localhost") },
			})
		}
	}
	check(t, cases)
}

// What is no reply to the first call is a failure there; what comes later, too.
func TestPeerAnswersNonsense(t *testing.T) {
	results := map[string]map[string]string{
		"lotus-miner": {
			"Filecoin.ActorAddress": `{"not":"an address"}`,
			"Filecoin.SectorsList":  `["a","b"]`,
		},
		"chain node":       {"Filecoin.ChainHead": `"no head"`},
		"damocles-manager": {"Venus.Version": `{"no":"version"}`},
	}
	var cases []complaint
	for _, p := range peers() {
		for method, result := range results[p.name] {
			cases = append(cases, complaint{
				name: p.name + " " + method, code: 1, hint: "newer than this tool", says: []string{method, "cannot be read"},
				free: method == "Filecoin.SectorsList",
				args: func(w *world) []string {
					server := p.start(w.t, testkit.Options{Results: map[string]json.RawMessage{method: json.RawMessage(result)}})
					return p.lines["import"](w, server.Multiaddr())
				},
			})
		}
	}
	check(t, cases)
}

// Homes hold the sectors of several miners.
func TestImportOfAnotherMiner(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	before := w.sectorsCmd(home, "list", "--offline", "--snapup", "--rebuild", "--json").exits(0).out
	miner := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{
		Results: map[string]json.RawMessage{"Filecoin.ActorAddress": json.RawMessage(`"t02222"`)},
	}})
	w.sectorsCmd(home, "import", "--api", miner.Multiaddr()).exits(3).says("27 written", "s-t02222-23: unfinished").never("t01000")
	got := w.sectorsCmd(home, "list", "--offline", "--miner=f02222", "--snapup", "--json").exits(0).lines()["sector"]
	if len(got) != 27 {
		t.Errorf("f02222 has %d sectors, want 27", len(got))
	}
	w.sectorsCmd(home, "import", "rollback").exits(0).says("27 deleted")
	if after := w.sectorsCmd(home, "list", "--offline", "--snapup", "--rebuild", "--json").exits(0).out; after != before {
		t.Errorf("the other miners' sectors have changed:\n%s\nwere\n%s", after, before)
	}
}

// A peer that goes away in the middle: what was done stays, nothing is half
// done, and the next run finishes.
func TestPeerGoesAway(t *testing.T) {
	after := func(n int) testkit.Options {
		return testkit.Options{Fail: func(_ string, call int) testkit.Failure {
			if call > n {
				return testkit.Close
			}
			return testkit.Pass
		}}
	}
	t.Run("lotus-miner", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		miner := testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: true, Options: after(12)})
		home := w.path("home")
		w.sectorsCmd(home, "import", "--api", miner.Multiaddr(), "--jobs=2").complains(1, "run the command again").
			says("lotus-miner at", "tried 5 times")
		good := testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: true})
		w.sectorsCmd(home, "import", "--api", good.Multiaddr()).exits(3).says("3 unfinished")
		checkImported(t, w, home, arrived())
	})
	t.Run("chain node, import", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		node := testkit.Chain(t, testkit.ChainOptions{Options: after(6)})
		home, repo := w.path("home"), w.repo("lotus")
		w.sectorsCmd(home, "import", "--repo", repo, "--chain", node.Multiaddr(), "--jobs=2").complains(1, "run the command again").
			says("chain node at", "tried 5 times")
		w.sectorsCmd(home, "import", "--repo", repo).exits(3).says("3 unfinished")
		checkImported(t, w, home, arrived())
	})
	t.Run("chain node, export", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		node := testkit.Chain(t, testkit.ChainOptions{Options: after(6)})
		home := w.home("home")
		w.emptyRepo("lotus")
		before := w.metadata("lotus")
		w.export(home, w.path("lotus"), "--chain", node.Multiaddr(), "--jobs=2").complains(1, "run the command again").says("chain node at")
		if got := w.metadata("lotus"); fmt.Sprint(got) != fmt.Sprint(before) {
			t.Errorf("the repo holds %d keys, want %d as before", len(got), len(before))
		}
		w.export(home, w.path("lotus")).exits(3).says("18 written")
	})
	t.Run("damocles-manager", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		daemon := testkit.Damocles(t, testkit.DamoclesOptions{Empty: true, Options: after(40)})
		repo := w.repo("lotus")
		w.env["DAMOCLES_PATH"] = ""
		args := []string{"util", "--listen", daemon.Multiaddr(), "sealer", "sectors", "import", "--repo", repo, "--jobs=2"}
		w.run(args...).complains(1, "run the command again").says("damocles-manager at", "tried 5 times")
	})
}

// A port that takes connections and closes them, or says something else.
func TestSomethingElseListens(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	var g errgroup.Group
	g.Go(func() error {
		for {
			conn, err := l.Accept()
			if err != nil {
				return err // it was closed
			}
			fmt.Fprint(conn, "SSH-2.0-OpenSSH_9.6\r\n")
			if err := conn.Close(); err != nil {
				return err
			}
		}
	})
	defer func() {
		w.must(l.Close())
		_ = g.Wait() // the listener is closed
	}()
	w.addr = l.Addr().String()
	before := w.tree()
	w.sectorsCmd(w.path("home"), "list").complains(1, "address is right").says(w.addr, "does not speak HTTP")
	w.sectorsCmd(w.path("home"), "import", "--api", w.addr).complains(1, "address is right").says(w.addr, "does not speak HTTP")
	w.same(before)
}
