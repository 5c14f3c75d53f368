package cli

import (
	"cmp"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/ui"
)

// app is what the commands share: the global flags and what comes of them.
type app struct {
	env Env
	ui  *ui.UI
	log *slog.Logger
	fs  durable.FS

	home    string
	listen  string
	json    bool
	quiet   bool
	verbose bool

	listenGiven bool
	// daemonStopped is the user's word, for a home in MongoDB.
	daemonStopped bool
}

const rootLong = `damocles-manager carries the sectors of a storage provider between lotus-miner
and damocles: their metadata and their numbers, in both directions, with a dry
run, a backup before every write, and an undo.

It works beside the original damocles-manager and lotus-miner: on their
databases where they are stopped, through their RPC where they run. It does not
seal and does not prove.

`

func newRootCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "damocles-manager",
		Short: "Carry sectors between lotus-miner and damocles, safely",
		Long:  rootLong + exitCodesHelp(),
		Example: `  damocles-manager demo
  damocles-manager util sealer sectors import --repo ~/.lotusminer --dry-run
  damocles-manager util sealer sectors list --offline=true
  damocles-manager util sealer sectors export --miner f01000 metadata --dest-repo /root/.lotusminer`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	f := cmd.PersistentFlags()
	f.StringVar(&a.home, "home", "", "the damocles-manager home (env DAMOCLES_PATH; default ~/.damocles-manager)")
	f.BoolVar(&a.json, "json", false, "print JSON lines instead of text")
	f.BoolVar(&a.quiet, "quiet", false, "print no progress and no remarks, only results and errors")
	f.BoolVar(&a.verbose, "verbose", false, "print a line for every sector, and the log")
	cmd.SetFlagErrorFunc(flagError)
	cmd.AddCommand(newDaemonCommand(a), newUtilCommand(a), newDemoCommand(a))
	onlyCommands(cmd)
	addVersion(a, cmd)
	completing(cmd)
	return cmd
}

// prepare turns the global flags into what the commands use.
func (a *app) prepare(cmd *cobra.Command) error {
	a.ui = ui.New(a.env.Stdout, a.env.Stderr, ui.Options{
		JSON: a.json, Quiet: a.quiet, Verbose: a.verbose, Terminal: a.env.Terminal,
	})
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	a.log = slog.New(slog.NewTextHandler(a.ui.Stderr(), &slog.HandlerOptions{Level: level}))
	if flag := cmd.Flag("listen"); flag != nil {
		a.listenGiven = flag.Changed
	}
	return checkFlags(cmd)
}

const (
	defaultListen = ":1789"
	listenVar     = "DAMOCLES_LISTEN"
)

func newUtilCommand(a *app) *cobra.Command {
	util := &cobra.Command{Use: "util", Short: "Commands that look at sectors and change them"}
	util.PersistentFlags().StringVar(&a.listen, "listen", cmp.Or(a.env.Listen, a.env.Getenv(listenVar), defaultListen),
		"the address of the running damocles-manager, or none to work on the home directly (env DAMOCLES_LISTEN)")
	util.PersistentFlags().Lookup("listen").DefValue = defaultListen // the help prints it, and that of the environment may hold a token
	util.PersistentFlags().BoolVar(&a.daemonStopped, "daemon-stopped", false,
		"damocles-manager is stopped on every machine that uses this MongoDB (only for homes with Driver = \"mongo\")")
	sealer := &cobra.Command{Use: "sealer", Short: "Commands for sealing"}
	sectors := &cobra.Command{Use: "sectors", Short: "Commands for sectors"}
	sectors.AddCommand(
		newImportCommand(a), newListCommand(a), newStateCommand(a), newFinalizeCommand(a), newExportCommand(a),
		newCheckCommand(a),
	)
	sealer.AddCommand(sectors)
	util.AddCommand(sealer, newStorageCommand(a))
	return util
}

// onlyCommands makes a command that only holds others say so when it is given
// something that is none of them.
func onlyCommands(cmd *cobra.Command) {
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return noCommand(cmd, args[0])
		}
		// A flag of the command that was meant is unknown here, and not what is wrong.
		holder := cmd
		cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
			if words := cmd.Flags().Args(); cmd == holder && len(words) > 0 {
				return noCommand(cmd, words[0])
			}
			return flagError(cmd, err)
		})
	}
	for _, sub := range cmd.Commands() {
		onlyCommands(sub)
	}
}

func noCommand(cmd *cobra.Command, word string) error {
	return fault.BadUsage("`"+cmd.CommandPath()+" --help` lists the commands", "%q is no command of %s", word, cmd.CommandPath())
}

// closing closes something at the end of a run and keeps the error.
func closing(err *error, c interface{ Close() error }) { *err = errors.Join(*err, c.Close()) }
