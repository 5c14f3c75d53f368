package killtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
)

// TestFullDiskDaemon fills the disk of a home up under its daemon. Writes are
// refused, with the reason; reads go on; and as soon as there is room, writes do,
// too. What was answered is there, then and after a restart.
func TestFullDiskDaemon(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	must(t, os.Rename(homeCopy(t), home))
	resize := mount(t, home)
	d := serveHome(t, home)
	client := d.client(t)
	var writers []*writer
	for n := range 4 {
		w := newWriter(t, d, uint64(9000+n))
		must(t, w.write(t.Context()), w.write(t.Context()))
		writers = append(writers, w)
	}
	for _, room := range []int64{0, 4 << 10, 1 << 20, 40 << 20} {
		resize(used(t, home) + room)
		for range 5 {
			for _, w := range writers {
				if err := w.write(t.Context()); err == nil || !noSpace.MatchString(err.Error()) || !strings.Contains(err.Error(), "make room") {
					t.Fatalf("a write with %d KiB left: %v", room>>10, err)
				}
			}
		}
		for _, w := range writers {
			w.look(t.Context(), client)
		}
		if _, found, err := client.FindSector(t.Context(), damocles.Offline, abi.SectorID{Miner: 1000, Number: 100}); err != nil || !found {
			t.Fatalf("a read with %d KiB left: %t, %v", room>>10, found, err)
		}
		resize(512 << 20)
		for _, w := range writers {
			if err := w.write(t.Context()); err != nil {
				t.Fatalf("a write after there is room again: %v", err)
			}
		}
	}
	d.stops()
	homeRecords(t, home, readOnly)
	d = serveHome(t, home)
	for _, w := range writers {
		w.look(t.Context(), d.client(t))
		if w.sent != w.answered {
			t.Errorf("sector %d holds epoch %d, and %d was answered last", w.id.Number, w.sent, w.answered)
		}
	}
	d.stops()
	// Everything that was replaced can be taken back, the newest first.
	found := journals(t, home)
	for _, journal := range slices.Backward(found) {
		run(t, "--home", home, "import", "rollback", "--backup", journal).exits(0)
	}
	records := homeRecords(t, home, readOnly)
	for _, w := range writers {
		state, err := damocles.DecodeState([]byte(records["offline_meta/"+damocles.StateKey(damocles.Offline, w.id.Miner, w.id.Number)]))
		must(t, err)
		if state.Ticket.Epoch != 1 {
			t.Errorf("sector %d is at epoch %d after %d rollbacks, and began with 1", w.id.Number, state.Ticket.Epoch, len(found))
		}
	}
}
