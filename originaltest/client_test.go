package originaltest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filecoin-project/go-jsonrpc"
)

// sectorID is abi.SectorID.
type sectorID struct{ Miner, Number uint64 }

// venus are methods as the original declares them, with the types of the results
// left to JSON.
type venus struct {
	Version               func(context.Context) (string, error)
	ListSectors           func(ctx context.Context, ws string, job int) ([]json.RawMessage, error)
	FindSector            func(ctx context.Context, ws string, id sectorID) (*json.RawMessage, error)
	FindSectorInAllStates func(ctx context.Context, id sectorID) (*json.RawMessage, error)
	ImportSector          func(ctx context.Context, ws string, state json.RawMessage, override bool) (bool, error)
	FinalizeSector        func(ctx context.Context, id sectorID) error
	StoreBasicInfo        func(ctx context.Context, name string) (*struct{ Name string }, error)
	StoreReleaseReserved  func(ctx context.Context, id sectorID) (bool, error)
	AllocateSector        func(ctx context.Context, spec struct{}) (*struct{}, error)
}

// build makes the binary.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "damocles-manager")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/damocles-manager")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// serve runs the daemon on a copy of the home that damocles made, and returns its
// address.
func serve(t *testing.T) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	if err := os.CopyFS(home, os.DirFS("../testdata/fixtures/switch-2k/damocles-home")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "sector-manager.cfg"), []byte("[Common]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(build(t), "--home", home, "daemon", "run", "--listen", addr)
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the daemon ends with %v\n%s", err, out.String())
		}
	})
	for range 300 {
		resp, err := http.Get("http://" + addr + "/healthcheck")
		if err == nil {
			_ = resp.Body.Close()
			return addr
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the daemon does not answer")
	return ""
}

// The original's client, as its command line dials it: over WebSocket, and over HTTP.
func TestOriginalClient(t *testing.T) {
	addr := serve(t)
	for _, scheme := range []string{"ws", "http"} {
		t.Run(scheme, func(t *testing.T) {
			var api venus
			stop, err := jsonrpc.NewMergeClient(t.Context(), scheme+"://"+addr+"/rpc/v0", "Venus", []interface{}{&api}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			calls(t, api, 2000+uint64(len(scheme)))
		})
	}
}

func calls(t *testing.T, api venus, number uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if v, err := api.Version(ctx); err != nil || !strings.HasPrefix(v, "v0.13.1-") {
		t.Errorf("Version: %q, %v", v, err)
	}
	for ws, want := range map[string]int{"online": 2, "offline": 22} {
		if all, err := api.ListSectors(ctx, ws, 0); err != nil || len(all) < want {
			t.Errorf("ListSectors %s: %d, %v; want %d", ws, len(all), err, want)
		}
	}
	if _, err := api.ListSectors(ctx, "sideways", 0); err == nil ||
		err.Error() != "get iter for All: get iter: kv for worker state sideways does not exist" {
		t.Errorf("ListSectors sideways: %v", err)
	}
	one, err := api.FindSector(ctx, "offline", sectorID{1000, 100})
	if err != nil || one == nil {
		t.Fatalf("FindSector: %v", err)
	}
	if _, err := api.FindSector(ctx, "offline", sectorID{1000, 999}); err == nil || err.Error() != "load state from offline: key not found" {
		t.Errorf("FindSector of none: %v", err)
	}
	if all, err := api.FindSectorInAllStates(ctx, sectorID{1000, 118}); err != nil || all == nil {
		t.Errorf("FindSectorInAllStates: %v", err)
	}
	state := json.RawMessage(strings.Replace(string(*one), `"Number":100`, fmt.Sprintf(`"Number":%d`, number), 1))
	for i, want := range []bool{true, false} {
		if taken, err := api.ImportSector(ctx, "offline", state, false); err != nil || taken != want {
			t.Errorf("ImportSector, time %d: %t, %v", i+1, taken, err)
		}
	}
	if back, err := api.FindSector(ctx, "offline", sectorID{1000, number}); err != nil || string(*back) != string(state) {
		t.Errorf("what was imported comes back as %s, %v", *back, err)
	}
	if info, err := api.StoreBasicInfo(ctx, "nowhere"); err != nil || info != nil {
		t.Errorf("StoreBasicInfo of none: %v, %v", info, err)
	}
	if given, err := api.StoreReleaseReserved(ctx, sectorID{1000, 100}); err != nil || given {
		t.Errorf("StoreReleaseReserved of nothing: %t, %v", given, err)
	}
	if err := api.FinalizeSector(ctx, sectorID{1000, 117}); err == nil || !strings.Contains(err.Error(), "chain node") {
		t.Errorf("FinalizeSector without a chain node: %v", err)
	}
	if _, err := api.AllocateSector(ctx, struct{}{}); err == nil || !strings.Contains(err.Error(), "not supported here") {
		t.Errorf("AllocateSector: %v", err)
	}
}
