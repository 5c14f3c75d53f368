package damocles

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/testkit"
)

const (
	childMode = "DAMOCLES_TEST_CHILD"
	childHome = "DAMOCLES_TEST_HOME"
)

// TestMain lets the test binary be the other process of a test.
func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(child(mode, os.Getenv(childHome)))
	}
	os.Exit(testkit.InMemory(m))
}

// child says one line and waits to be killed, or ends.
func child(mode, home string) int {
	switch mode {
	case "damocles": // holds a home as damocles does
		if _, err := badger.Open(badger.DefaultOptions(filepath.Join(home, "meta")).WithLogger(nil)); err != nil {
			fmt.Println(err)
			return 1
		}
	case "writer": // two transactions into offline_meta, one after the other
		h, err := OpenHome(context.Background(), home, Config{}, Options{Write: true, Create: true})
		for i := range 2 {
			if err == nil {
				err = h.Apply(context.Background(), newStates(7000+10*i, 3))
			}
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	case "open":
		_, err := OpenHome(context.Background(), home, Config{}, Options{Write: true})
		fmt.Println(fault.KindOf(err) == fault.Refused, err)
		return 0
	}
	fmt.Println("ready")
	select {}
}

// newStates makes n changes that add sectors of a size that goes to the value log.
func newStates(first, n int) []Change {
	var changes []Change
	for i := first; i < first+n; i++ {
		changes = append(changes, Change{
			Store: CollectionOffline,
			Key:   StateKey(Offline, 1000, abi.SectorNumber(i)),
			After: fmt.Appendf(nil, "%02000d", i),
		})
	}
	return changes
}

// startChild runs the child until its first line, which it returns. The child
// is killed when the test ends, if it is still there.
func startChild(t *testing.T, mode, home string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"="+mode, childHome+"="+home)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("child %s: %v", mode, err)
	}
	return cmd, line
}

func startReady(t *testing.T, mode, home string) *exec.Cmd {
	t.Helper()
	cmd, line := startChild(t, mode, home)
	if line != "ready\n" {
		t.Fatalf("child %s: %s", mode, line)
	}
	return cmd
}

// kill ends the child with SIGKILL, so that it closes nothing.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
