package testkit

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// Nowhere is an address of this machine where nothing listens until the test ends,
// but what is told to listen right there. A port that is only let go of soon belongs
// to a stand-in of some other test; this one is bound, which does not keep away a
// listener that names it: both allow that (SO_REUSEADDR).
func Nowhere(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
}
