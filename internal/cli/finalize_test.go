package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

// printed returns what a command of the original wrote to stdout.
func printed(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(testkit.Fixture(t, "cli/"+name))
	if err != nil {
		t.Fatal(err)
	}
	_, out, _ := strings.Cut(string(raw), "\n") // the first line is the command
	return out
}

func (w *world) finalize(home string, args ...string) *result {
	w.t.Helper()
	return w.sectorsCmd(home, append([]string{"finalize", "--miner", "t01000"}, args...)...)
}

// 117 is on chain and is finalized; the export carries it then, and one command
// puts it back.
func TestFinalizeHome(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	chain := testkit.Chain(t, testkit.ChainOptions{}).Multiaddr()
	before := w.get(home, "meta", onlineKey(117))

	w.finalize(home, "--chain", chain, "--dry-run", "117").exits(0).says("would be finalized").never("undo with")
	if w.get(home, "meta", onlineKey(117)) != before || w.get(home, "offline_meta", offlineKey(117)) != "" {
		t.Fatal("a dry run wrote")
	}
	r := w.finalize(home, "--chain", chain, "--really-do-it", "117").exits(0)
	if !strings.HasPrefix(r.out, printed(t, "finalize.txt")) {
		t.Errorf("stdout is %q, want %q first", r.out, printed(t, "finalize.txt"))
	}
	after := w.get(home, "offline_meta", offlineKey(117))
	if after != strings.Replace(before, `"Finalized":false`, `"Finalized":true`, 1) {
		t.Errorf("offline it is\n%s\nonline it was\n%s", after, before)
	}
	if w.get(home, "meta", onlineKey(117)) != "" {
		t.Error("it is still online")
	}
	w.finalize(home, "--chain", chain, "--really-do-it", "117").exits(0).says("already finalized").never("undo with")

	w.emptyRepo("lotus")
	w.export(home, w.path("lotus"), "--dry-run").exits(3).says("19 would be written", "1 unfinished")

	w.sectorsCmd(home, "import", "rollback", "--backup", r.undoes()).exits(0).says("1 deleted, 1 restored")
	if w.get(home, "meta", onlineKey(117)) != before || w.get(home, "offline_meta", offlineKey(117)) != "" {
		t.Error("the rollback did not put it back online")
	}
	w.sectorsCmd(home, "list").exits(0).says("s-t01000-117:", "Count: 2")
}

