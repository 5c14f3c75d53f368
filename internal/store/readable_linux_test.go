package store_test

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/sector"
)

// One who is not root finds what he may not even look at.
func TestUnreadableToOurselves(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test works as another user")
	}
	s := copied(t, "lotus-1")
	open(t, s)
	must(t, os.Chmod(s.Path(sector.Cache, sector2), 0o700))
	must(t, os.Chmod(s.TypeDir(sector.Update), 0o711))
	must(t, os.Chmod(s.TypeDir(sector.Sealed), 0o744))
	must(t, os.Remove(s.Path(sector.Sealed, sector.ID{Miner: 1000, Number: 30})))

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, unix.Setfsuid(int(other.UID)))
	must(t, unix.Setfsgid(int(other.GID)))
	got := unreadable(t, s, other)
	must(t, unix.Setfsuid(0))
	must(t, unix.Setfsgid(0))

	want := map[string]string{
		"cache/s-t01000-2": "other may not read or enter it",
		"update":           "other may not read it",
		"sealed":           "other may not enter it",
	}
	for path, why := range want {
		if got[path] != why {
			t.Errorf("%s: %q, want %q", path, got[path], why)
		}
	}
	if n := len(got) - len(want); n != 12 || got["sealed/s-t01000-2"] != "this user may not look at it" {
		t.Errorf("%d other paths, want the 12 replicas in sealed: %v", n, got)
	}
}
