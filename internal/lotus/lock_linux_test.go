package lotus

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/fault"
)

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(fi.Sys().(*syscall.Stat_t).Uid)
}

// TestRepoChild is not a test: it is what the other process of the tests below
// does. It says "ready" and then waits for its standard input to close.
func TestRepoChild(t *testing.T) {
	mode, dir, ok := strings.Cut(os.Getenv("LOTUS_REPO_CHILD"), ":")
	if !ok {
		t.Skip("skipped: only used by other tests, as their child process")
	}
	switch mode {
	case "record": // as go4.org/lock does, which lotus-miner uses
		f, err := os.OpenFile(filepath.Join(dir, repoLockName), os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		lk := unix.Flock_t{Type: unix.F_WRLCK}
		if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lk); err != nil {
			fmt.Println("refused", err)
			return
		}
	case "flock":
		if _, err := openLevelDB(filepath.Join(dir, metadataName), false, Options{}.FS); err != nil {
			t.Fatal(err)
		}
	case "open":
		openRepo(t, dir, Options{Write: true})
	case "transaction":
		tx, err := openRepo(t, dir, Options{Write: true}).Begin()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if err := tx.Put(fmt.Sprint("/x/", i), make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Put("/storage/nextid", []byte{99}); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
}

// startChild runs TestRepoChild to where it holds what it should.
func startChild(t *testing.T, mode, dir string) (pid int, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRepoChild$", "-test.v")
	cmd.Env = append(os.Environ(), "LOTUS_REPO_CHILD="+mode+":"+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill() // it may have ended on its own
		_ = cmd.Wait()         // a killed process is an error
	}
	t.Cleanup(kill)
	s := bufio.NewScanner(out)
	var said []string
	for s.Scan() {
		if s.Text() == "ready" {
			return cmd.Process.Pid, kill
		}
		said = append(said, s.Text())
	}
	t.Fatalf("the child failed: %v", said)
	return 0, nil
}

func TestRunning(t *testing.T) {
	for _, test := range []struct{ mode, by string }{
		{"record", repoLockName},
		{"flock", metaLockName},
		{"open", repoLockName},
	} {
		dir := copyRepo(t)
		if got, err := Running(dir); got != nil || err != nil {
			t.Errorf("free: got %v, %v", got, err)
		}
		pid, kill := startChild(t, test.mode, dir)
		before := snapshot(t, dir)
		for range 3 { // a probe takes nothing away
			got, err := Running(dir)
			if want := (&InUse{PID: pid, By: test.by}); !reflect.DeepEqual(got, want) || err != nil {
				t.Errorf("%s: got %v, %v, want %v", test.mode, got, err, want)
			}
		}
		_, err := OpenRepo(t.Context(), dir, Options{Write: true})
		want := fmt.Sprintf("repo %s is in use by process %d (it holds %s)", dir, pid, test.by)
		if fault.KindOf(err) != fault.Refused || err.Error() != want || fault.HintOf(err) != "stop lotus-miner first" {
			t.Errorf("%s: open for writing: got %v, want %s", test.mode, err, want)
		}
		r, err := OpenRepo(t.Context(), dir, Options{})
		if test.mode == "record" { // its database is not open: looking is allowed
			if err != nil {
				t.Errorf("open for reading: %v", err)
			} else {
				noError(t, r.Close())
			}
		} else if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), fmt.Sprint("process ", pid)) {
			t.Errorf("%s: open for reading: got %v", test.mode, err)
		}
		if !reflect.DeepEqual(before, snapshot(t, dir)) {
			t.Errorf("%s: the repo was changed", test.mode)
		}
		kill()
		if got, err := Running(dir); got != nil || err != nil {
			t.Errorf("%s, killed: got %v, %v", test.mode, got, err)
		}
		// repo.lock is still there, and means nothing.
		noError(t, openRepo(t, dir, Options{Write: true}).Close())
	}
}

// The lock that a Repo holds must outlive a probe of the same process, and stop
// a lotus-miner that starts.
func TestOpenForWritingLocksOut(t *testing.T) {
	dir := copyRepo(t)
	w := openRepo(t, dir, Options{Write: true})
	got, err := Running(dir)
	if want := (&InUse{PID: os.Getpid(), By: repoLockName}); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("probed from within: got %v, %v, want %v", got, err, want)
	}
	for _, write := range []bool{false, true} {
		if _, err := OpenRepo(t.Context(), dir, Options{Write: write}); fault.KindOf(err) != fault.Refused {
			t.Errorf("second open, write %t: got %v", write, err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRepoChild$")
	cmd.Env = append(os.Environ(), "LOTUS_REPO_CHILD=record:"+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "refused resource temporarily unavailable") {
		t.Errorf("lotus-miner's lock: got %s, %v", out, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := Running(dir); got != nil || err != nil {
		t.Errorf("closed: got %v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, repoLockName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("repo.lock: got %v", err)
	}
	// A reader locks out who writes, not who reads.
	r := openRepo(t, dir, Options{})
	_, err = OpenRepo(t.Context(), dir, Options{Write: true})
	if want := fmt.Sprintf("process %d (it holds %s)", os.Getpid(), metaLockName); fault.KindOf(err) != fault.Refused ||
		!strings.Contains(err.Error(), want) {
		t.Errorf("beside a reader: got %v, want %s", err, want)
	}
	noError(t, r.Close())
}

func TestNonEmptyRepoLock(t *testing.T) {
	dir := copyRepo(t)
	path := filepath.Join(dir, repoLockName)
	noError(t, os.WriteFile(path, []byte("x"), 0o644))
	_, err := OpenRepo(t.Context(), dir, Options{Write: true})
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "repo.lock is not empty") {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "x" {
		t.Errorf("repo.lock: got %q", got)
	}
	openRepo(t, dir, Options{})
}

func TestFlockLine(t *testing.T) {
	st := &unix.Stat_t{Dev: unix.Mkdev(0xfd, 0x1a), Ino: 1234}
	for _, test := range []struct {
		line   string
		shared bool
		pid    int
	}{
		{"1: FLOCK  ADVISORY  WRITE 77 fd:1a:1234 0 EOF", false, 77},
		{"1: FLOCK  ADVISORY  READ 77 fd:1a:1234 0 EOF", false, 0},
		{"1: FLOCK  ADVISORY  READ 77 fd:1a:1234 0 EOF", true, 77},
		{"1: -> FLOCK  ADVISORY  WRITE 77 fd:1a:1234 0 EOF", true, 0},
		{"1: POSIX  ADVISORY  WRITE 77 fd:1a:1234 0 EOF", false, 0},
		{"1: FLOCK  ADVISORY  WRITE -1 fd:1a:1234 0 EOF", false, 0},
		{"1: FLOCK  ADVISORY  WRITE 77 fd:1a:1235 0 EOF", false, 0},
		{"1: FLOCK  ADVISORY  WRITE 77 fd:1b:1234 0 EOF", false, 0},
		{"garbage", false, 0},
	} {
		pid, ok := flockLine(test.line, st, test.shared)
		if ok != (test.pid != 0) || (ok && pid != test.pid) {
			t.Errorf("%s: got %d, %t, want %d", test.line, pid, ok, test.pid)
		}
	}
}
