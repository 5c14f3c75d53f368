package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const listRequest = `{"jsonrpc":"2.0","id":1,"method":"Venus.ListSectors","params":["offline",0]}`

// serveList runs a daemon, which the command has to start at addr, and has it
// list all its sectors over both transports.
func serveList(addr string, runs, sectors int, command []string) (err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
	}()
	for {
		resp, err := http.Get("http://" + addr + "/healthcheck")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Since(began) > 5*time.Minute {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Printf("%-42s %8d sectors  %7.2f s until it answers\n", "daemon run", sectors, time.Since(began).Seconds())
	for name, list := range map[string]func(string) (listing, error){"HTTP": listHTTP, "WebSocket": listWebSocket} {
		var all []listing
		for range runs {
			l, err := list(addr)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, l)
		}
		whole := median(all, func(l listing) float64 { return l.whole.Seconds() })
		fmt.Printf("%-42s %8d sectors  %7.2f s  %7.0f/s  %5.0f MB/s  first byte %5.3f s\n", "ListSectors over "+name, sectors, whole,
			float64(sectors)/whole, float64(all[0].size)/1e6/whole, median(all, func(l listing) float64 { return l.first.Seconds() }))
	}
	peak, err := peakOf(cmd.Process.Pid)
	fmt.Printf("%-42s VmHWM %4.0f MiB\n", "daemon, after all of that", peak)
	return err
}

// listing is one answer.
type listing struct {
	first, whole time.Duration
	size         int64
}

// take reads an answer to its end.
func take(r io.Reader, began time.Time) (listing, error) {
	var l listing
	buf := make([]byte, 64<<10)
	last := ""
	for {
		n, err := r.Read(buf)
		if l.size == 0 && n > 0 {
			l.first = time.Since(began)
		}
		l.size += int64(n)
		if n > 0 {
			last = string(buf[max(0, n-10):n])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return l, err
		}
	}
	l.whole = time.Since(began)
	if !strings.Contains(last, "}") {
		return l, fmt.Errorf("the answer ends with %q", last)
	}
	return l, nil
}

func listHTTP(addr string) (listing, error) {
	began := time.Now()
	resp, err := http.Post("http://"+addr+"/rpc/v0", "application/json", strings.NewReader(listRequest))
	if err != nil {
		return listing{}, err
	}
	defer resp.Body.Close()
	return take(resp.Body, began)
}

func listWebSocket(addr string) (listing, error) {
	conn, resp, err := websocket.DefaultDialer.Dial("ws://"+addr+"/rpc/v0", nil)
	if err != nil {
		return listing{}, err
	}
	defer conn.Close()
	_ = resp.Body.Close()
	began := time.Now()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(listRequest)); err != nil {
		return listing{}, err
	}
	_, r, err := conn.NextReader()
	if err != nil {
		return listing{}, err
	}
	return take(r, began)
}

// peakOf is the most memory that a process had, in MiB.
func peakOf(pid int) (float64, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the process has no VmHWM")
}
