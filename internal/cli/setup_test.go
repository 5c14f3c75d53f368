package cli

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"damocles-manager/internal/testkit"
)

// asProgram makes the test binary the program itself, with the arguments it has.
const asProgram = "DAMOCLES_CLI_AS_PROGRAM"

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) { // see programCommand
	case "yes":
		os.Exit(Main())
	case "no sockets":
		if err := forbidSockets(); err != nil {
			fmt.Println("no sockets:", err)
			os.Exit(100)
		}
		os.Exit(Main())
	}
	// Each command opens databases, with tables in memory of some MiB: by itself, the
	// collector would run at every second one, and take a third of the time.
	debug.SetGCPercent(400)
	os.Exit(testkit.InMemory(m))
}
