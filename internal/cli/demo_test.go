package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/syndtr/goleveldb/leveldb"

	"damocles-manager/internal/demo"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/ui"
)

// demoWorld has a TMPDIR of its own, which is empty.
func demoWorld(t *testing.T) (w *world, tmp string) {
	t.Helper()
	w = newWorld(t)
	// no link in the path, so that what is printed is what is expected
	tmp, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.env["TMPDIR"] = tmp
	return w, tmp
}

func (w *world) leftIn(tmp string) []string {
	w.t.Helper()
	left, err := filepath.Glob(filepath.Join(tmp, "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	return left
}

func (w *world) nothingLeft(tmp string) {
	w.t.Helper()
	if left := w.leftIn(tmp); len(left) > 0 {
		w.t.Errorf("left behind: %v", left)
	}
}

// countingListener answers nobody, and counts who comes.
func countingListener(t *testing.T) (addr string, came *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came = &atomic.Int64{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String(), came
}

// A demo runs to its end, says what it has done, and leaves nothing. Whatever the
// environment names (a damocles-manager, a chain node, homes and repos) is not
// looked at.
func TestDemo(t *testing.T) {
	t.Parallel()
	w, tmp := demoWorld(t)
	addr, came := countingListener(t)
	w.addr = addr
	home, repo := w.home("home"), w.repo("lotus")
	before := treeOf(t, w.dir)
	for name, value := range map[string]string{
		"DAMOCLES_PATH": home, "DAMOCLES_MANAGER_PATH": home, "LOTUS_MINER_PATH": repo, "DAMOCLES_LISTEN": addr,
		"FULLNODE_API_INFO": "/ip4/127.0.0.1/tcp/" + addr[strings.LastIndexByte(addr, ':')+1:],
		"MINER_API_INFO":    "token:/ip4/127.0.0.1/tcp/" + addr[strings.LastIndexByte(addr, ':')+1:],
	} {
		w.env[name] = value
	}
	start := time.Now()
	r := w.run("demo").exits(0).says(
		"$ damocles-manager util sealer sectors import --repo $DEMO/lotusminer --with-stores --write-config",
		"  check (full): 24 sectors: 24 provable, 0 undecided, 0 not provable",
		"  check (full): 26 sectors: 26 provable, 0 undecided, 0 not provable",
		"6\nwith a deal of the built-in market, 4 with direct data onboarding", "24 written (6 upgraded)", "2 sectors moved", "2 written, 24 unchanged", "26 written",
		"= 24 of 24 sector records in $DEMO/lotusminer-new are byte for byte what they were",
		"= 128 of 128 sector files have the SHA-256 that they were sealed with",
		"update next sector number: 25", "\ndemo: ok (26 sectors, 17 commands, ",
	).never("error", "hint", "conflict:", "lacks")
	if took := time.Since(start); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
	if r.stderr != "" {
		t.Errorf("stderr: %s", r.stderr)
	}
	for line := range strings.Lines(r.out) {
		if !strings.HasPrefix(line, "  export DEMO=") && strings.Contains(line, tmp) {
			t.Errorf("a path that is not shortened: %s", line)
		}
	}
	if n := came.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
	if after := treeOf(t, w.dir); after != before {
		t.Errorf("the user's own directories were changed:\n%s\n%s", before, after)
	}
	w.nothingLeft(tmp)
}

// treeOf lists names, sizes and times.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&out, path, fi.Mode(), fi.Size(), fi.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDemoQuiet(t *testing.T) {
	t.Parallel()
	w, tmp := demoWorld(t)
	r := w.run("demo", "--quiet").exits(0)
	if lines := strings.Split(r.out, "\n"); len(lines) != 5 || !strings.HasPrefix(lines[3], "demo: ok") || r.stderr != "" {
		t.Errorf("got %q, %q", lines, r.stderr)
	}
	w.nothingLeft(tmp)
	w.run("demo", "somewhere").exits(2).says("hint")
	w.nothingLeft(tmp)
}

// Two demos at once do not meet.
func TestTwoDemos(t *testing.T) {
	t.Parallel()
	w, tmp := demoWorld(t)
	var wg sync.WaitGroup
	codes := make([]int, 2)
	for i := range codes {
		wg.Go(func() { codes[i] = w.run("demo", "--quiet").code })
	}
	wg.Wait()
	if codes[0] != 0 || codes[1] != 0 {
		t.Errorf("exit codes %v", codes)
	}
	w.nothingLeft(tmp)
}

// trigger calls fire when text has been written.
type trigger struct {
	bytes.Buffer
	text string
	fire func()
}

func (w *trigger) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.text) {
		w.fire()
	}
	return n, err
}