func TestFinalizeRefusals(t *testing.T) {
	t.Parallel()
	other := "bagboea4b5abcairceirceirceirceirceirceirceirceirceirceirceirceirc"
	tests := []struct {
		name   string
		change func(state string) string // of 117, online
		chain  testkit.ChainOptions
		args   []string
		code   int
		says   []string
	}{
		{name: "not confirmed", args: []string{"117"}, code: 2, says: []string{"pass --really-do-it to confirm this action"}},
		{name: "no node", args: []string{"117", "--really-do-it"}, code: 5, says: []string{"--chain", "--without-chain"}},
		{name: "no node, dry run", args: []string{"117", "--dry-run"}, code: 5, says: []string{"--without-chain"}},
		{name: "no number", args: []string{"--really-do-it"}, code: 2},
		{name: "not on chain, no CommR", args: []string{"118", "--really-do-it", "CHAIN"}, code: 3, says: []string{"s-t01000-118: failed: it has no CommR", "on chain may be finalized"}},
		{name: "without a node, no CommR", args: []string{"118", "--really-do-it", "--without-chain"}, code: 3, says: []string{"it has no CommR"}},
		{
			name: "not on chain", args: []string{"117", "--really-do-it", "CHAIN"}, code: 3,
			chain: testkit.ChainOptions{Sector: func(uint64, uint64) (json.RawMessage, bool) { return nil, true }},
			says:  []string{"s-t01000-117: failed: the chain does not have it"},
		},
		{
			name: "another CommR on chain", args: []string{"117", "--really-do-it", "CHAIN"}, code: 3,
			chain: testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) { return testkit.OnChain(n, other, ""), true }},
			says:  []string{"s-t01000-117: failed: the chain's CommR is " + other},
		},
		{
			name: "upgraded on chain alone", args: []string{"117", "--really-do-it", "CHAIN"}, code: 3,
			chain: testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) { return testkit.OnChain(n, other, other), true }},
			says:  []string{"its metadata says upgraded false, the chain true"},
		},
		{
			name: "upgraded in damocles alone", args: []string{"117", "--really-do-it", "CHAIN"}, code: 3,
			change: func(s string) string { return strings.Replace(s, `"Upgraded":false`, `"Upgraded":true`, 1) },
			says:   []string{"its metadata says upgraded true, the chain false"},
		},
		{
			name: "an upgrade that has not landed, without a node", args: []string{"117", "--really-do-it", "--without-chain"}, code: 3,
			change: func(s string) string { return strings.Replace(s, `"Upgraded":false`, `"Upgraded":true`, 1) },
			says:   []string{"its upgrade has not landed as far as damocles knows"},
		},
		{
			name: "aborted", args: []string{"117", "--really-do-it", "CHAIN"}, code: 3,
			change: func(s string) string {
				return strings.Replace(s, `"AbortReason":""`, `"AbortReason":"given up"`, 1)
			},
			says: []string{"s-t01000-117: failed: it was aborted (given up)"},
		},
		{
			name: "cannot be decoded", args: []string{"117", "--really-do-it", "CHAIN"}, code: 3,
			change: func(s string) string { return strings.Replace(s, `"SectorType":5`, `"SectorType":"five"`, 1) },
			says:   []string{"s-t01000-117: failed: its record cannot be decoded", "SectorType"},
		},
		{name: "not there", args: []string{"999", "--really-do-it", "CHAIN"}, code: 3, says: []string{"missing: damocles has no sector s-t01000-999"}},
		{name: "offline already", args: []string{"100", "--really-do-it", "CHAIN"}, code: 0, says: []string{"already finalized"}},
		{name: "no sector number", args: []string{"x", "--really-do-it", "CHAIN"}, code: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			home := w.home("home")
			before := w.get(home, "meta", onlineKey(117))
			if tt.change != nil {
				changed := tt.change(before)
				if changed == before {
					t.Fatal("the change changes nothing")
				}
				w.set(home, "meta", onlineKey(117), changed)
				before = changed
			}
			for i, a := range tt.args {
				if a == "CHAIN" {
					tt.args[i] = "--chain=" + testkit.Chain(t, tt.chain).Multiaddr()
				}
			}
			w.finalize(home, tt.args...).exits(tt.code).says(tt.says...).never("undo with", "finalize succeed")
			if w.get(home, "meta", onlineKey(117)) != before || w.get(home, "offline_meta", offlineKey(117)) != "" {
				t.Error("117 was changed")
			}
		})
	}
}

// An update of which the chain has another replica is not the one that landed.
func TestFinalizeUpdate(t *testing.T) {
	const landed, other = "bagboea4b5abcairceirceirceirceirceirceirceirceirceirceirceirceirc", "bagboea4b5abcbanw5r22grt3vtksd4l42s5wl6wu5qjq47c4nekripa2526hmljq"
	w := newWorld(t)
	home := w.home("home")
	online := w.get(home, "meta", onlineKey(117))
	state, err := damocles.DecodeState([]byte(online))
	w.must(err)
	chain := testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) {
		return testkit.OnChain(n, landed, state.Pre.CommR.String()), true
	}}).Multiaddr()
	for _, tt := range []struct {
		commR string
		code  int
		says  string
	}{{other, 3, "the CommR of its update is " + landed + " on chain, and " + other + " in the metadata"}, {landed, 0, "finalize succeed"}} {
		info := `"UpgradedInfo":{"AccessInstance":"","SealedCID":{"/":"` + tt.commR + `"},"UnsealedCID":null,"Proof":null}`
		w.set(home, "meta", onlineKey(117), strings.NewReplacer(`"Upgraded":false`, `"Upgraded":true`, `"UpgradedInfo":null`, info).Replace(online))
		w.finalize(home, "--chain", chain, "--really-do-it", "117").exits(tt.code).says(tt.says)
	}
}

