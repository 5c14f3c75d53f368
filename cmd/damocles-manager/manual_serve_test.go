package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

var servesAt = regexp.MustCompile(`serving \S+ at http://\S+?:(\d+)/rpc/v0`)

// serve runs `daemon run` as another process, at a port that is free here, and
// returns what it has said when it answers. It goes on as damocles-manager until
// the manual stops that. One that ends before it answers is a command like others.
func (w *reader) serve(command string) (int, string) {
	w.t.Helper()
	if !strings.Contains(command, "--listen") {
		command += " --listen 127.0.0.1:0"
	}
	command = strings.NewReplacer(":1789", ":0", chainInManual, w.chain.Multiaddr(), " /root/", " "+w.path("root")+"/").Replace(command)
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Dir = w.path("root")
	cmd.Env = append(os.Environ(), "HOME="+w.path("root"), worldVar+"="+w.dir, listenVar+"="+w.nowhere)
	out, in, err := os.Pipe()
	w.must(err)
	cmd.Stdout, cmd.Stderr = in, in
	w.must(cmd.Start())
	w.must(in.Close())
	killed := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	lines, text := bufio.NewScanner(out), ""
	for lines.Scan() {
		text += lines.Text() + "\n"
		if m := servesAt.FindStringSubmatch(lines.Text()); m != nil {
			killed.Stop()
			w.listen = "127.0.0.1:" + m[1]
			w.must(os.WriteFile(w.path("running/damocles-manager"), nil, 0o600))
			w.services["damocles-manager"] = w.ends(cmd, out)
			return 0, w.asInManual(text)
		}
	}
	killed.Stop()
	_ = out.Close()
	_ = cmd.Wait() // its exit code says the same
	return cmd.ProcessState.ExitCode(), w.asInManual(text)
}

// ends stops the daemon as a service manager does, which has to end well.
func (w *reader) ends(cmd *exec.Cmd, out io.ReadCloser) func() {
	var rest sync.WaitGroup
	rest.Go(func() { _, _ = io.Copy(io.Discard, out) })
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		rest.Wait()
		_ = out.Close()
		if w.listen = ""; err != nil {
			w.t.Errorf("the daemon ended with %v", err)
		}
	}
}

// curl is as much of the real one as the manual uses: -s, -f, -H and -d. With -f
// an HTTP error is exit code 22, as it is there.
func curl() {
	code, err := get(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "curl: %v\n", err)
	}
	os.Exit(code)
}

func get(args []string, out io.Writer) (int, error) {
	header, body, url, fails := http.Header{}, "", "", false
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-s":
		case arg == "-f":
			fails = true
		case (arg == "-H" || arg == "-d") && i+1 < len(args):
			i++
			if name, value, ok := strings.Cut(args[i], ": "); arg == "-H" && ok {
				header.Add(name, value)
			} else if arg == "-d" {
				body = args[i]
			}
		case !strings.HasPrefix(arg, "-") && url == "":
			url = arg
		default:
			return 2, fmt.Errorf("option %s: is unknown", arg)
		}
	}
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
		header.Set("Content-Type", cmp.Or(header.Get("Content-Type"), "application/x-www-form-urlencoded")) // as the real one does
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 3, err
	}
	req.Header = header
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return 7, err
	}
	defer resp.Body.Close()
	if fails && resp.StatusCode >= http.StatusBadRequest {
		return 22, fmt.Errorf("(22) The requested URL returned error: %d", resp.StatusCode)
	}
	_, err = io.Copy(out, resp.Body)
	return 0, err
}
