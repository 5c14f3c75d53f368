package killtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

// served is a daemon in a process of its own.
type served struct {
	*command
	home, addr string
}

// serveHome starts a daemon on a home and waits until it answers.
func serveHome(t testing.TB, home string, more ...string) *served {
	t.Helper()
	addr := closedAddr(t)
	args := append([]string{"--home", home, "daemon", "run", "--listen", addr}, more...)
	d := &served{home: home, addr: addr, command: start(t, nil, args...)}
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			_ = d.cmd.Process.Kill()
			_ = d.cmd.Wait()
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		resp, err := http.Get("http://" + addr + "/healthcheck")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return d
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = d.cmd.Process.Kill()
	d.wait()
	t.Fatalf("the daemon does not answer\n%s", d.report())
	return nil
}

// client has connections of its own.
func (d *served) client(t testing.TB) *damocles.Client {
	t.Helper()
	at, err := damocles.ParseEndpoint(d.addr)
	if err != nil {
		t.Fatal(err)
	}
	return damocles.Dial(at, rpc.Options{Jobs: 2, Retry: rpc.Retry{Attempts: 1}})
}

// stops ends the daemon as a service manager does, which has to end well.
func (d *served) stops() {
	d.t.Helper()
	must(d.t, d.cmd.Process.Signal(syscall.SIGTERM))
	d.wait().exits(0)
}

// status reads a figure of /proc/PID/status, in KiB.
func (d *served) status(key string) int {
	d.t.Helper()
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "status"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), key+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				d.t.Fatal(err)
			}
			return n
		}
	}
	d.t.Fatalf("/proc says nothing of %s", key)
	return 0
}

// files is how many files and connections it has open.
func (d *served) files() int {
	d.t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "fd"))
	if err != nil {
		d.t.Fatal(err)
	}
	return len(entries)
}

// metric reads one of its metrics; labels belong to the name.
func (d *served) metric(name string) float64 {
	d.t.Helper()
	resp, err := http.Get("http://" + d.addr + "/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				d.t.Fatal(err)
			}
			return v
		}
	}
	d.t.Fatalf("no metric %s in\n%s", name, body)
	return 0
}

// homeCopy is a copy of the fixture home, without its stores, which a check of
// the configuration would miss.
func homeCopy(t testing.TB) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	must(t, os.CopyFS(home, os.DirFS(testkit.Fixture(t, "switch-2k/damocles-home"))))
	must(t, os.WriteFile(filepath.Join(home, "sector-manager.cfg"), []byte("[Common]\n"), 0o600))
	return home
}

// writer owns one sector, and writes it again and again, each time with a
// higher epoch in its ticket.
type writer struct {
	t      testing.TB
	client *damocles.Client
	id     abi.SectorID
	state  *damocles.SectorState

	sent, answered abi.ChainEpoch
}

func newWriter(t testing.TB, d *served, number uint64) *writer {
	t.Helper()
	raw, err := os.ReadFile(testkit.Fixture(t, "damocles-states/100-offline-cc.json"))
	must(t, err)
	state, err := damocles.DecodeState(raw)
	must(t, err)
	id := abi.SectorID{Miner: 1000, Number: abi.SectorNumber(number)}
	state.ID = id
	return &writer{t: t, client: d.client(t), id: id, state: state}
}

// write sends the next state, and notes the answer.
func (w *writer) write(ctx context.Context) error {
	w.sent++
	w.state.Ticket.Epoch = w.sent
	raw, err := damocles.EncodeState(w.state)
	if err != nil {
		return err
	}
	taken, err := w.client.ImportSector(ctx, damocles.Offline, raw, true)
	if err == nil && !taken {
		err = fmt.Errorf("%v was not taken", w.id)
	}
	if err == nil {
		w.answered = w.sent
	}
	return err
}

// look reads the sector back: it must hold the last state that was answered, or
// the one after, which may have been written without an answer.
func (w *writer) look(ctx context.Context, client *damocles.Client) {
	w.t.Helper()
	raw, found, err := client.FindSector(ctx, damocles.Offline, w.id)
	must(w.t, err)
	if !found {
		if w.answered > 0 {
			w.t.Errorf("sector %d is gone, of which epoch %d was answered", w.id.Number, w.answered)
		}
		return
	}
	state, err := damocles.DecodeState(raw)
	must(w.t, err)
	if got := state.Ticket.Epoch; got < w.answered || got > w.sent {
		w.t.Errorf("sector %d holds epoch %d, of which %d was answered and %d sent", w.id.Number, got, w.answered, w.sent)
	}
	w.sent = state.Ticket.Epoch
}
