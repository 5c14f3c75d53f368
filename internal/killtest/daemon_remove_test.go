package killtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

// removal is a home with its stores, and a chain that has lost some sectors.
type removal struct {
	*testing.T
	home, storage, chain string
	files                []string // of the stores, by digest
	lost                 []abi.SectorID
	moving               abi.SectorID // between the workspaces
}

func newRemoval(t *testing.T) *removal {
	t.Helper()
	dir := t.TempDir()
	r := &removal{
		T: t, home: filepath.Join(dir, "home"), storage: filepath.Join(dir, "storage"),
		// One is split over two stores, one was upgraded.
		lost: []abi.SectorID{{Miner: 1000, Number: 103}, {Miner: 1000, Number: 110}}, moving: abi.SectorID{Miner: 1000, Number: 117},
	}
	must(t, os.CopyFS(r.home, os.DirFS(testkit.Fixture(t, "switch-2k/damocles-home"))),
		os.CopyFS(r.storage, os.DirFS(testkit.Fixture(t, "switch-2k/storage"))))
	path := filepath.Join(r.home, "sector-manager.cfg")
	raw, err := os.ReadFile(path)
	must(t, err, os.WriteFile(path, bytes.ReplaceAll(raw, []byte(`"/storage/`), []byte(`"`+r.storage+`/`)), 0o600))
	node := testkit.Chain(t, testkit.ChainOptions{Sector: func(_, number uint64) (json.RawMessage, bool) {
		return nil, number == 103 || number == 110
	}}).ServeHistory(nil).ServeHead(time.Now())
	r.chain = node.URL
	r.files = r.digests()
	return r
}

func (r *removal) serve() *served { return serveHome(r.T, r.home, "--chain", r.chain) }

// digests are those of all files in the stores, wherever in them.
func (r *removal) digests() []string {
	r.Helper()
	var out []string
	must(r, filepath.WalkDir(r.storage, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(e.Name(), "manifest.json") {
			return err
		}
		out = append(out, digest(r, path))
		return nil
	}))
	slices.Sort(out)
	return out
}

// aside is how many objects are in the quarantines.
func (r *removal) aside() int {
	r.Helper()
	got, err := filepath.Glob(filepath.Join(r.storage, "*/quarantine/*/*[a-z]"))
	must(r, err)
	return len(slices.DeleteFunc(got, func(path string) bool { return strings.Contains(path, "manifest.json") }))
}

func (r *removal) whole(when string) {
	r.Helper()
	if got := r.digests(); !slices.Equal(got, r.files) {
		r.Fatalf("%s: %d files, and there were %d, or they have changed", when, len(got), len(r.files))
	}
}

// TestKillDaemonMoves kills a daemon while it removes sectors, and moves another one
// between its workspaces. Each file is whole at just one place, each sector in one
// workspace at least; the same calls finish, and what was removed comes back.
func TestKillDaemonMoves(t *testing.T) {
	t.Parallel()
	r := newRemoval(t)
	random := rand.New(rand.NewPCG(seed(), 3))
	const objects = 4 // at least, of the two sectors
	seen := map[string]int{}
	for range max(4, kills()/4) {
		d := r.serve()
		r.unremove(d)
		c := r.caller(d)
		var g errgroup.Group
		for _, id := range r.lost {
			g.Go(func() error { _ = c("RemoveSector", id); return nil })
		}
		g.Go(func() error {
			for c("FinalizeSector", r.moving) == nil && c("RestoreSector", r.moving, true) == nil {
			}
			return nil
		})
		time.Sleep(time.Duration(random.Int64N(int64(12 * time.Millisecond))))
		must(t, d.cmd.Process.Signal(syscall.SIGKILL))
		d.wait()
		must(t, g.Wait())
		r.whole("after a kill")
		switch n := r.aside(); {
		case n == 0:
			seen["nothing"]++
		case n < objects:
			seen["a part"]++
		default:
			seen["all"]++
		}
		r.somewhere()
		r.rest()
	}
	t.Logf("moved into the quarantine when the kill came: %v", seen)
}

// somewhere looks whether each sector is in a workspace, as damocles itself would.
func (r *removal) somewhere() {
	r.Helper()
	got := copiedHome(r, r.home, mended)
	for _, id := range append(slices.Clone(r.lost), r.moving) {
		_, on := got["meta/"+damocles.StateKey(damocles.Online, id.Miner, id.Number)]
		_, off := got["offline_meta/"+damocles.StateKey(damocles.Offline, id.Miner, id.Number)]
		if !on && !off {
			r.Fatalf("sector %d is in neither workspace", id.Number)
		}
	}
}

// rest makes the same calls again, and brings what was removed back.
func (r *removal) rest() {
	r.Helper()
	d := r.serve()
	c := r.caller(d)
	args := []string{"--home", r.home, "util", "storage", "quarantine", "restore", "f01000"}
	for _, id := range r.lost {
		must(r, c("RemoveSector", id))
		args = append(args, id.Number.String())
	}
	if err := c("FinalizeSector", r.moving); err != nil && !strings.Contains(err.Error(), "sector state not found") {
		r.Fatal(err)
	}
	must(r, c("RestoreSector", r.moving, true))
	d.stops()
	r.whole("after the same calls again")
	got := homeRecords(r, r.home, readOnly)
	_, on := got["meta/"+damocles.StateKey(damocles.Online, r.moving.Miner, r.moving.Number)]
	_, off := got["offline_meta/"+damocles.StateKey(damocles.Offline, r.moving.Miner, r.moving.Number)]
	if !on || off {
		r.Fatalf("sector %d: online %t, offline %t", r.moving.Number, on, off)
	}
	for _, id := range r.lost {
		if !strings.Contains(got["offline_meta/"+damocles.StateKey(damocles.Offline, id.Miner, id.Number)], `"Removed":true`) {
			r.Fatalf("sector %d is not removed", id.Number)
		}
		if left, err := filepath.Glob(filepath.Join(r.storage, "*", "[a-p|r-z]*", "s-t01000-"+id.Number.String())); err != nil || len(left) > 0 {
			r.Fatalf("sector %d is removed, and here is %q, %v", id.Number, left, err)
		}
	}
	start(r, nil, args...).wait().exits(0)
	r.whole("after a restore")
	if n := r.aside(); n != 0 {
		r.Fatalf("%d objects are in the quarantine after a restore", n)
	}
}

// unremove enters the removed sectors again as what they were.
func (r *removal) unremove(d *served) {
	r.Helper()
	client := d.client(r)
	for _, id := range r.lost {
		raw, _, err := client.FindSector(r.Context(), damocles.Offline, id)
		must(r, err)
		raw = bytes.Replace(raw, []byte(`"Removed":true`), []byte(`"Removed":false`), 1)
		_, err = client.ImportSector(r.Context(), damocles.Offline, raw, true)
		must(r, err)
	}
}

// caller calls methods of a daemon.
func (r *removal) caller(d *served) func(method string, params ...any) error {
	r.Helper()
	at, err := chain.ParseEndpoint("http://" + d.addr + "/rpc/v0")
	must(r, err)
	client := rpc.New(at, rpc.Options{Retry: rpc.Retry{Attempts: 1}})
	return func(method string, params ...any) error {
		return client.Call(context.Background(), nil, "Venus."+method, params...)
	}
}
