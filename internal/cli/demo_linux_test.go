package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidSockets has the kernel kill this process when it opens a socket of the
// network. Those of this machine's own services (AF_UNIX) are let through.
func forbidSockets() error {
	const (
		number = 0  // of seccomp_data: the system call
		family = 16 // its first argument
		kill   = 0x80000000
	)
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jt: 0, Jf: 2},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: family},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AF_UNIX, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000}, // allow
		{Code: unix.BPF_RET | unix.BPF_K, K: kill},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// for all threads at once, which the no_new_privs of this one goes along with
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return errno
	}
	return nil
}

// A demo opens no socket: it would be killed. That this is so shows a command which
// looks for a damocles-manager.
func TestDemoOpensNoSocket(t *testing.T) {
	w := newWorld(t)
	w.home("home")
	cmd := w.programCommand("no sockets", "--home", w.path("home"), "util", "--listen", "127.0.0.1:1", "sealer", "sectors", "list")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "no sockets:") {
		t.Skipf("skipped: this machine has no seccomp: %s", out)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGSYS {
		t.Fatalf("a command that opens a socket was not killed: %v\n%s", err, out)
	}
	tmp := w.path("tmp")
	w.must(os.Mkdir(tmp, 0o755))
	cmd = w.programCommand("no sockets", "demo", "--quiet")
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	if out, err = cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("demo: ok")) {
		t.Errorf("%v\n%s", err, out)
	}
	if left, _ := filepath.Glob(tmp + "/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
