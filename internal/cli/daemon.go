package cli

import "github.com/spf13/cobra"

func newDaemonCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "daemon", Short: "Commands that make a damocles home and serve it"}
	cmd.AddCommand(newDaemonInitCommand(a), newDaemonRunCommand(a))
	return cmd
}
