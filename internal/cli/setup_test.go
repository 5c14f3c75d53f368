package cli

import (
	"fmt"
	"os"
	"testing"
)

// asProgram makes the test binary the program itself, with the arguments it has.
const asProgram = "DAMOCLES_CLI_AS_PROGRAM"

// diskDir is where temporary files would go by themselves.
var diskDir = os.TempDir()

// The tests make tens of thousands of small files, which in memory takes a third
// of the time. What needs a disk, or a second file system, asks for diskDir.
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
	if os.Getenv("TMPDIR") == "" {
		if dir, err := os.MkdirTemp("/dev/shm", "damocles-manager-cli"); err == nil {
			_ = os.Chmod(dir, 0o755) // children run as another user
			_ = os.Setenv("TMPDIR", dir)
			code := m.Run()
			_ = os.RemoveAll(dir)
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}
