// Command damocles-manager carries the sectors of a storage provider between
// lotus-miner and damocles.
package main

import (
	"os"

	"damocles-manager/internal/cli"
)

func main() { os.Exit(cli.Main()) }
