package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/quarantine"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
	"damocles-manager/internal/testkit"
)

// quarantined runs a command below `util storage quarantine`.
func (w *world) quarantined(home string, args ...string) *result {
	w.t.Helper()
	return w.storage(home, append([]string{"quarantine"}, args...)...)
}

// removes moves the files of sectors into the quarantine, so long ago, and has
// damocles count them as removed.
func (w *world) removes(home string, ago time.Duration, numbers ...int) {
	w.t.Helper()
	w.aside(ago, numbers...)
	for _, n := range numbers {
		w.changeState(home, n, `"Removed":false`, `"Removed":true`)
	}
}

func (w *world) aside(ago time.Duration, numbers ...int) {
	w.t.Helper()
	stores := []store.Store{{Dir: w.store("damocles-1")}, {Dir: w.store("damocles-2")}}
	q := quarantine.New(durable.FS{}, stores, func() time.Time { return time.Now().Add(-ago) }, nil)
	var files []quarantine.File
	for _, s := range stores {
		for _, kind := range sector.FileKinds() {
			files = append(files, quarantine.File{Store: s, Kind: kind})
		}
	}
	for _, n := range numbers {
		w.must(q.Put(w.ctx, sector.ID{Miner: 1000, Number: abi.SectorNumber(n)}, files, "RemoveSector"))
	}
}

