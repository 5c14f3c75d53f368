package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/ui"
)

// Env is what a command knows of the world around it.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Terminal says that stderr is one.
	Terminal bool
	// Listen is the default of --listen, ":1789" if empty.
	Listen string
	// Program is what the program was called as, "damocles-manager" if empty. It
	// stands in commands that are printed to be tried.
	Program string
	// Patience is how long a peer may take for its first answer, and a client of
	// our own daemon for its last one; 30 seconds if zero.
	Patience time.Duration
	// Pause is how long a call that failed waits for its second try, and each further
	// one twice as long; 0 for the time that rpc has.
	Pause time.Duration
}

// The exit codes, a contract with scripts.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitIncomplete  = 3
	exitCheck       = 4
	exitRefused     = 5
	exitInterrupted = 130
)

// errIncomplete is a run that finished, but left sectors behind. What they are
// is on stdout already, so it is not printed.
var errIncomplete = errors.New("some sectors were left behind")

// errCheck is a check that found sectors that are not provable, or that disagree.
// They, too, are on stdout already.
var errCheck = errors.New("some sectors are not provable, or disagree")

// Main runs the command line of this process and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := Env{
		Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		Terminal: term.IsTerminal(int(os.Stderr.Fd())), Program: os.Args[0],
	}
	return Run(ctx, env, os.Args[1:])
}

// Run runs one command line and returns its exit code. Here, and only here,
// errors become exit codes.
func Run(ctx context.Context, env Env, args []string) int {
	a := &app{env: env}
	cmd := newRootCommand(a)
	cmd.SetArgs(args)
	cmd.SetOut(env.Stdout)
	cmd.SetErr(env.Stderr)
	strictCompletion(cmd)
	strictHelp(cmd)
	err := cmd.ExecuteContext(ctx)
	if a.ui != nil {
		if lost := a.ui.Flush(); !errors.Is(err, lost) { // once is enough
			err = errors.Join(err, lost)
		}
	}
	code := exitCode(ctx, err)
	a.explain(code, err)
	return code
}

func exitCode(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case fault.KindOf(err) == fault.Usage:
		return exitUsage
	case fault.KindOf(err) == fault.Refused:
		return exitRefused
	case isOnly(err, errIncomplete):
		return exitIncomplete
	case isOnly(err, errCheck):
		return exitCheck
	default:
		return exitFailed
	}
}

// isOnly says whether err is target and nothing besides: a database that could
// not be closed must not hide behind sectors that were left behind.
func isOnly(err, target error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return errors.Is(err, target)
	}
	for _, e := range joined.Unwrap() {
		if !isOnly(e, target) {
			return false
		}
	}
	return true
}

// explain prints the error with its next step.
func (a *app) explain(code int, err error) {
	hint := fault.HintOf(err)
	_, anew := errors.AsType[anewError](err)
	switch code {
	case exitDone:
		return
	case exitIncomplete, exitCheck:
		return
	case exitInterrupted:
		hint = "run the same command again: it finishes the rest"
		if anew {
			hint = "run the same command again: it starts from the beginning"
		}
		err = errors.New("interrupted")
	default:
		if noRoom(err) && !anew {
			hint = roomHint
		}
	}
	if a.ui == nil { // the command line itself was wrong
		a.ui = ui.New(a.env.Stdout, a.env.Stderr, ui.Options{})
	}
	a.ui.Error(errors.New(hideTokens(err.Error())), hint)
	if code == exitUsage && hint == "" {
		fmt.Fprintln(a.env.Stderr, "hint:  add --help to see how the command is used")
	}
}
