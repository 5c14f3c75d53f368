package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"damocles-manager": main})
}

// The sessions in testdata/script are what a user types and reads.
func TestScripts(t *testing.T) {
	fixtures, err := filepath.Abs("../../testdata/fixtures/switch-2k")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return errors.Join(
				os.CopyFS(filepath.Join(env.WorkDir, ".lotusminer"), os.DirFS(filepath.Join(fixtures, "lotusminer"))),
				os.CopyFS(filepath.Join(env.WorkDir, "sealed-by-damocles"), os.DirFS(filepath.Join(fixtures, "damocles-home"))),
			)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
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
