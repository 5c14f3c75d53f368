package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"damocles-manager/internal/demo"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

type demoOptions struct {
	keep bool
}

func newDemoCommand(a *app) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a whole switch to damocles and back, on sectors made here",
		Long: `Make a lotus-miner with real sectors of 2 KiB, switch it to damocles and back with
the commands of this program, check all sectors at every step, and compare the bytes
before and after. It takes some seconds.

Everything is in a new directory below TMPDIR, which is removed at the end. No
network is used, and no lotus-miner, damocles or home of this machine is looked at.`,
		Example: `  damocles-manager demo

  # leave the directory, and print commands to try in it
  damocles-manager demo --keep`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), a, o) },
	}
	cmd.Flags().BoolVar(&o.keep, "keep", false, "leave the directory, and print commands to try in it")
	return cmd
}

const demoRoomHint = "set TMPDIR to a directory that you may write to, with 100 MiB free"

func runDemo(ctx context.Context, a *app, o demoOptions) (err error) {
	// A terminal that is closed, or a pipe that nobody reads any more, would end this
	// process at once and leave the directory behind.
	story, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	parent, err := filepath.EvalSymlinks(cmp.Or(a.env.Getenv("TMPDIR"), os.TempDir()))
	if err != nil {
		return anewError{fault.New(demoRoomHint, "make the demo's directory: %w", err)}
	}
	dir, err := a.fs.TempDir(parent, "damocles-manager-demo-")
	if err != nil {
		return anewError{fault.New(demoRoomHint, "make the demo's directory: %w", err)}
	}
	defer func() { err = errors.Join(err, a.leaveDemo(dir, o.keep, err != nil)) }()

	show := &demoShown{app: a, dir: dir.Path()}
	show.begin(o.keep)
	report, err := demo.Run(story, demo.Options{
		Dir: dir.Path(), Run: a.demoRunner(dir.Path()), Show: show.step, FS: a.fs,
	})
	if err != nil {
		return anewError{demoFailed(ctx, err, dir.Path(), o.keep)}
	}
	return show.end(report, o.keep)
}

// anewError is the error of a run that the next one does not go on with.
type anewError struct{ error }

func (e anewError) Unwrap() error { return e.error }

// demoFailed gives an error the next step, which is not that of the command in the
// demo that has failed: the user has not typed it, and nothing of his is wrong.
func demoFailed(ctx context.Context, err error, dir string, keep bool) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, context.Canceled):
		return fault.New("", "the demo was stopped: nobody reads its output any more")
	case noRoom(err) || strings.Contains(err.Error(), "no room in "+dir):
		return fault.New(demoRoomHint, "the disk of %s is too full for the demo: %s", dir, err.Error())
	case keep:
		return fault.New("see what is in "+dir, "the demo has failed: %s", err.Error())
	default:
		return fault.New("`damocles-manager demo --keep` leaves its directory, so that you can look there", "the demo has failed: %s", err.Error())
	}
}

// leaveDemo removes the demo's directory, or says where it is.
func (a *app) leaveDemo(dir *durable.TempDir, keep, failed bool) error {
	if keep {
		if failed {
			a.ui.Notice("the demo's directory is left as it is now: " + dir.Path())
		}
		return nil
	}
	if err := dir.Remove(); err != nil {
		if failed {
			a.ui.Notice("the demo's directory is left behind, and could not be removed: " + dir.Path())
		}
		return fault.New("remove it by hand: nothing in it is of use", "the demo's directory is left behind: %w", err)
	}
	return nil
}

// demoRunner runs command lines as if they were typed, in an environment that knows
// nothing but the demo's directory, and where no daemon is looked for.
func (a *app) demoRunner(dir string) demo.Runner {
	environ := map[string]string{
		"HOME": dir, "TMPDIR": dir, "DAMOCLES_PATH": demo.Home(dir), "DAMOCLES_LISTEN": listenNone,
	}
	return func(ctx context.Context, args []string) demo.Outcome {
		var out, stderr bytes.Buffer
		env := Env{
			Stdout: &out, Stderr: &stderr, Patience: a.env.Patience,
			Getenv: func(name string) string { return environ[name] },
		}
		code := Run(ctx, env, args)
		return demo.Outcome{Code: code, Stdout: out.String(), Stderr: stderr.String()}
	}
}
