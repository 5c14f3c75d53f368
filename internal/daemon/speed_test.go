package daemon_test

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/serve"
)

// speedSectors is DAEMON_SPEED, how many sectors the tests of speed take: 100000 are a
// good number. Without it they are left out.
func speedSectors(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("DAEMON_SPEED"))
	if err != nil {
		t.Skip("set DAEMON_SPEED to a number of sectors, such as 100000")
	}
	return n
}

func (w *world) fill(n int) {
	w.t.Helper()
	raw := string(fixtureState(w.t, "106-offline-builtin-deal"))
	var changes []damocles.Change
	for i := range n {
		changes = append(changes, damocles.Change{
			Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, sid(i+1).Number),
			After: []byte(strings.Replace(raw, `"Number":106`, fmt.Sprintf(`"Number":%d`, i+1), 1)),
		})
		if len(changes) == 4000 || i == n-1 {
			w.apply(changes...)
			changes = changes[:0]
		}
	}
}

// A list of any length takes the same memory.
func TestSpeedOfList(t *testing.T) {
	n := speedSectors(t)
	w := newWorld(t, worldOptions{empty: true})
	w.fill(n)
	w.close()
	w.open(worldOptions{})
	start := time.Now()
	w.census()
	t.Logf("counted in %s", time.Since(start))
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	result, err := w.methods["Venus.ListSectors"].Call(t.Context(), []json.RawMessage{json.RawMessage(`"offline"`), json.RawMessage(`0`)})
	if err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	var first time.Duration
	var seen, bytes int
	var highest uint64
	err = result.(serve.Elements)(t.Context(), func(raw json.RawMessage) error {
		if seen++; seen == 1 {
			first = time.Since(start)
		}
		if bytes += len(raw); seen%5000 == 0 {
			runtime.ReadMemStats(&now)
			highest = max(highest, now.HeapAlloc)
		}
		return nil
	})
	took := time.Since(start)
	if err != nil || seen != n {
		t.Fatalf("%d of %d sectors, %v", seen, n, err)
	}
	t.Logf("%d sectors, %d MiB in %s: %.0f a second; the first after %s; heap %d MiB, before %d MiB",
		n, bytes>>20, took, float64(n)/took.Seconds(), first, highest>>20, before.HeapAlloc>>20)
	if grown := int64(highest) - int64(before.HeapAlloc); grown > 128<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	start = time.Now()
	w.is("null", "FindSectorsWithDeal", "offline", 999999999)
	t.Logf("searched in %s", time.Since(start))
}

// Writes that come together share their syncs.
func TestSpeedOfImport(t *testing.T) {
	n := speedSectors(t) / 20
	w := newWorld(t, worldOptions{empty: true})
	raw := string(fixtureState(t, "106-offline-builtin-deal"))
	for _, clients := range []int{1, 200} {
		var next atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for range clients {
			wg.Go(func() {
				for i := next.Add(1); i <= int64(n); i = next.Add(1) {
					state := json.RawMessage(strings.Replace(raw, `"Number":106`, fmt.Sprintf(`"Number":%d`, 1_000_000*int64(clients)+i), 1))
					if got := w.call("ImportSector", "offline", state, false); got.result != "true" {
						t.Errorf("%d: %s, %v", i, got.result, got.err)
					}
				}
			})
		}
		wg.Wait()
		t.Logf("%d clients: %.0f imports a second", clients, float64(n)/time.Since(start).Seconds())
	}
}
