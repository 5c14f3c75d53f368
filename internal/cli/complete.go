package cli

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands is the command line with nothing behind it, for those who describe
// it: the manual pages and the completions.
func Commands() *cobra.Command {
	root := newRootCommand(&app{env: Env{Getenv: func(string) string { return "" }}})
	root.InitDefaultCompletionCmd()
	return root
}

// strictCompletion makes the commands that cobra adds for completion refuse what
// they do not know as all others do: as wrong usage, with a next step.
func strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd := builtIn(root, "completion")
	onlyCommands(cmd)
	for _, shell := range cmd.Commands() {
		shell.Args = noArgs
	}
}

// strictHelp makes cobra's help refuse what is no command as it is refused without
// help, and not answer with the help of the whole program.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	builtIn(root, "help").Args = func(_ *cobra.Command, args []string) error {
		found, rest, err := root.Find(args)
		if err == nil && len(rest) > 0 && found.HasSubCommands() {
			err = noCommand(found, rest[0])
		}
		return err
	}
}

// builtIn is a command that cobra has just added.
func builtIn(root *cobra.Command, name string) *cobra.Command {
	cmds := root.Commands()
	return cmds[slices.IndexFunc(cmds, func(c *cobra.Command) bool { return c.Name() == name })]
}

// What the shell is told. Nothing else is ever offered: to look up miners or
// numbers, a database that a program may have open would have to be opened at a
// press of the Tab key.
func offerNothing() cobra.CompletionFunc {
	return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveNoFileComp)
}

func offerDirectories() cobra.CompletionFunc {
	return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
}

func offerFiles() cobra.CompletionFunc {
	return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
}

// completing says what the shell may offer for the value of each flag and for
// arguments, in every command below.
func completing(cmd *cobra.Command) {
	complete := func(f *pflag.Flag) {
		if fn := valuesOf(f); fn != nil {
			// fails for a flag that has one already, which is then the better one
			_ = cmd.RegisterFlagCompletionFunc(f.Name, fn)
		}
	}
	cmd.LocalFlags().VisitAll(complete)
	cmd.PersistentFlags().VisitAll(complete)
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 && !cmd.HasSubCommands() {
		cmd.ValidArgsFunction = offerNothing()
	}
	for _, sub := range cmd.Commands() {
		completing(sub)
	}
}

// valuesOf is nil where the shell does as it likes.
func valuesOf(f *pflag.Flag) cobra.CompletionFunc {
	switch f.Name {
	case "home", "repo", "dest-repo", "dest-path", "store", "origins":
		return offerDirectories()
	case "token-file", "plan-out", "resume", "backup":
		return offerFiles()
	case "verify":
		return cobra.FixedCompletions([]cobra.Completion{"hash", "size"}, cobra.ShellCompDirectiveNoFileComp)
	case "miner", "numbers", "api", "token", "chain", "listen", "name", "pattern", "bwlimit":
		return offerNothing()
	}
	if kind := f.Value.Type(); kind == "bool" || kind == "string" || kind == "stringArray" {
		return nil
	}
	return offerNothing()
}
