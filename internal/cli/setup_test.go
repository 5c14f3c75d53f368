package cli

import (
	"os"
	"testing"
)

// diskDir is where temporary files would go by themselves.
var diskDir = os.TempDir()

// The tests make tens of thousands of small files, which in memory takes a third
// of the time. What needs a disk, or a second file system, asks for diskDir.
func TestMain(m *testing.M) {
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