// digest is every file in the stores of damocles, and what is in it.
func (w *world) digest() string {
	w.t.Helper()
	sum := sha256.New()
	for _, name := range []string{"damocles-1", "damocles-2"} {
		w.must(filepath.WalkDir(w.store(name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			raw, err := os.ReadFile(path)
			fmt.Fprintf(sum, "%s %d %x\n", path, len(raw), sha256.Sum256(raw))
			return err
		}))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

const day = 24 * time.Hour

// nothingOnChain is a chain node that has none of the sectors.
func nothingOnChain(t *testing.T) string {
	t.Helper()
	return testkit.Chain(t, testkit.ChainOptions{Sector: func(_, _ uint64) (json.RawMessage, bool) { return nil, true }}).URL
}

func TestQuarantineList(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.quarantined(home, "list").exits(0).says("the quarantine is empty").never("Total")
	w.aside(day, 103, 110)
	r := w.quarantined(home, "list").exits(0).says("s-t01000-103", "s-t01000-110", "(RemoveSector)", "Total: 3 entries", "/damocles-2/quarantine/s-t01000-103-")
	if n := strings.Count(r.out, "\n"); n != 5 {
		t.Errorf("%d lines, want 5:\n%s", n, r.out)
	}
	// without a home at all
	w.quarantined(w.path("none"), "list", "--store", w.store("damocles-2")).exits(0).says("Total: 1 entries")
	w.quarantined(w.path("none"), "list").exits(1).says("no damocles-manager home")
	w.quarantined(home, "list", "--store", w.path("none")).exits(1).says("there is no directory")
	w.quarantined(home, "list", "--store", "").exits(2)
	w.quarantined(home, "list", "103").exits(2)

	// one that is broken, and a store that is not there, stop nothing
	dirs, err := filepath.Glob(w.store("damocles-1") + "/quarantine/s-t01000-103-*")
	w.must(errors.Join(err, os.Remove(dirs[0]+"/manifest.json"), os.RemoveAll(w.store("damocles-2"))))
	w.quarantined(home, "list").exits(3).says("it has no manifest", "s-t01000-110", "Total: 1 entries", "there is no directory "+w.store("damocles-2"))
}

func TestQuarantineRestore(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	before := w.digest()
	w.aside(day, 103, 110)
	moved := w.digest()
	w.quarantined(home, "restore", "f01000", "103", "110", "--dry-run").exits(0).says("3 would be restored").never("attach")
	if w.digest() != moved || moved == before {
		t.Error("the dry run changed something, or nothing was there to change")
	}
	w.quarantined(home, "restore", "1000", "103", "999", "999").exits(3).
		says("2 restored, 0 failed, 1 missing", "f01000 999: missing: s-t01000-999 is not in the quarantine")
	w.quarantined(home, "list").exits(0).says("Total: 1 entries")
	w.quarantined(home, "restore", "1000", "110").exits(0).says("1 restored", "util storage attach")
	if w.digest() != before {
		t.Error("the files did not come back as they were")
	}
	w.quarantined(home, "restore", "1000").exits(2)
	w.quarantined(home, "restore", "1000", "x").exits(2)
}

// Two entries of a sector: the newer one comes back, the older one stays, and a
// dry run says so before.
func TestQuarantineRestoreTwice(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	path := w.store("damocles-1") + "/sealed/s-t01000-100"
	w.aside(2*day, 100)
	w.must(os.WriteFile(path, []byte("newer"), 0o600))
	w.aside(day, 100)
	w.quarantined(home, "restore", "1000", "100", "--dry-run").exits(3).says("1 would be restored, 1 failed", "a newer entry belongs to "+path)
	w.quarantined(home, "restore", "1000", "100").exits(3).says("1 restored, 1 failed", "there is something at "+path, "nothing is overwritten")
	if got, _ := os.ReadFile(path); string(got) != "newer" {
		t.Errorf("it is %d bytes, want the newer one", len(got))
	}
	w.quarantined(home, "list").exits(0).says("Total: 1 entries", "sealed is at its old place, too")
}

func TestQuarantinePurge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, node := w.homeWithStores("home"), nothingOnChain(t)
	before := w.digest()
	w.removes(home, 8*day, 103)
	w.removes(home, day, 110)
	moved := w.digest()
	purge := func(args ...string) *result {
		t.Helper()
		return w.quarantined(home, append([]string{"purge", "--chain", node}, args...)...)
	}
	purge("--dry-run").exits(0).says("purge: 2 would be purged", "would be freed", "1 younger than 168h0m0s").never("s-t01000-110")
	if w.digest() != moved || moved == before {
		t.Error("the dry run changed something, or nothing was there to change")
	}
	purge("--really-do-it").exits(0).says("purge: 2 purged", "1 younger")
	w.quarantined(home, "list").exits(0).says("s-t01000-110", "Total: 1 entries").never("s-t01000-103")
	purge("--really-do-it", "--older-than", "36h").exits(0).says("purge: 0 purged", "1 younger than 36h0m0s")
	purge("--really-do-it", "--older-than", "0", "--miner", "1000", "--numbers", "110,111").exits(3).
		says("purge: 1 purged", "1 missing", "f01000 111: missing: number 111 is not in the quarantine")
	w.quarantined(home, "list").exits(0).says("the quarantine is empty")
	for _, name := range []string{"sealed/s-t01000-100", "sealed/s-t01000-104"} {
		if _, err := os.Stat(w.store("damocles-1") + "/" + name); err != nil {
			t.Errorf("another sector's file: %v", err)
		}
	}
}

// Whatever may still be needed is kept, listed, and exit 3.
func TestQuarantinePurgeKeeps(t *testing.T) {
	t.Parallel()
	gone := testkit.ChainOptions{Sector: func(_, _ uint64) (json.RawMessage, bool) { return nil, true }}
	for _, tt := range []struct {
		name   string
		change func(w *world, home string)
		chain  testkit.ChainOptions
		says   string
	}{
		{"on chain", func(w *world, home string) { w.removes(home, 8*day, 103) }, testkit.ChainOptions{}, "the sector is on chain"},
		{"not removed", func(w *world, home string) { w.aside(8*day, 103) }, gone, "damocles has it offline, and not as removed"},
		{"online", func(w *world, home string) {
			w.removes(home, 8*day, 103)
			w.set(home, "meta", onlineKey(103), strings.ReplaceAll(w.get(home, "offline_meta", offlineKey(103)), `"Removed":true`, `"Removed":false`))
		}, gone, "damocles has it online, and not as removed"},
		{"without a record", func(w *world, home string) {
			w.removes(home, 8*day, 103)
			w.set(home, "offline_meta", offlineKey(103), "")
		}, gone, "damocles has no record of it"},
		{"with a record that cannot be read", func(w *world, home string) {
			w.aside(8*day, 103)
			w.set(home, "offline_meta", offlineKey(103), "{")
		}, gone, "record of it cannot be decoded"},
		{"half restored", func(w *world, home string) {
			w.removes(home, 8*day, 103, 110)
			dirs, err := filepath.Glob(w.store("damocles-1") + "/quarantine/s-t01000-110-*")
			w.must(errors.Join(err, os.Rename(dirs[0]+"/update", w.store("damocles-1")+"/update/s-t01000-110")))
			w.must(os.RemoveAll(w.store("damocles-2") + "/quarantine"))
			dirs, err = filepath.Glob(w.store("damocles-1") + "/quarantine/s-t01000-103-*")
			w.must(errors.Join(err, os.RemoveAll(dirs[0])))
		}, gone, "only a part of it is here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			home := w.homeWithStores("home")
			tt.change(w, home)
			before := w.digest()
			w.quarantined(home, "purge", "--chain", testkit.Chain(t, tt.chain).URL, "--really-do-it", "--older-than=0").exits(3).
				says(": kept (", tt.says, "purge: 0 purged").never("0 kept")
			if w.digest() != before {
				t.Error("something was deleted")
			}
		})
	}
}

func TestQuarantinePurgeRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, node := w.homeWithStores("home"), nothingOnChain(t)
	w.removes(home, 8*day, 103)
	before := w.digest()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--chain", node}, 2, "pass --really-do-it"},
		{[]string{"--really-do-it"}, 5, "--without-chain"},
		{[]string{"--dry-run"}, 5, "--without-chain"},
		{[]string{"--really-do-it", "--chain", node, "--without-chain"}, 2, "both given"},
		{[]string{"--really-do-it", "--chain", node, "--numbers", "103"}, 2, "--miner"},
		{[]string{"--really-do-it", "--chain", node, "--older-than", "-1h"}, 2, "below 0"},
		{[]string{"--really-do-it", "--chain", node, "--older-than", "7"}, 2, "a time"},
		{[]string{"--really-do-it", "--chain", node, "--miner", "x"}, 2, "miner"},
		{[]string{"--really-do-it", "--chain", node, "103"}, 2, "takes no arguments"},
		{[]string{"--really-do-it", "--chain", "http://" + testkit.Nowhere(t)}, 1, "chain node"},
	} {
		w.quarantined(home, append([]string{"purge"}, tt.args...)...).exits(tt.code).says(tt.says)
	}
	// a home that is not there, with the stores by name
	w.quarantined(w.path("none"), "purge", "--chain", node, "--really-do-it", "--store", w.store("damocles-1")).exits(1).says("no damocles-manager home")
	if w.digest() != before {
		t.Error("something was deleted")
	}
}

// A chain node that does not know the miner says nothing of its sectors: it is of
// another network.
func TestQuarantinePurgeOtherNetwork(t *testing.T) {
	w := newWorld(t)
	dir := w.store("damocles-1")
	w.must(os.Rename(dir+"/sealed/s-t01000-100", dir+"/sealed/s-t09999-100"))
	q := quarantine.New(durable.FS{}, []store.Store{{Dir: dir}}, nil, nil)
	w.must(q.Put(w.ctx, sector.ID{Miner: 9999, Number: 100}, []quarantine.File{{Store: store.Store{Dir: dir}, Kind: sector.Sealed}}, "test"))
	before := w.digest()
	w.quarantined(w.path("none"), "purge", "--chain", nothingOnChain(t), "--without-damocles", "--really-do-it", "--older-than=0", "--store", dir).
		exits(1).says("ask the chain for the sector numbers of f09999", "actor not found")
	if w.digest() != before {
		t.Error("something was deleted")
	}
}

