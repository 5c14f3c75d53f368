package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

type daemonInitOptions struct {
	dryRun bool
}

func newDaemonInitCommand(a *app) *cobra.Command {
	var o daemonInitOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a damocles home with a configuration to fill in",
		Long: `Make a damocles home, and in it sector-manager.cfg with every key that there is:
all of them are comments that show the default or an example. Beside it, the
original damocles-manager keeps ext-prover.cfg, which is made, too, so that it can
be started on this home.

What is there already is never written over.`,
		Example: `  damocles-manager daemon init
  damocles-manager --home /data/damocles daemon init
  damocles-manager daemon init --dry-run`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runDaemonInit(a, o) },
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "print the configuration, and make nothing")
	return cmd
}

// initLine is the line of --json output.
type initLine struct {
	Type   string   `json:"type"`
	Home   string   `json:"home"`
	Config string   `json:"config"`
	DryRun bool     `json:"dryRun,omitempty"`
	Made   []string `json:"made"`
}

func runDaemonInit(a *app, o daemonInitOptions) error {
	loc, err := damocles.FindHome(a.home, a.env.Getenv)
	if err != nil {
		return err
	}
	path, err := damocles.ConfigPath(loc.Dir, a.env.Getenv)
	if err != nil {
		return err
	}
	for _, dir := range []string{loc.Dir, filepath.Dir(path)} {
		if err := durable.CheckOwner(dir); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(path); err == nil {
		return a.initDone(loc, path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.New("correct the path, or run as a user who may read it", "look for %s: %w", path, err)
	}
	line := initLine{Type: "init", Home: loc.Dir, Config: path, DryRun: o.dryRun, Made: []string{}}
	if o.dryRun {
		a.ui.Printf("%s", damocles.InitConfig())
		return a.showInit(line)
	}
	if line.Made, err = a.initHome(loc, path); err != nil {
		return err
	}
	a.ui.Printf("next: enter your stores and miners into %s, then run\n  %s\n", path, a.daemonRun(loc))
	return a.showInit(line)
}

// showInit is the output of --json.
func (a *app) showInit(line initLine) error {
	return errors.Join(a.ui.Object(line), a.ui.Object(struct {
		Type  string `json:"type"`
		Count int    `json:"count"`
	}{"summary", len(line.Made)}))
}

// initDone says that there is a configuration already.
func (a *app) initDone(loc damocles.Location, path string) error {
	return fault.New("run `"+a.daemonRun(loc)+"`; for a new configuration, move that file away first",
		"%s is there already, and stays as it is", path)
}

// daemonRun is the command that serves the home, to be pasted into a shell.
func (a *app) daemonRun(loc damocles.Location) string {
	if loc.By == "--home" {
		return "damocles-manager --home " + shellWord(loc.Dir) + " daemon run"
	}
	return "damocles-manager daemon run"
}

// initHome makes the directories and the files, the configuration last: where it
// is, all is.
func (a *app) initHome(loc damocles.Location, path string) ([]string, error) {
	var made []string
	for _, dir := range []string{loc.Dir, filepath.Dir(path)} {
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := a.fs.MkdirAll(dir, 0o700); err != nil {
			return nil, fault.New("name a home in a directory that you may write to, with --home or DAMOCLES_PATH", "make the directory: %w", err)
		}
		a.ui.Printf("made %s, open to its owner alone (mode 0700)\n", dir)
		made = append(made, dir)
	}
	prover := filepath.Join(filepath.Dir(path), damocles.ProverName)
	switch err := a.initFile(prover, damocles.InitProver()); {
	case err == nil:
		made = append(made, prover)
	case !errors.Is(err, fs.ErrExist):
		return nil, err
	}
	err := a.initFile(path, damocles.InitConfig())
	if errors.Is(err, fs.ErrExist) { // since it was looked for
		err = a.initDone(loc, path)
	}
	return append(made, path), err
}

// initFile writes a new file. An error that it is there wraps fs.ErrExist.
func (a *app) initFile(path string, text []byte) error {
	f, err := a.fs.Create(path)
	if errors.Is(err, fs.ErrPermission) {
		return fault.New("make the directory writable, or name another home with --home", "%w", err)
	}
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return err
	}
	a.ui.Printf("wrote %s\n", path)
	return nil
}