// Cancelled at any step, a demo leaves nothing, or with --keep says what it leaves.
func TestDemoCancelled(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"export DEMO", "\n2. ", "\n3. ", "\n5. ", "\n7. "} {
		w, tmp := demoWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		out := &trigger{text: after, fire: cancel}
		var stderr bytes.Buffer
		env := Env{Stdout: out, Stderr: &stderr, Getenv: func(k string) string { return w.env[k] }}
		args := []string{"demo"}
		keep := after == "\n3. "
		if keep {
			args = append(args, "--keep")
		}
		if code := Run(ctx, env, args); code != 130 || !strings.Contains(stderr.String(), "it starts from the beginning") {
			t.Errorf("after %q: exit code %d\n%s", after, code, stderr.String())
		}
		if strings.Contains(out.String(), "demo: ok") {
			t.Errorf("after %q: it was not stopped", after)
		}
		if keep {
			if left := w.leftIn(tmp); len(left) != 1 || !strings.Contains(stderr.String(), "is left as it is now: "+left[0]) {
				t.Errorf("left: %v\n%s", left, stderr.String())
			}
			continue
		}
		w.nothingLeft(tmp)
	}
}

// A directory that cannot be made, or a disk that gets full, is an error with the
// next step, and leaves nothing.
func TestDemoWithoutRoom(t *testing.T) {
	t.Parallel()
	w, tmp := demoWorld(t)
	file := w.path("file")
	w.must(os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{w.path("none"), file} {
		w.env["TMPDIR"] = dir
		w.run("demo").exits(1).says("error: make the demo's directory", "hint:  set TMPDIR to a directory that you may write to")
	}
	w.env["TMPDIR"] = tmp
	steps := 0
	for at := 0; at < 400; at += 37 {
		steps = 0
		fs := durable.FS{Fault: func(op, path string) error {
			if steps++; steps > at && op != "remove" {
				return &os.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
			}
			return nil
		}}
		var out, stderr bytes.Buffer
		a := &app{env: Env{Getenv: func(k string) string { return w.env[k] }}, fs: fs, ui: ui.New(&out, &stderr, ui.Options{})}
		err := runDemo(t.Context(), a, demoOptions{})
		a.explain(exitCode(t.Context(), err), err)
		if !errors.Is(err, syscall.ENOSPC) && !strings.Contains(fmt.Sprint(err), "no space left") {
			t.Fatalf("full at step %d: %v", at, err)
		}
		if !strings.Contains(stderr.String(), "hint:  set TMPDIR to a directory") {
			t.Errorf("full at step %d: %s", at, stderr.String())
		}
		w.nothingLeft(tmp)
	}
}

// What goes wrong in the middle, the demo finds, and says at which step.
func TestDemoFindsDamage(t *testing.T) {
	t.Parallel()
	stored := func(store int, file string) string { return fmt.Sprintf("storage/store-%d/%s", store, file) }
	for _, tt := range []struct {
		name   string
		step   int
		damage func(w *world, dir string)
		want   string
	}{
		{"a flipped bit", 3, func(w *world, dir string) { flipIn(w.t, dir, stored(1, "sealed/s-t01000-0"), 1000) }, "step 3, the switch to damocles: .*exit code 4"},
		{"an upgrade's tree", 6, func(w *world, dir string) {
			flipIn(w.t, dir, stored(1, "update-cache/s-t01000-18/sc-02-data-tree-r-last.dat"), 3)
		}, "step 6, back to lotus-miner: .*exit code 4"},
		{"what no check reads", 5, func(w *world, dir string) { flipIn(w.t, dir, stored(2, "cache/s-t01000-1/t_aux"), 20) }, "step 8, .*cache/s-t01000-1/t_aux is gone, or has other bytes"},
		{"a file too many", 8, func(w *world, dir string) {
			w.must(os.WriteFile(filepath.Join(dir, stored(2, "unsealed/s-t01000-1")), nil, 0o600))
		}, "step 8, .*129 sector files, and 128"},
		{"a file twice", 8, func(w *world, dir string) {
			w.must(os.WriteFile(filepath.Join(dir, stored(2, "sealed/s-t01000-0")), nil, 0o600))
		}, "step 8, .*two stores have sealed/s-t01000-0"},
		{"a record of the repo", 3, func(w *world, dir string) { changeRecord(w, dir, "5") }, "step 3, .*/sectors/5 has"},
		{"a record that is gone", 8, func(w *world, dir string) { changeRecord(w, dir, "") }, "step 8, .*/sectors/5 has 0 bytes"},
		{"the origins", 7, func(w *world, dir string) { w.must(os.RemoveAll(filepath.Join(dir, "damocles/switching/origins"))) }, "step 7, the same into a new lotus-miner: .*/sectors/0 has"},
		{"damocles's number", 5, func(w *world, dir string) { w.setNumber(demo.Home(dir), 20) }, "step 5, .*sector 21, and not 24"},
		{"a home too early", 2, func(w *world, dir string) { w.must(os.Mkdir(demo.Home(dir), 0o700)) }, "step 2, .*made in a dry run"},
	} {
		w, tmp := demoWorld(t)
		a := &app{env: Env{}}
		_, err := demo.Run(t.Context(), demo.Options{Dir: tmp, Run: a.demoRunner(tmp), Before: func(step int) {
			if step == tt.step {
				tt.damage(w, tmp)
			}
		}})
		if want := regexp.MustCompile("(?s)^" + tt.want); err == nil || !want.MatchString(err.Error()) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

// A demo that has failed says so with exit code 1, and where to look.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	boom := errors.New("step 5, x: boom")
	err := error(anewError{demoFailed(t.Context(), boom, "/tmp/d", false)})
	var stderr bytes.Buffer
	a := &app{ui: ui.New(io.Discard, &stderr, ui.Options{})}
	code := exitCode(t.Context(), err)
	a.explain(code, err)
	if want := "error: the demo has failed: step 5, x: boom\nhint:  `damocles-manager demo --keep` leaves its directory, so that you can look there\n"; code != 1 || stderr.String() != want {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	if err := demoFailed(t.Context(), boom, "/tmp/d", true); !strings.Contains(fmt.Sprintf("%+v", err), "boom") {
		t.Errorf("got %v", err)
	}
}

func flipIn(t *testing.T, dir, name string, at int) {
	t.Helper()
	path := filepath.Join(dir, name)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[at] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// changeRecord changes the last byte of the record of a sector, or removes that of
// sector 5.
func changeRecord(w *world, dir, number string) {
	w.t.Helper()
	db, err := leveldb.OpenFile(filepath.Join(dir, "lotusminer/datastore/metadata"), nil)
	w.must(err)
	if number == "" {
		w.must(db.Delete([]byte("/sectors/5"), nil))
	} else {
		raw, err := db.Get([]byte("/sectors/"+number), nil)
		w.must(err)
		at := bytes.Index(raw, []byte("SectorProving"))
		raw[at]++
		w.must(db.Put([]byte("/sectors/"+number), raw, nil))
	}
	w.must(db.Close())
}

// programCommand is the program as another process.
func (w *world) programCommand(how string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"="+how, "HOME="+w.dir)
	return cmd
}

// Every command that --keep prints works as it stands, in a directory whose name
// needs quoting, too, and ends with the exit code that is said.
func TestDemoKeep(t *testing.T) {
	for _, name := range []string{"plain", `it's "a" $HOME; name`} {
		w := newWorld(t)
		tmp := w.path(name)
		w.must(os.Mkdir(tmp, 0o755))
		program := w.path("damocles-manager")
		self, err := filepath.Abs(os.Args[0])
		w.must(err)
		w.must(os.WriteFile(program, fmt.Appendf(nil, "#!/bin/sh\n%s=yes exec %s \"$@\"\n", asProgram, shellWord(self)), 0o755))
		var out bytes.Buffer
		cmd := exec.Command(program, "demo", "--keep")
		cmd.Env, cmd.Stdout = append(os.Environ(), "TMPDIR="+tmp), &out
		w.must(cmd.Run())
		if len(w.leftIn(tmp)) != 1 {
			t.Fatalf("%s: left %v", name, w.leftIn(tmp))
		}
		_, tries, ok := strings.Cut(out.String(), "To try in a shell, one after the other:\n\n")
		if !ok {
			t.Fatal(out.String())
		}
		var script strings.Builder
		commands := 0
		for line := range strings.Lines(tries) {
			line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "  ")
			if !ok {
				break
			}
			// the script puts its own place for the program's: it is called by its path
			line = strings.Replace(line, shellWord(self), shellWord(program), 1)
			_, want, ok := strings.Cut(line, "# exit code ")
			if !ok {
				want = "0"
			}
			fmt.Fprintf(&script, "%s\ncode=$?; [ $code = %s ] || { echo \"exit code $code, want %s\"; exit 1; }\n", line, want, want)
			commands++
		}
		sh := exec.Command("sh", "-u")
		sh.Stdin, sh.Dir = strings.NewReader(script.String()), w.dir
		if printed, err := sh.CombinedOutput(); err != nil || commands != 11 {
			t.Errorf("%s: %d commands, %v\n%s\n%s", name, commands, err, script.String(), printed)
		}
		w.nothingLeft(tmp)
	}
}

// Ctrl-C, and a reader that goes away, leave nothing behind.
func TestDemoInterrupted(t *testing.T) {
	w := newWorld(t)
	for name, stop := range map[string]func(*os.Process, io.Closer) error{
		"ctrl-c": func(p *os.Process, _ io.Closer) error { return p.Signal(os.Interrupt) },
		"kill":   func(p *os.Process, _ io.Closer) error { return p.Signal(syscall.SIGTERM) },
		"hangup": func(p *os.Process, _ io.Closer) error { return p.Signal(syscall.SIGHUP) },
		"head":   func(_ *os.Process, out io.Closer) error { return out.Close() },
	} {
		tmp := t.TempDir()
		cmd := w.programCommand("yes", "demo")
		cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		w.must(err)
		w.must(cmd.Start())
		lines := bufio.NewScanner(out)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "1. ") {
		}
		if len(w.leftIn(tmp)) != 1 {
			t.Errorf("%s: it does not work in %s", name, tmp)
		}
		w.must(stop(cmd.Process, out))
		if name != "head" {
			_, _ = io.Copy(io.Discard, out)
		}
		err = cmd.Wait()
		code := cmd.ProcessState.ExitCode()
		if want := map[string]int{"ctrl-c": 130, "kill": 130}[name]; want != 0 && code != want || code == 0 {
			t.Errorf("%s: exit code %d, %v\n%s", name, code, err, stderr.String())
		}
		w.nothingLeft(tmp)
	}
}

// --listen none asks nobody, and works on the home directly; so does its variable.
func TestListenNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	addr, came := countingListener(t)
	w.addr, w.patience = addr, 100*time.Millisecond
	home := w.home("home")
	w.run("--home", home, "util", "--listen", "none", "sealer", "sectors", "list").exits(0).says("working on the home " + home + " directly")
	w.run("--home", w.path("none"), "util", "--listen", "none", "sealer", "sectors", "list").exits(1).never("listens")
	w.sectorsCmd(home, "check", "--sealing-done", "--numbers", "100", "--listen", "none").exits(0)
	if n := came.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
	w.addr, w.env["DAMOCLES_LISTEN"] = "", "none"
	w.sectorsCmd(home, "list").exits(0)
	w.env["DAMOCLES_LISTEN"] = addr
	w.sectorsCmd(home, "list")
	if came.Load() == 0 {
		t.Error("the variable says nothing")
	}
}