// Several at once: each is named, and one that cannot be stops none.
func TestFinalizeSeveral(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	chain := testkit.Chain(t, testkit.ChainOptions{}).Multiaddr()
	plan := w.path("plan.json")
	w.finalize(home, "--chain", chain, "--really-do-it", "--plan-out", plan, "999", "118", "100", "117", "117").exits(3).
		says("no sector s-t01000-999", "s-t01000-118: failed", "s-t01000-100: already finalized", "s-t01000-117: finalize succeed", "s-t01000-117: already finalized")
	var doc struct {
		Command string
		Steps   []struct{ Sector, Action string }
	}
	readJSONFile(t, plan, &doc)
	if doc.Command != "finalize" || len(doc.Steps) != 5 || doc.Steps[3].Action != "written" {
		t.Errorf("the plan is %+v", doc)
	}
	if w.get(home, "offline_meta", offlineKey(117)) == "" {
		t.Error("117 was not finalized")
	}
}

// A stop between the two commits, ours or damocles's own, leaves the sector in
// both workspaces. The same run again completes it.
func TestFinalizeAfterACrash(t *testing.T) {
	for _, tt := range []struct {
		name    string
		offline func(online string) string
		code    int
	}{
		{"after the first commit", func(s string) string { return strings.Replace(s, `"Finalized":false`, `"Finalized":true`, 1) }, 0},
		{"the very same in both", func(s string) string { return s }, 0},
		{"the same in other spelling", func(s string) string {
			return strings.Replace(s, `"Finalized":false`, "\"Finalized\" : true\n", 1)
		}, 0},
		{"another seed", func(s string) string { return strings.Replace(s, `"Epoch":43`, `"Epoch":44`, 1) }, 3},
		{"more than we know", func(s string) string {
			return strings.Replace(s, `"Finalized":false`, `"Finalized":true,"FromTheFuture":1`, 1)
		}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			home := w.home("home")
			online := w.get(home, "meta", onlineKey(117))
			if tt.offline(online) == online && tt.name != "the very same in both" {
				t.Fatalf("the change changes nothing: %s", online)
			}
			w.set(home, "offline_meta", offlineKey(117), tt.offline(online))
			r := w.finalize(home, "--without-chain", "--really-do-it", "117").exits(tt.code)
			gone := w.get(home, "meta", onlineKey(117)) == ""
			if tt.code != 0 {
				r.says("s-t01000-117: conflict: it is offline, too, and the two differ")
				if gone || w.get(home, "offline_meta", offlineKey(117)) != tt.offline(online) {
					t.Error("a conflict was written")
				}
				return
			}
			r.says("finalize succeed")
			state, err := damocles.DecodeState([]byte(w.get(home, "offline_meta", offlineKey(117))))
			if err != nil || !state.Finalized || !gone {
				t.Errorf("finalized %v, gone %v, %v", state, gone, err)
			}
			w.sectorsCmd(home, "import", "rollback", "--backup", r.undoes()).exits(0)
			if w.get(home, "meta", onlineKey(117)) != online || w.get(home, "offline_meta", offlineKey(117)) != tt.offline(online) {
				t.Error("the rollback did not restore both")
			}
		})
	}
}

