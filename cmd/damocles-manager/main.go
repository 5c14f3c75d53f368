// Command damocles-manager carries the sectors of a storage provider between
// lotus-miner and damocles.
package main

import (
	"io"
	"log"
	"os"
	"runtime/debug"

	"damocles-manager/internal/cli"
)

// memoryLimit keeps the heap from growing while there is nothing to gain by it:
// a million sectors pass through in portions.
const memoryLimit = 160 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	log.SetOutput(io.Discard) // net/http's remarks on its peers: the errors say the same
	os.Exit(cli.Main())
}