// oneEntry is the entry of 103 in damocles-1.
func oneEntry(t *testing.T, w *world) string {
	t.Helper()
	dirs, err := filepath.Glob(w.store("damocles-1") + "/quarantine/s-t01000-103-*")
	if err != nil || len(dirs) != 1 {
		t.Fatalf("%v %v", dirs, err)
	}
	return dirs[0]
}

// By name, neither a chain node nor a damocles is asked.
func TestQuarantinePurgeByName(t *testing.T) {
	w := newWorld(t)
	w.aside(8*day, 103)
	w.must(os.WriteFile(oneEntry(t, w)+"/notes", []byte("mine"), 0o600))
	purge := func(code int) *result {
		t.Helper()
		return w.quarantined(w.path("none"), "purge", "--really-do-it", "--without-chain", "--without-damocles",
			"--store", w.store("damocles-1"), "--store", w.store("damocles-2")).exits(code)
	}
	purge(3).says("purge: 1 purged", "1 failed", "left: "+oneEntry(t, w)+"/notes")
	w.must(os.Remove(oneEntry(t, w) + "/notes"))
	purge(0).says("purge: 1 purged", "0 failed")
	w.quarantined(w.path("none"), "list", "--store", w.store("damocles-1")).exits(0).says("the quarantine is empty")
}

// With a daemon, its record counts, and the stores are its own; those of one that
// is elsewhere are not looked for here.
func TestQuarantineThroughDaemon(t *testing.T) {
	w := newWorld(t)
	stores := w.stores()
	w.aside(8*day, 103)
	d := w.daemon(testkit.DamoclesOptions{Keep: func(_ uint64, state json.RawMessage) (json.RawMessage, error) { return state, nil }})
	d.ServeStores(t, stores)
	node := nothingOnChain(t)
	run := func(args ...string) *result {
		t.Helper()
		return w.run(append([]string{"util", "storage", "quarantine"}, args...)...)
	}
	run("list").exits(0).says("Total: 2 entries")
	run("purge", "--chain", node, "--really-do-it").exits(3).says("damocles has it offline, and not as removed", "2 kept")
	run("restore", "1000", "103", "--dry-run").exits(0).says("2 would be restored")
	if isHere("10.1.2.3:1789") || !isHere("127.0.0.1:1789") || !isHere(":1789") || isHere("example.org:1789") {
		t.Error("which addresses are here is wrong")
	}
}

// No other command takes what is in the quarantine for a sector's files.
func TestQuarantineIsNotSeen(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.attach(home, "--dry-run", "--json", w.store("damocles-1")).exits(3).says(`"number":100,`)
	w.removes(home, day, 100, 103, 110)
	for _, store := range []string{"damocles-1", "damocles-2"} {
		w.attach(home, "--dry-run", "--json", "--allow-splitted", w.store(store)).exits(0).says(`"number":1`).
			never(`"number":100,`, `"number":103,`, `"number":110,`, "quarantine")
	}
	w.storage(home, "find", "1000", "103").exits(3).says("is not there").never("is there\n")
	r := w.checkHome(home, "--json")
	r.says(`"number":101,`).never("quarantine/", `"number":103,`, "unknown-files")
	target := w.path("dest")
	w.files(home, target, "--dry-run").never("quarantine/", "/s-t01000-103")
}

// A purge stops at a chain that no longer answers, and says how far it came.
func TestQuarantinePurgeStops(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.removes(home, 8*day, 100, 103)
	asked := 0
	chain := testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) {
		if asked++; n == 103 {
			return json.RawMessage(`{"SectorNumber":7}`), true
		}
		return nil, true
	}})
	w.quarantined(home, "purge", "--chain", chain.URL, "--really-do-it").exits(1).
		says("stopped after 1 entries", "ask the chain for s-t01000-103").never("purge: ")
	w.quarantined(home, "list").exits(0).says("Total: 2 entries").never("s-t01000-100")
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
