package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"damocles-manager/internal/testkit"
)

func TestMain(m *testing.M) {
	// With the race detector, each of the many processes would sleep a second at its end.
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	testscript.Main(inMemory{m}, map[string]func(){
		"damocles-manager": toolOrMain,
		"lotus-miner":      stub,
		"lotus":            stub,
		"venus-wallet":     stub,
		"systemctl":        stub,
		"curl":             curl,
		"world-prune":      prune,
	})
}

// inMemory puts what the sessions write into memory, and not the commands, which
// are links to this binary.
type inMemory struct{ m *testing.M }

func (i inMemory) Run() int { return testkit.InMemory(i.m) }

// The sessions in testdata/script are what a user types and reads.
func TestScripts(t *testing.T) {
	fixtures, err := filepath.Abs("../../testdata/fixtures/switch-2k")
	if err != nil {
		t.Fatal(err)
	}
	miner := testkit.Lotus(t, testkit.LotusOptions{})
	node := testkit.Chain(t, testkit.ChainOptions{})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("LOTUS", miner.Multiaddr())
			env.Setenv("CHAIN", node.URL)
			env.Setenv("DAEMON", testkit.Nowhere(t))
			env.Setenv("DAMOCLES_LISTEN", testkit.Nowhere(t)) // whatever listens at :1789 here is none of these sessions'
			return errors.Join(
				os.CopyFS(filepath.Join(env.WorkDir, ".lotusminer"), os.DirFS(filepath.Join(fixtures, "lotusminer"))),
				os.CopyFS(filepath.Join(env.WorkDir, "sealed-by-damocles"), os.DirFS(filepath.Join(fixtures, "damocles-home"))),
				os.CopyFS(filepath.Join(env.WorkDir, "storage"), os.DirFS(filepath.Join(fixtures, "storage"))),
				storesBelow(env.WorkDir),
			)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "answers": answers},
	})
}

// storesBelow has the home that damocles sealed in name its stores where they were
// copied to.
func storesBelow(dir string) error {
	path := filepath.Join(dir, "sealed-by-damocles", "sector-manager.cfg")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.ReplaceAll(raw, []byte(`"/storage/`), []byte(`"`+dir+`/storage/`)), 0o600)
}

// answers waits until a daemon answers at an address: answers ADDRESS.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: answers ADDRESS")
	}
	for range 300 {
		resp, err := http.Get("http://" + args[0] + "/healthcheck")
		if err == nil {
			ts.Check(resp.Body.Close())
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("nothing answers at %s", args[0])
}

// exits runs a command that has to end with a certain exit code: exits 3 damocles-manager …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