// What a newer damocles keeps in a state, and is not known here, stays.
func TestFinalizeKeepsUnknownKeys(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	newer := strings.Replace(w.get(home, "meta", onlineKey(117)), `{"ID":`, `{"Future":{"Finalized":false,"x":[1, 2]},"ID":`, 1)
	newer = strings.Replace(newer, `"Unsealing":false`, `"Unsealing":false,"Later":"<a>"`, 1)
	w.set(home, "meta", onlineKey(117), newer)
	w.finalize(home, "--without-chain", "--really-do-it", "117").exits(0).says("finalize succeed")
	i := strings.LastIndex(newer, `"Finalized":false`)
	want := newer[:i] + strings.Replace(newer[i:], "false", "true", 1)
	if got := w.get(home, "offline_meta", offlineKey(117)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The room in the stores that damocles reserved for the sector is given back as
// damocles does itself, once for all sectors of a run, and comes back with a rollback.
func TestFinalizeReleasesReservations(t *testing.T) {
	const key = damocles.ReserveKey
	before := `{"Stats":{"store-1":{"ReservedSize":300,"Reserved":{"s-t01000-116":{"By":"s-t01000-116","Size":100,"At":1},` +
		`"s-t01000-117":{"By":"s-t01000-117","Size":200,"At":2}}, "Future": [1,  2]},"store-2":null},"More":{"a":1.50}}`
	after := `{"Stats":{"store-1":{"ReservedSize":100,"Reserved":{"s-t01000-116":{"By":"s-t01000-116","Size":100,"At":1}}` +
		`, "Future": [1,  2]},"store-2":null},"More":{"a":1.50}}`
	w := newWorld(t)
	home := w.home("home")
	w.finalize(home, "--without-chain", "--really-do-it", "117").exits(0)
	if exists(home + "/common") {
		t.Fatal("a finalize made the database common")
	}

	home = w.home("other")
	w.set(home, "common", key, before)
	w.finalize(home, "--without-chain", "--dry-run", "117").exits(0)
	if got := w.get(home, "common", key); got != before {
		t.Fatalf("a dry run wrote %s", got)
	}
	r := w.finalize(home, "--without-chain", "--really-do-it", "117", "118").exits(3)
	if got := w.get(home, "common", key); got != after {
		t.Errorf("got  %s\nwant %s", got, after)
	}
	w.sectorsCmd(home, "import", "rollback", "--backup", r.undoes()).exits(0)
	if got := w.get(home, "common", key); got != before {
		t.Errorf("after the rollback: %s", got)
	}

	// an interrupted run has finalized it, but given nothing back
	w.finalize(home, "--without-chain", "--really-do-it", "117").exits(0)
	w.set(home, "common", key, before)
	w.finalize(home, "--without-chain", "--really-do-it", "117").exits(0).says("already finalized")
	if got := w.get(home, "common", key); got != after {
		t.Errorf("a second run leaves it: %s", got)
	}

	// one that cannot be read holds nothing up, and stays
	home = w.home("third")
	w.set(home, "common", key, `{"Stats":[]}`)
	w.finalize(home, "--without-chain", "--really-do-it", "117").exits(0).says("finalize succeed", "stays reserved")
	if got := w.get(home, "common", key); got != `{"Stats":[]}` {
		t.Errorf("it was written: %s", got)
	}
}

// Through the daemon, which asks its own chain node.
func TestFinalizeByDaemon(t *testing.T) {
	w := newWorld(t)
	d := w.daemon(testkit.DamoclesOptions{})
	online := string(d.State("online", 1000, 117))

	w.cmd("finalize", "--miner", "t01000", "--dry-run", "117", "118", "999").exits(3).
		says("s-t01000-117: would be finalized", "no sector s-t01000-999")
	if d.Calls("Venus.FinalizeSector") != 0 {
		t.Fatal("a dry run finalized")
	}
	w.cmd("finalize", "--miner", "t01000", "117").exits(2).says("pass --really-do-it to confirm this action")
	w.cmd("finalize", "--miner", "t01000", "--really-do-it", "118").exits(3).says("s-t01000-118: failed: it has no CommR")
	w.cmd("finalize", "--miner", "t01000", "--really-do-it", "999").exits(3).says("missing: damocles has no sector s-t01000-999")

	r := w.cmd("finalize", "--miner", "t01000", "--really-do-it", "117").exits(0).says("working through the damocles-manager")
	if want := printed(t, "finalize.txt"); r.out != want {
		t.Errorf("stdout is %q, want %q", r.out, want)
	}
	if d.State("online", 1000, 117) != nil || string(d.State("offline", 1000, 117)) != strings.Replace(online, `"Finalized":false`, `"Finalized":true`, 1) {
		t.Error("117 was not finalized")
	}
	w.cmd("finalize", "--miner", "t01000", "--really-do-it", "117").exits(0).says("already finalized")
	if n := d.Calls("Venus.FinalizeSector"); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	w.emptyRepo("lotus")
	w.cmd("export", "--miner", "f01000", "metadata", "--dest-repo", w.path("lotus")).exits(3).says("19 written", "1 unfinished")
}

func TestFinalizeByDaemonFails(t *testing.T) {
	finalize := func(w *world, args ...string) *result {
		return w.cmd(append([]string{"finalize", "--miner", "t01000", "--really-do-it"}, args...)...)
	}
	t.Run("not on chain", func(t *testing.T) {
		w := newWorld(t)
		d := w.daemon(testkit.DamoclesOptions{OnChain: func(_, n uint64) bool { return false }})
		finalize(w, "117").exits(3).says("s-t01000-117: failed: the chain does not have it").never("finalize succeed")
		if d.State("offline", 1000, 117) != nil {
			t.Error("it was finalized")
		}
	})
	t.Run("our node knows better", func(t *testing.T) {
		w := newWorld(t)
		d := w.daemon(testkit.DamoclesOptions{})
		chain := testkit.Chain(t, testkit.ChainOptions{Sector: func(uint64, uint64) (json.RawMessage, bool) { return nil, true }})
		finalize(w, "117", "--chain", chain.Multiaddr()).exits(3).says("the chain does not have it")
		if d.Calls("Venus.FinalizeSector") != 0 {
			t.Error("the daemon was asked")
		}
	})
	for _, lost := range []testkit.Failure{testkit.Lost, testkit.Close} {
		t.Run(fmt.Sprintf("failure %d", lost), func(t *testing.T) {
			w := newWorld(t)
			var calls atomic.Int64
			d := w.daemon(testkit.DamoclesOptions{Options: testkit.Options{Fail: func(method string, _ int) testkit.Failure {
				if method == "Venus.FinalizeSector" && calls.Add(1) == 1 {
					return lost
				}
				return testkit.Pass
			}}})
			if lost == testkit.Lost { // the work was done: looking shows it
				finalize(w, "117").exits(0).says("finalize succeed")
			} else { // it was not, and is not tried twice
				finalize(w, "117").exits(1).says("did not answer")
				finalize(w, "117").exits(0).says("finalize succeed")
			}
			if d.State("online", 1000, 117) != nil {
				t.Error("it is still online")
			}
		})
	}
	t.Run("undone in its home", func(t *testing.T) {
		w := newWorld(t)
		if err := os.Rename(w.home("home"), w.defaultHome()); err != nil {
			t.Fatal(err)
		}
		home := w.defaultHome()
		d := w.daemon(testkit.DamoclesOptions{})
		online := w.get(home, "meta", onlineKey(117))
		journal := finalize(w, "117").exits(0).undoes()
		w.set(home, "meta", onlineKey(117), "")
		w.set(home, "offline_meta", offlineKey(117), string(d.State("offline", 1000, 117)))
		d.Stop()
		w.cmd("import", "rollback", "--backup", journal).exits(0).says("1 deleted, 1 restored")
		if w.get(home, "meta", onlineKey(117)) != online || w.get(home, "offline_meta", offlineKey(117)) != "" {
			t.Error("it is not online again")
		}
	})
}
