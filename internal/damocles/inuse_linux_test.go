package damocles

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/fault"
)

func TestInUse(t *testing.T) {
	home := copyHome(t)
	if use, err := InUse(home, Config{}); use != nil || err != nil {
		t.Fatalf("a free home: got %+v, %v", use, err)
	}
	if use, err := InUse(filepath.Join(home, "none"), Config{}); use != nil || err != nil {
		t.Fatalf("no home: got %+v, %v", use, err)
	}
	daemon := startReady(t, "damocles", home)
	pid := daemon.Process.Pid
	for range 3 { // asking takes nothing away
		use, err := InUse(home, Config{})
		if err != nil || use == nil || *use != (Use{pid, "meta"}) {
			t.Fatalf("got %+v, %v, want pid %d", use, err, pid)
		}
	}
	for _, write := range []bool{false, true} {
		_, err := OpenHome(context.Background(), home, Config{}, Options{Write: write})
		if fault.KindOf(err) != fault.Refused || !strings.Contains(fault.HintOf(err), "--listen") ||
			!strings.Contains(err.Error(), "meta") || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
			t.Errorf("write %v: got %v, hint %s", write, err, fault.HintOf(err))
		}
	}
	kill(daemon)
	if use, err := InUse(home, Config{}); use != nil || err != nil {
		t.Errorf("after it ended: got %+v, %v", use, err)
	}
	if cfg := (Config{Common: CommonConfig{DB: DBConfig{Driver: "mongo"}}}); cfg.Driver() == "mongo" {
		if use, err := InUse(home, cfg); use != nil || err != nil {
			t.Errorf("mongo: got %+v, %v", use, err)
		}
	}
}

// While we write, damocles is kept out, and others see who we are; while we
// read, so is it, but other readers are not.
func TestWeHoldIt(t *testing.T) {
	home := copyHome(t)
	h := openHome(t, home, Options{Write: true})
	use, err := InUse(home, Config{})
	if err != nil || use == nil || *use != (Use{os.Getpid(), "meta"}) {
		t.Errorf("got %+v, %v", use, err)
	}
	if _, line := startChild(t, "damocles", home); line == "ready\n" {
		t.Error("damocles opened the home while we write")
	}
	closeHome(t, h)

	openHome(t, home, Options{})
	openHome(t, home, Options{})
	if use, err := InUse(home, Config{}); use != nil || err != nil {
		t.Errorf("to a reader: got %+v, %v", use, err)
	}
	if _, line := startChild(t, "damocles", home); line == "ready\n" {
		t.Error("damocles opened the home while we read")
	}
	if _, err := OpenHome(context.Background(), home, Config{}, Options{Write: true}); fault.KindOf(err) != fault.Refused {
		t.Errorf("writing beside a reader: got %v", err)
	}
}

func TestUncleanStopBesideReader(t *testing.T) {
	home, _ := killedHome(t)
	lock, err := lockDir(filepath.Join(home, "offline_meta"), unix.LOCK_SH)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	_, err = OpenHome(context.Background(), home, Config{}, Options{})
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
}

func TestHolderByLockFile(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]int{
		"":                               0,
		"x":                              0,
		"-1":                             0,
		fmt.Sprintf("%d\n", os.Getpid()): os.Getpid(),
		strconv.Itoa(1<<22 + 1):          0, // above every pid that Linux gives
	} {
		writeFile(t, filepath.Join(dir, "LOCK"), []byte(text))
		if got := holder(dir); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestParseLock(t *testing.T) {
	got, ok := parseLock("12: FLOCK  ADVISORY  WRITE 4711 fe:0a:1835009 0 EOF\n")
	if want := (procLock{4711, unix.Mkdev(0xfe, 0x0a), 1835009}); !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	for _, line := range []string{
		"", "1: POSIX  ADVISORY  WRITE 4711 fe:0a:1835009 0 EOF", "1: -> FLOCK  ADVISORY  WRITE 4711 fe:0a:1835009 0 EOF",
		"1: FLOCK  ADVISORY  WRITE -1 fe:0a:1835009 0 EOF", "1: FLOCK  ADVISORY  WRITE 4711 fe:0a 0 EOF",
		"1: FLOCK  ADVISORY  WRITE 4711 fe:xx:1 0 EOF",
	} {
		if got, ok := parseLock(line); ok {
			t.Errorf("%q was read as %+v", line, got)
		}
	}
}

func TestHasOpen(t *testing.T) {
	dir := t.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if hasOpen(os.Getpid(), info) {
		t.Error("not opened yet")
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !hasOpen(os.Getpid(), info) {
		t.Error("it is open")
	}
}

func TestListensAt(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("skipped %s: %v", address, err)
			continue
		}
		port := l.Addr().(*net.TCPAddr).Port
		if same, known := ListensAt(os.Getpid(), port); !same || !known {
			t.Errorf("%s: got %v, %v", address, same, known)
		}
		other := startReady(t, "damocles", copyHome(t))
		if same, known := ListensAt(other.Process.Pid, port); same || !known {
			t.Errorf("%s, another process: got %v, %v", address, same, known)
		}
		if same, known := ListensAt(0, port); same || known {
			t.Errorf("%s, no process: got %v, %v", address, same, known)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if same, known := ListensAt(os.Getpid(), port); same || known {
			t.Errorf("%s, nobody listens: got %v, %v", address, same, known)
		}
	}
}

const nobody = 65534

// chown gives a home to nobody and lets others reach it.
func chown(t *testing.T, home string) {
	t.Helper()
	for dir := home; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.Walk(home, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make files of another user")
	}
}

// Whatever root makes in somebody's home belongs to them, even before the home
// is closed, and after a mend.
func TestOwner(t *testing.T) {
	needRoot(t)
	home, log := killedHome(t)
	data := readFile(t, log)
	writeFile(t, log, data[:len(data)-100])
	chown(t, home)
	h := openHome(t, home, Options{Write: true})
	wantOwner(t, home)
	apply(t, h, Change{CollectionCommon, "k", nil, []byte("v")}, Change{CollectionMeta, "k", nil, []byte("v")})
	wantOwner(t, home)
	closeHome(t, h)
	wantOwner(t, home)

	killedAgain, _ := killedHome(t)
	chown(t, killedAgain)
	closeHome(t, openHome(t, killedAgain, Options{})) // replays
	wantOwner(t, killedAgain)
}

func wantOwner(t *testing.T, home string) {
	t.Helper()
	err := filepath.Walk(home, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != nobody {
			t.Errorf("%s belongs to uid %d", path, info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNotOurs(t *testing.T) {
	needRoot(t)
	home := copyHome(t)
	chown(t, home)
	before := files(t, home)
	line := runAs(t, nobody-1, "open", home)
	if !strings.HasPrefix(line, "true ") || !strings.Contains(line, home) {
		t.Errorf("got %s", line)
	}
	if got := files(t, home); len(got) != len(before) {
		t.Errorf("files were made: %v", got)
	}
}

// runAs runs a child as another user and returns its first line.
func runAs(t *testing.T, uid uint32, mode, home string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "damocles-test") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	// The directory that go test builds in is closed to others.
	binary := filepath.Join(dir, "child")
	writeFile(t, binary, readFile(t, os.Args[0]))
	for _, path := range []string{dir, binary} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), childMode+"="+mode, childHome+"="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child %s: %v: %s", mode, err, out)
	}
	return string(out)
}
