package main

import "github.com/spf13/cobra"

// variable is one of the environment, or several of one meaning.
type variable struct {
	names   string
	meaning string
	of      func(*cobra.Command) bool
}

// environment is all that the program asks the environment for; a test finds what
// the code asks for and is not here.
func environment() []variable {
	flag := func(names ...string) func(*cobra.Command) bool {
		return func(cmd *cobra.Command) bool {
			for _, name := range names {
				if cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil {
					return !cmd.HasSubCommands() || !cmd.HasParent() || cmd.Name() == "import"
				}
			}
			return !cmd.HasParent() // the first page has all
		}
	}
	home := func(cmd *cobra.Command) bool {
		return flag("home")(cmd) && (!cmd.HasParent() || cmd.Parent().Name() != "completion")
	}
	// check looks at damocles, unless a flag names a lotus-miner.
	lotus := func(name string) func(*cobra.Command) bool {
		return func(cmd *cobra.Command) bool { return flag(name)(cmd) && cmd.Name() != "check" }
	}
	always := func(cmd *cobra.Command) bool { // a chain node, and no flag to leave it aside
		return flag("chain")(cmd) && cmd.HasParent() && cmd.Flags().Lookup("without-chain") == nil
	}
	listen := func(cmd *cobra.Command) bool { // that of daemon run is where to serve
		return flag("listen")(cmd) && cmd.Name() != "run"
	}
	return []variable{
		{"DAMOCLES_PATH, VENUS_SECTOR_MANAGER_PATH, VSM_PATH",
			"the damocles-manager home where --home is not given; the first that is set counts. " +
				"The default is ~/.damocles-manager, or ~/.venus-sector-manager where only that is there", home},
		{"DAMOCLES_CONF_DIR, VENUS_SECTOR_MANAGER_CONF_DIR, VSM_CONF_DIR",
			"the directory of sector-manager.cfg, where that is not in the home; the first that is set counts", home},
		{"LOTUS_MINER_PATH, LOTUS_STORAGE_PATH",
			"the lotus-miner repo where neither --repo nor --api is given; the first that is set counts. The default is ~/.lotusminer",
			lotus("repo")},
		{"MINER_API_INFO",
			"the API address of lotus-miner, with its token, as TOKEN:MULTIADDR, where neither --api nor --repo is given",
			lotus("api")},
		{"FULLNODE_API_INFO",
			"the chain node, with its token, as TOKEN:MULTIADDR, where --chain is not given; --without-chain leaves it aside",
			flag("without-chain")},
		{"FULLNODE_API_INFO", "the chain node, with its token, as TOKEN:MULTIADDR, where --chain is not given", always},
		{"HOME", "what ~ stands for at the beginning of a path", home},
		{"DAMOCLES_LISTEN", "the address of the running damocles-manager where --listen is not given; none works on the home directly. Where nobody answers, " +
			"the home of this machine is opened, unless the address is of another machine. The default is :1789",
			listen},
		{"TMPDIR", "where the demo makes its directory; the default is /tmp", func(cmd *cobra.Command) bool {
			return cmd.Name() == "demo" || !cmd.HasParent()
		}},
		{"GOMEMLIMIT", "the memory that the program keeps to, as 512MiB; the default is 160MiB, and 88MiB to export files", home},
	}
}
