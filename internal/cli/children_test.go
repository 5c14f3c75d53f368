package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v2"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"golang.org/x/sys/unix"
)

const (
	childTask = "DAMOCLES_CLI_CHILD"
	// nobody is the user that root's commands work for.
	nobody = 65534
)

// TestChild is not a test: it is what the other processes of the tests do. One
// that holds something says "ready", and then waits for its end.
func TestChild(t *testing.T) {
	var task []string
	if json.Unmarshal([]byte(os.Getenv(childTask)), &task) != nil || len(task) == 0 {
		t.Skip("skipped: only used by other tests, as their child process")
	}
	if err := child(task[0], task[1:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func child(what string, args []string) error {
	var held io.Closer
	var err error
	switch what {
	case "repo.lock":
		held, err = holdRepoLock(args[0])
	case "leveldb":
		held, err = openRepoAsLotus(args[0])
	case "badger":
		held, err = openHomeAsDamocles(args[0], "meta")
	case "open": // both, once, as their own programs do, with a write
		return errJoin(writeAsLotus(args[0]), writeAsDamocles(args[1]))
	case "run":
		env := Env{Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Listen: args[0]}
		os.Exit(Run(context.Background(), env, args[1:]))
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return held.Close()
}

// holdRepoLock locks a repo as go4.org/lock does, which lotus-miner uses.
func holdRepoLock(repo string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(repo, "repo.lock"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	return f, unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
}

func openRepoAsLotus(repo string) (*leveldb.DB, error) {
	return leveldb.OpenFile(filepath.Join(repo, "datastore", "metadata"), &opt.Options{Compression: opt.NoCompression, Strict: opt.StrictAll})
}

func openHomeAsDamocles(home, collection string) (*badger.DB, error) {
	return badger.Open(badger.DefaultOptions(filepath.Join(home, collection)).WithLogger(nil))
}

func writeAsLotus(repo string) error {
	db, err := openRepoAsLotus(repo)
	if err != nil {
		return err
	}
	return errJoin(db.Put([]byte("/x"), bytes.Repeat([]byte("x"), 5<<20), nil), db.Delete([]byte("/x"), nil), db.Close())
}

func writeAsDamocles(home string) error {
	for _, collection := range []string{"meta", "offline_meta"} {
		db, err := openHomeAsDamocles(home, collection)
		if err != nil {
			return err
		}
		err = db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("x"), make([]byte, 5000)) })
		if err := errJoin(err, db.Close()); err != nil {
			return err
		}
	}
	return nil
}

func errJoin(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// childCommand is this test binary as another process, of another user unless
// uid is 0.
func childCommand(t *testing.T, uid int, task ...string) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testBinary(t, uid), "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childTask+"="+string(raw))
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		cmd.Dir = "/"
	}
	return cmd
}

// testBinary is this program, copied to where another user may run it.
func testBinary(t *testing.T, uid int) string {
	t.Helper()
	if uid == 0 {
		return os.Args[0]
	}
	path := filepath.Join(openDir(t), "cli.test")
	if os.Link(os.Args[0], path) == nil {
		return path
	}
	raw, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// openDir is a temporary directory that every user may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// holds starts a process that holds something until the test ends.
func holds(t *testing.T, task ...string) (pid int) {
	t.Helper()
	cmd := childCommand(t, 0, task...)
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
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // a killed process is an error
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("child %v: %q, %v", task, line, err)
	}
	return cmd.Process.Pid
}

// runAs runs a command line as another user.
func (w *world) runAs(uid int, args ...string) *result {
	w.t.Helper()
	cmd := childCommand(w.t, uid, append([]string{"run", w.addr}, args...)...)
	cmd.Env = append(cmd.Env, "HOME="+w.dir)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return &result{w.t, strings.Join(args, " "), cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
}
