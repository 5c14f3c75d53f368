package testkit

import (
	"os"
	"testing"
)

// DiskDir is where temporary files would go by themselves, for what needs a
// disk, or a second file system.
var DiskDir = os.TempDir()

// InMemory runs the tests of a package with their temporary files in memory,
// where there is room, and returns the exit code. The tests make tens of thousands
// of small files and sync them, which on a disk takes a multiple of the time.
// TMPDIR goes before.
func InMemory(m *testing.M) int {
	if os.Getenv("TMPDIR") != "" {
		return m.Run()
	}
	dir := memoryDir()
	if dir == "" {
		return m.Run()
	}
	defer func() { _ = os.RemoveAll(dir) }()
	_ = os.Chmod(dir, 0o755) // children run as another user
	_ = os.Setenv("TMPDIR", dir)
	return m.Run()
}
