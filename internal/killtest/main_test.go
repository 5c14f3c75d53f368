package killtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"damocles-manager/internal/cli"
	"damocles-manager/internal/testkit"
)

// childListen makes this test binary be the command line itself. Its value is
// the default of --listen, so that no daemon of this machine is met by chance.
const childListen = "DM_KILLTEST_LISTEN"

func TestMain(m *testing.M) {
	if listen := os.Getenv(childListen); listen != "" {
		os.Exit(child(listen))
	}
	code := testkit.InMemory(m)
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// child does what cli.Main does.
func child(listen string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := cli.Env{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Listen: listen}
	return cli.Run(ctx, env, os.Args[1:])
}

// patience is how long any command may take.
const patience = 90 * time.Second

// signalled stands for the exit code of a process that a signal ended.
const signalled = -1

// command is a run of the command line in a process of its own.
type command struct {
	t           testing.TB
	cmd         *exec.Cmd
	args        []string
	out, stderr bytes.Buffer
	started     time.Time

	code int
	took time.Duration
}

// start begins a command line. env has further variables.
func start(t testing.TB, env []string, args ...string) *command {
	t.Helper()
	c := &command{t: t, args: args, cmd: exec.Command(os.Args[0], args...)}
	c.cmd.Env = append([]string{
		childListen + "=" + closedAddr(t), "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(),
		"GORACE=halt_on_error=1 atexit_sleep_ms=0", // or each child would sleep for a second
	}, env...)
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.stderr
	c.started = time.Now()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// wait waits for the end of the command, however it ends.
func (c *command) wait() *command {
	c.t.Helper()
	// What hangs shows where.
	hung := time.AfterFunc(patience, func() { _ = c.cmd.Process.Signal(syscall.SIGQUIT) })
	err := c.cmd.Wait()
	if !hung.Stop() {
		c.t.Fatalf("it has not ended after %v\n%s", patience, c.report())
	}
	c.took = time.Since(c.started)
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok && !errors.Is(err, io.EOF) {
		c.t.Fatal(err)
	}
	c.code = c.cmd.ProcessState.ExitCode()
	return c
}

// after sends a signal when the command has run for so long; it may have ended
// by then.
func (c *command) after(d time.Duration, sig os.Signal) *command {
	c.t.Helper()
	timer := time.AfterFunc(time.Until(c.started.Add(d)), func() { _ = c.cmd.Process.Signal(sig) })
	defer timer.Stop()
	return c.wait()
}

func (c *command) killed() bool { return c.code == signalled }

// exits checks the exit code, and that nothing looks like a crash of our own.
func (c *command) exits(code int) *command {
	c.t.Helper()
	if c.code != code {
		c.t.Fatalf("exit code %d, want %d\n%s", c.code, code, c.report())
	}
	if strings.Contains(c.stderr.String(), "goroutine ") {
		c.t.Fatalf("a stack trace:\n%s", c.report())
	}
	return c
}

// says checks that stdout or stderr has each of the texts.
func (c *command) says(texts ...string) *command {
	c.t.Helper()
	for _, text := range texts {
		if !strings.Contains(c.out.String(), text) && !strings.Contains(c.stderr.String(), text) {
			c.t.Fatalf("it does not say %q\n%s", text, c.report())
		}
	}
	return c
}

func (c *command) report() string {
	const most = 4000
	return strings.Join(c.args, " ") + "\nstdout:\n" + tail(c.out.String(), most) + "\nstderr:\n" + tail(c.stderr.String(), most)
}

func tail(s string, most int) string {
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// closedAddr is an address of this machine where nothing listens.
func closedAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// must ends the test at an error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
