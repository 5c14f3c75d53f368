package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/audit"
	"damocles-manager/internal/post"
	"damocles-manager/internal/testkit"
)

// check runs `sectors check` on what the flags name.
func (w *world) check(args ...string) *result {
	w.t.Helper()
	return w.run(append([]string{"util", "sealer", "sectors", "check"}, args...)...)
}

// checkHome runs it on a home.
func (w *world) checkHome(home string, args ...string) *result {
	w.t.Helper()
	return w.check(append([]string{"--home", home}, args...)...)
}

// verdicts are those of a --json run, by number.
func (r *result) verdicts() map[uint64]string {
	r.t.Helper()
	out := map[uint64]string{}
	for _, line := range r.lines()["sector"] {
		out[uint64(line["number"].(float64))] = line["verdict"].(string)
	}
	return out
}

// differences are "number code", or the code alone, of a --json run.
func (r *result) differences() []string {
	r.t.Helper()
	var out []string
	for _, line := range r.lines()["difference"] {
		text := line["code"].(string)
		if n, ok := line["number"].(float64); ok {
			text = fmt.Sprintf("%.0f %s", n, text)
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// everything has the content and the times of all that lies in the stores.
func (w *world) everything() map[string]string {
	w.t.Helper()
	out := tree(w.t, w.stores())
	w.must(filepath.WalkDir(w.stores(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		out["time of "+path] = fmt.Sprint(info.ModTime().UnixNano(), info.Mode())
		return err
	}))
	return out
}

func (w *world) chain(opts testkit.ChainOptions, p testkit.Proving) string {
	w.t.Helper()
	return testkit.ProvingChain(w.t, opts, p).Multiaddr()
}

// Every sector with files whose CommR is known is provable, whichever side says
// where it is, and however deep the check; nothing changes in the stores.
func TestCheckPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home, repo, chain := w.homeWithStores("home"), w.repoWithStores("lotus"), w.chain(testkit.ChainOptions{}, testkit.Proving{})
	before, files := w.everything(), w.tree()
	var dirs []string
	for _, name := range []string{"lotus-1", "lotus-2", "damocles-1", "damocles-2"} {
		dirs = append(dirs, "--store", w.store(name))
	}
	want := func(kind string, but ...uint64) map[uint64]string {
		out := map[uint64]string{}
		for _, s := range storedSectors(t) {
			if (kind == "" || s.Kind == kind) && (s.Sealed != "" || s.Update != "") && !slices.Contains(but, s.Number) {
				out[s.Number] = "provable"
			}
		}
		return out
	}
	withLost := func(m map[uint64]string, number uint64, verdict string) map[uint64]string {
		m[number] = verdict
		return m
	}
	tests := []struct {
		name string
		args []string
		code int
		want map[uint64]string
	}{
		// 115 is terminated, 117 online, 113 lost; of 122 the CommR is unknown
		{"home", []string{"--home", home}, 4, withLost(withLost(want("damocles", 115, 117), 122, "undecided"), 113, "not-provable")},
		{"repo", []string{"--repo", repo}, 0, want("lotus", 29)},
		{"directories, with the chain", append(dirs, "--chain", chain), 4, withLost(want("", 29, 115), 113, "not-provable")},
		{"the repo's sectors at another place", append(dirs, "--repo", repo), 4, want("lotus", 29)},
	}
	for _, tt := range tests {
		for _, depth := range []string{"", "--window", "--winning", "--challenges=3", "--full"} {
			args := append([]string{"--json"}, tt.args...)
			if depth != "" {
				args = append(args, depth)
			}
			if got := w.check(args...).exits(tt.code).verdicts(); !maps.Equal(got, tt.want) {
				t.Errorf("%s %s: got %v\nwant %v", tt.name, depth, got, tt.want)
			}
		}
	}
	if after := w.everything(); !maps.Equal(before, after) {
		t.Error("the stores have changed")
	}
	w.same(files)
}

func TestCheckSaysWhereCommRComesFrom(t *testing.T) {
	w := newWorld(t)
	home, chain := w.homeWithStores("home"), w.chain(testkit.ChainOptions{}, testkit.Proving{})
	w.checkHome(home, "--numbers", "122").exits(3).says("s-t01000-122: undecided (its CommR is unknown, upgraded)", "commr-unknown", "CommR from: unknown 1")
	w.checkHome(home, "--numbers", "122", "--chain", chain).exits(0).says("CommR from: chain 1", "1 provable")
	w.checkHome(home, "--numbers", "110").exits(0).says("CommR from: metadata 1")
	w.checkHome(home, "--numbers", "110", "--verbose").exits(0).says("s-t01000-110: provable (CommR from the metadata, upgraded)")
	w.checkHome(home, "--numbers", "110,777").exits(3).says("number-not-found", "number 777 is nowhere", "check --numbers")
	w.checkHome(home, "--miner", "1005").exits(3).says("nothing was checked")
	w.env["FULLNODE_API_INFO"] = chain
	w.checkHome(home, "--numbers", "122").exits(0)
	w.checkHome(home, "--numbers", "122", "--without-chain").exits(3)
}

// flipByte flips a bit of a file.
func (w *world) flipByte(path string, offset int) {
	w.t.Helper()
	raw, err := os.ReadFile(path)
	w.must(err)
	raw[offset] ^= 1
	w.must(os.WriteFile(path, raw, 0o600))
}

func (w *world) swap(a, b string) {
	w.t.Helper()
	w.must(os.Rename(a, a+".x"))
	w.must(os.Rename(b, a))
	w.must(os.Rename(a+".x", b))
}

// What is wrong with a sector is named, with the file and what it means.
func TestCheckFindsDamage(t *testing.T) {
	const tree = "sc-02-data-tree-r-last.dat"
	tests := []struct {
		name    string
		damage  func(w *world, one, two string) // on the two stores
		numbers string
		finding string
		file    string
		says    string
	}{
		{"a flipped byte of a replica", func(w *world, one, _ string) { w.flipByte(one+"/sealed/s-t01000-100", 777) },
			"100", "segment-mismatch", "sealed/s-t01000-100", "offset 0"},
		{"a flipped byte of p_aux", func(w *world, one, _ string) { w.flipByte(one+"/cache/s-t01000-100/p_aux", 3) },
			"100", "commr-mismatch", "cache/s-t01000-100/p_aux", "p_aux belongs to CommR"},
		{"swapped caches", func(w *world, one, _ string) { w.swap(one+"/cache/s-t01000-100", one+"/cache/s-t01000-102") },
			"100", "commr-mismatch", "cache/s-t01000-100/p_aux", "another sector's"},
		{"the replica of a stranger", func(w *world, one, _ string) { w.swap(one+"/sealed/s-t01000-100", one+"/sealed/s-t01000-102") },
			"102", "segment-mismatch", "sealed/s-t01000-102", ""},
		{"no p_aux", func(w *world, _, two string) { w.must(os.Remove(two + "/cache/s-t01000-103/p_aux")) },
			"103", "missing-p_aux", "damocles-2/cache/s-t01000-103/p_aux", "comm_c"},
		{"a truncated tree", func(w *world, one, _ string) { w.must(os.Truncate(one+"/cache/s-t01000-104/"+tree, 31)) },
			"104", "tree-size", "cache/s-t01000-104/" + tree, "truncated"},
		{"no tree", func(w *world, one, _ string) { w.must(os.Remove(one + "/cache/s-t01000-104/" + tree)) },
			"104", "missing-tree", "cache/s-t01000-104/" + tree, ""},
		{"an empty replica", func(w *world, one, _ string) { w.must(os.Truncate(one+"/sealed/s-t01000-104", 0)) },
			"104", "replica-size", "sealed/s-t01000-104", "empty"},
		{"no replica", func(w *world, one, _ string) { w.must(os.Remove(one + "/sealed/s-t01000-104")) },
			"104", "missing-replica", "sealed/s-t01000-104", ""},
		{"no cache directory", func(w *world, _, two string) { w.must(os.RemoveAll(two + "/cache/s-t01000-103")) },
			"103", "missing-cache", "damocles-2/cache/s-t01000-103", ""},
		{"a fifo for a replica", func(w *world, one, _ string) {
			w.must(os.Remove(one + "/sealed/s-t01000-104"))
			w.must(unix.Mkfifo(one+"/sealed/s-t01000-104", 0o600))
		}, "104", "not-a-file", "sealed/s-t01000-104", ""},
		{"the cache where the update's is meant", func(w *world, one, _ string) {
			w.must(os.RemoveAll(one + "/update-cache/s-t01000-110"))
			w.must(os.CopyFS(one+"/update-cache/s-t01000-110", os.DirFS(one+"/cache/s-t01000-110")))
		}, "110", "commr-mismatch", "update-cache/s-t01000-110/p_aux", "before or after a snap upgrade"},
		{"the two caches of an upgraded sector swapped", func(w *world, one, _ string) {
			w.swap(one+"/update-cache/s-t01000-110", one+"/cache/s-t01000-110")
		}, "110", "commr-mismatch", "update-cache/s-t01000-110/p_aux", "cache/s-t01000-110 has the right one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			home := w.homeWithStores("home")
			tt.damage(w, w.store("damocles-1"), w.store("damocles-2"))
			r := w.checkHome(home, "--numbers", tt.numbers).exits(4).says(tt.finding, tt.file, "1 not provable")
			if !strings.Contains(strings.Join(strings.Fields(r.out), " "), tt.says) {
				t.Errorf("does not say %q:\n%s", tt.says, r.out)
			}
			lines := w.checkHome(home, "--json", "--numbers", tt.numbers).exits(4).lines()
			findings, err := json.Marshal(lines["sector"][0]["findings"])
			w.must(err)
			if !strings.Contains(string(findings), `"name":"`+tt.finding+`"`) || !strings.Contains(string(findings), tt.file) {
				t.Errorf("the findings are %s", findings)
			}
		})
	}
}

// Where the index and the disks do not agree, it is said.
func TestCheckIndex(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	one, two := w.store("damocles-1"), w.store("damocles-2")
	w.must(os.Rename(one+"/sealed/s-t01000-100", two+"/sealed/s-t01000-100"))
	w.must(os.WriteFile(one+"/sealed/s-t01000-999", make([]byte, 2048), 0o600))
	r := w.checkHome(home, "--json", "--numbers", "100-102,999").exits(4)
	if got, want := r.differences(), []string{"100 elsewhere", "999 unknown-files"}; !slices.Equal(got, want) {
		t.Errorf("differences %v, want %v", got, want)
	}
	if got := r.verdicts()[100]; got != "not-provable" {
		t.Errorf("100 is %s: damocles would not find it", got)
	}
	other := w.homeWithStores("other")
	w.must(os.RemoveAll(other + "/sector-index"))
	w.checkHome(other, "--numbers", "101").exits(4).says("not-in-index", "util storage attach", "1 provable")
	w.checkHome(home, "--numbers", "999").exits(4).says("s-t01000-999: unknown-files", one+"/sealed/s-t01000-999", "the metadata does not have it")
	w.must(os.RemoveAll(two))
	w.checkHome(w.homeWithStores("third"), "--numbers", "101").exits(4).says("store-missing", "see that its disk is mounted", "missing-replica")
	if exists(two) {
		t.Error("the store was made")
	}
}

// A record that cannot be read leaves the question open, unless the chain is asked.
func TestCheckBrokenRecord(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.set(home, "offline_meta", offlineKey(101), "{")
	args := []string{"--json", "--numbers", "100,101"}
	for _, tt := range []struct{ chain, want string }{
		{"", "map[100:provable 101:undecided] [101 record-broken]"},
		{w.chain(testkit.ChainOptions{}, testkit.Proving{}), "map[100:provable 101:provable] [101 record-broken]"},
	} {
		if tt.chain != "" {
			args = append(args, "--chain", tt.chain)
		}
		r := w.checkHome(home, args...).exits(3)
		if got := fmt.Sprint(r.verdicts(), r.differences()); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// A number that is on chain is not nowhere, even if the metadata has none of those
// that were asked for.
func TestCheckNumberOnChainAlone(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	chain := w.chain(testkit.ChainOptions{}, testkit.Proving{})
	r := w.checkHome(home, "--json", "--numbers", "3", "--chain", chain).exits(4)
	if got := fmt.Sprint(r.differences()); got != "[3 not-in-metadata]" {
		t.Errorf("differences %s", got)
	}
	w.checkHome(home, "--numbers", "99", "--chain", chain).exits(3).says("99 is nowhere")
}

// A number of which the stores that were named have no file is not nowhere either, if
// it is on chain.
func TestCheckNumberLostFromStores(t *testing.T) {
	w := newWorld(t)
	chain, dir := w.chain(testkit.ChainOptions{}, testkit.Proving{}), w.store("damocles-1")
	args := []string{"--store", dir, "--chain", chain, "--numbers", "100"}
	w.check(args...).exits(0).says("1 provable")
	w.must(os.Remove(dir + "/sealed/s-t01000-100"))
	w.must(os.RemoveAll(dir + "/cache/s-t01000-100"))
	w.check(args...).exits(4).says("s-t01000-100: not provable", "missing-replica").never("nowhere")
}

// What a node says that is not in sync is not taken for how it is now.
func TestCheckChainBehind(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	for _, tt := range []struct {
		age  time.Duration
		code int
	}{{0, 0}, {5 * time.Minute, 0}, {-time.Hour, 0}, {26 * time.Hour, 3}} {
		node := testkit.ProvingChain(t, testkit.ChainOptions{}, testkit.Proving{}).ServeHead(time.Now().Add(-tt.age))
		r := w.checkHome(home, "--numbers", "100", "--chain", node.Multiaddr()).exits(tt.code).says("1 provable")
		if tt.code != 0 {
			r.says("chain-behind", "26h0m0s old", "in sync")
		}
	}
}

func TestCheckDaemon(t *testing.T) {
	w := newWorld(t)
	w.daemon(testkit.DamoclesOptions{}).ServeStores(t, w.stores())
	got := w.check("--json", "--numbers", "100-112,119").exits(0).verdicts()
	if len(got) != 14 {
		t.Errorf("got %v", got)
	}
	w.check("--sealing-done").exits(5).says("s-t01000-117: being sealed in damocles", "s-t01000-118")
}

// A daemon that is named is asked which sectors there are, also where their files are
// looked for in other stores: one that is in none of them is missing.
func TestCheckDaemonInStores(t *testing.T) {
	w := newWorld(t)
	s := w.daemon(testkit.DamoclesOptions{})
	s.ServeStores(t, w.stores())
	w.must(os.Remove(w.store("damocles-1") + "/sealed/s-t01000-100"))
	w.must(os.RemoveAll(w.store("damocles-1") + "/cache/s-t01000-100"))
	args := []string{"--numbers", "100", "--store", w.store("damocles-1")}
	w.check(append(args, "--listen", w.addr)...).exits(4).says("s-t01000-100: not provable", "missing-replica").never("nowhere")
	w.check(args...).exits(3).says("100 is nowhere", "whatever lies in the stores")
}

// Chain, metadata and disk are held against each other.
func TestCheckThreeWays(t *testing.T) {
	t.Parallel()
	const other = "bagboea4b5abcairceirceirceirceirceirceirceirceirceirceirceirceirc"
	w := newWorld(t)
	onChain := func(n uint64, sealed, key string) json.RawMessage { return testkit.OnChain(n, sealed, key) }
	say := func(m map[uint64]json.RawMessage) testkit.ChainOptions {
		return testkit.ChainOptions{Sector: func(miner, n uint64) (json.RawMessage, bool) {
			raw, ok := m[n]
			return raw, ok && miner == 1000
		}}
	}
	commR := map[uint64]string{}
	var all []struct {
		Number uint64
		CommR  string
	}
	readJSONFile(t, testkit.Fixture(t, "switch-2k/sectors.json"), &all)
	for _, s := range all {
		commR[s.Number] = s.CommR
	}
	tests := []struct {
		name    string
		args    []string
		chain   map[uint64]json.RawMessage
		proving testkit.Proving
		want    []string
	}{
		{"home as it is", []string{"--home", w.homeWithStores("home"), "--miner", "1000"}, nil, testkit.Proving{}, []string{
			"117 not-finished", // the sectors of lotus-miner are on the same chain
		}},
		{"home, chain changed", []string{"--home", w.path("home")}, map[uint64]json.RawMessage{
			100: nil, 101: onChain(101, other, ""), 102: json.RawMessage(strings.Replace(string(onChain(102, commR[102], "")), `"SealProof":5`, `"SealProof":0`, 1)),
			110: onChain(110, commR[110], ""), 111: onChain(111, other, commR[111]), 115: onChain(115, commR[115], ""), 600: onChain(600, other, ""),
		}, testkit.Proving{More: []uint64{600}, Faulty: []uint64{104}}, []string{
			"100 not-on-chain", "101 commr-differs", "102 seal-proof-differs", "104 faulty-on-chain", "110 not-in-index", "110 upgrade-differs",
			"111 commr-differs", "115 not-finished", "117 not-finished", "600 not-in-metadata",
		}},
		{"repo as it is", []string{"--repo", w.repoWithStores("lotus")}, nil, testkit.Proving{}, nil},
		{"repo, chain changed", []string{"--repo", w.path("lotus")}, map[uint64]json.RawMessage{
			0: nil, 1: onChain(1, other, ""), 2: json.RawMessage(strings.Replace(string(onChain(2, commR[2], "")), `"SealProof":5`, `"SealProof":0`, 1)),
			3: onChain(3, other, commR[3]), 20: onChain(20, commR[20], ""), 25: onChain(25, commR[25], ""), 600: onChain(600, other, ""),
		}, testkit.Proving{More: []uint64{600}, Faulty: []uint64{4, 6}, Recovering: []uint64{6}}, []string{
			"0 not-on-chain", "1 commr-differs", "2 seal-proof-differs", "20 upgrade-differs", "25 not-finished", "3 upgrade-differs",
			"4 faulty-on-chain", "6 faulty-on-chain", "600 not-in-metadata",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"--json", "--chain", w.chain(say(tt.chain), tt.proving)}, tt.args...)
			r := w.check(args...).exits(4)
			got := r.differences()
			// what belongs to the other system is on chain, and in no metadata here
			got = slices.DeleteFunc(got, func(s string) bool {
				n, code, _ := strings.Cut(s, " ")
				return code == "not-in-metadata" && n != "600"
			})
			if !slices.Equal(got, tt.want) {
				t.Errorf("differences\n%q, want\n%q", got, tt.want)
			}
			for _, d := range r.lines()["difference"] {
				if d["text"] == "" || d["hint"] == nil {
					t.Errorf("no text or no next step: %v", d)
				}
			}
		})
	}
}

// The table of deadlines: the one that is open first, and how long the others have.
func TestCheckDeadlines(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	chain := w.chain(testkit.ChainOptions{}, testkit.Proving{Faulty: []uint64{100, 104}, Recovering: []uint64{104}})
	args := []string{"--chain", chain, "--miner", "1000", "--numbers", "100-112,117"}
	var got []string
	for _, d := range w.checkHome(home, append(args, "--json")...).exits(4).lines()["deadline"] {
		got = append(got, fmt.Sprint(d["deadline"], d["partition"], d["open"], d["opens"], d["opensIn"], d["sectors"], d["provable"],
			d["faulty"], d["recovering"], d["differences"]))
	}
	want := []string{
		"16 1 true 99960 0 3 3 0 0 0", "17 1 false 100020 600 3 3 0 0 0",
		"14 1 false 102720 81600 4 4 2 1 2", "15 1 false 102780 83400 4 4 0 0 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	w.flipByte(w.store("damocles-1")+"/sealed/s-t01000-100", 1)
	r := w.checkHome(home, args...).exits(4).says("deadline partition sectors", "now", "10m", "22h40m")
	for line := range strings.Lines(r.out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width && !strings.Contains(line, w.dir) {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// A check that was interrupted goes on where it was, and reads again only what has
// changed.
func TestCheckResume(t *testing.T) {
	w := newWorld(t)
	home, file := w.homeWithStores("home"), w.path("results.jsonl")
	args := []string{"--json", "--resume", file, "--numbers", "100-112"}
	reused := func(r *result) (n float64) { return r.lines()["summary"][0]["reused"].(float64) }
	if n := reused(w.checkHome(home, args...).exits(0)); n != 0 {
		t.Errorf("%v of nothing", n)
	}
	if n := reused(w.checkHome(home, args...).exits(0)); n != 13 {
		t.Errorf("%v of 13 were taken over", n)
	}
	if n := reused(w.checkHome(home, append(args, "--winning")...).exits(0)); n != 0 {
		t.Errorf("%v were taken over from a check of another kind", n)
	}
	w.flipByte(w.store("damocles-1")+"/sealed/s-t01000-100", 1)
	for range 2 { // found, and kept
		r := w.checkHome(home, args...).exits(4)
		if r.verdicts()[100] != "not-provable" || !strings.Contains(r.out, "segment-mismatch") {
			t.Errorf("the changed sector was not read again:\n%s", r.out)
		}
	}
	// half a line, as a kill leaves it, is cut off
	raw, err := os.ReadFile(file)
	w.must(err)
	w.must(os.WriteFile(file, raw[:len(raw)-9], 0o600))
	if n := reused(w.checkHome(home, args...).exits(4)); n != 12 {
		t.Errorf("%v taken over, want all but the torn one", n)
	}
}

func TestCheckInterrupted(t *testing.T) {
	w := newWorld(t)
	home, file := w.homeWithStores("home"), w.path("results.jsonl")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.ctx = ctx
	w.checkHome(home, "--resume", file).exits(130).says("run the same command again")
	w.ctx = t.Context()
	w.checkHome(home, "--resume", file, "--numbers", "100").exits(0)
}

// A type directory that hangs is reported, and so are the sectors in it.
func TestCheckHangingStore(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	dir := w.store("damocles-1") + "/sealed"
	w.must(os.Rename(dir, dir+".x"))
	w.must(unix.Mkfifo(dir, 0o600)) // to open it waits for a writer
	// the other store answers in a second on a busy machine, too
	r := w.checkHome(home, "--timeout", "1s", "--numbers", "100,101", "--json").exits(3)
	if got, want := fmt.Sprint(r.verdicts(), r.differences()), "map[100:undecided 101:provable] [store-unreadable]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	w.checkHome(home, "--timeout", "50ms", "--numbers", "100").exits(3).says("timeout", "the store gave no answer within 50ms", "--timeout")
	f, err := os.OpenFile(dir, os.O_RDWR, 0) // lets those go that were left behind
	w.must(err)
	f.Close()
}

// So is one that hangs while damocles's stores are looked for by a pattern.
func TestCheckHangingScan(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	w.must(os.WriteFile(home+"/sector-manager.cfg", []byte("[Common]\nScanPersistStores = [\""+w.stores()+"/damocles-*\"]\n"), 0o600))
	fifo := w.store("damocles-1") + "/sectorstore.json"
	w.must(unix.Mkfifo(fifo, 0o600)) // to open it waits for a writer
	timer := time.AfterFunc(time.Minute, func() {
		t.Error("it hangs")
		if f, err := os.OpenFile(fifo, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	})
	defer timer.Stop()
	w.checkHome(home, "--timeout", "50ms", "--numbers", "100").exits(1).says("ScanPersistStores", "no answer within 50ms", "--store")
	f, err := os.OpenFile(fifo, os.O_RDWR, 0) // lets those go that were left behind
	w.must(err)
	f.Close()
}

func TestCheckSealingDone(t *testing.T) {
	w := newWorld(t)
	home, repo := w.homeWithStores("home"), w.repoWithStores("lotus")
	list := func(r *result) (out []string) {
		for _, l := range r.lines()["sealing"] {
			out = append(out, fmt.Sprintf("%s %.0f %s", l["system"], l["number"], l["state"]))
		}
		return out
	}
	damocles := []string{"damocles 117 online", "damocles 118 online"}
	lotus := []string{"lotus-miner 23 FinalizeReplicaUpdate", "lotus-miner 25 PreCommit1", "lotus-miner 26 WaitDeals", "lotus-miner 30 FinalizeSector"}
	tests := []struct {
		name string
		args []string
		want []string
		code int
	}{
		{"damocles", []string{"--home", home}, damocles, 5},
		{"both", []string{"--home", home, "--repo", repo}, append(slices.Clone(damocles), lotus...), 5},
		{"a lotus-miner, and no damocles yet", []string{"--repo", repo}, lotus, 5},
		{"another miner", []string{"--home", home, "--miner", "1001"}, nil, 0},
		{"numbers", []string{"--home", home, "--numbers", "100-116"}, nil, 0},
		{"over the API", []string{"--home", home, "--api", testkit.Lotus(t, testkit.LotusOptions{}).Multiaddr()}, append(slices.Clone(damocles), lotus[0], lotus[1], "lotus-miner 26 PreCommit1", lotus[3]), 5},
	}
	for _, tt := range tests {
		r := w.check(append([]string{"--sealing-done", "--json"}, tt.args...)...).exits(tt.code)
		if got := list(r); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	w.check("--sealing-done", "--home", home).exits(5).says("s-t01000-118: being sealed in damocles (online)", "2 sectors are still being sealed", "hint:")
	w.check("--sealing-done", "--home", home, "--miner", "1001").exits(0).says("no sector is being sealed")
	// what was not there to be looked at is not done
	w.check("--sealing-done", "--home", home, "--miner", "1002").exits(3).says("no sector is known").never("no sector is being sealed")
	w.check("--sealing-done", "--home", home, "--numbers", "100,998-999").exits(3).says("998-999 is nowhere").never("no sector is being sealed")
	w.check("--sealing-done", "--home", home, "--numbers", "118,999").exits(5).says("999 is nowhere", "s-t01000-118: being sealed")
	w.set(home, "offline_meta", offlineKey(101), "{")
	w.check("--sealing-done", "--home", home, "--numbers", "101").exits(3).says("s-t01000-101: not known")
}

// A sector that lotus-miner seals again by itself is not done: its precommit may be
// on chain, and with it a deposit.
func TestCheckSealingRetried(t *testing.T) {
	w := newWorld(t)
	repo := w.repo("lotus")
	w.mutateSector("lotus", 1, func(raw []byte) []byte {
		return bytes.Replace(raw, []byte("gProving"), []byte("rComputeProofFailed"), 1)
	})
	w.check("--sealing-done", "--repo", repo, "--numbers", "1-3").exits(5).
		says("s-t01000-1: being sealed in lotus-miner (ComputeProofFailed)").never("no sector is being sealed", "s-t01000-2")
}

// A state that only a newer lotus-miner has may be one of sealing.
func TestCheckSealingUnknownState(t *testing.T) {
	w := newWorld(t)
	repo := w.repo("lotus")
	w.mutateSector("lotus", 1, func(raw []byte) []byte { return bytes.Replace(raw, []byte("gProving"), []byte("gSeals2b"), 1) })
	r := w.check("--sealing-done", "--repo", repo, "--numbers", "1-3").exits(3)
	r.says(`s-t01000-1: not known, in lotus-miner: the state "Seals2b"`).never("no sector is being sealed", "s-t01000-2")
	line := w.check("--sealing-done", "--json", "--repo", repo, "--numbers", "1-3").exits(3).lines()["sealing"][0]
	if line["state"] != "Seals2b" || !strings.Contains(fmt.Sprint(line["reason"]), "newer") {
		t.Errorf("got %v", line)
	}
}

func TestCheckComplaints(t *testing.T) {
	t.Parallel()
	check(t, []complaint{
		{name: "two depths", code: 2, args: line("check", "--window", "--full"), says: []string{"--window and --full cannot be given together"}, hint: "one of them"},
		{name: "no challenges", code: 2, args: line("check", "--challenges", "0"), says: []string{"out of range"}, hint: "--full reads everything"},
		{name: "no jobs", code: 2, args: line("check", "--jobs", "0"), says: []string{"--jobs 0"}, hint: "4"},
		{name: "no time", code: 2, args: line("check", "--timeout", "0s"), says: []string{"leaves no time"}, hint: "90s"},
		{name: "a time that is none", code: 2, args: line("check", "--timeout", "soon"), says: []string{"it takes a time, as 90s or 2m"}, hint: "--help"},
		{name: "an empty store", code: 2, args: line("check", "--store", ""), says: []string{"--store is empty"}, hint: "give it a value"},
		{name: "a store that is not there", code: 1, args: line("check", "--store", "/nowhere/at/all"), says: []string{"/nowhere/at/all"}, hint: "sealed, cache"},
		{name: "a store that is a file", code: 1, args: func(w *world) []string { return []string{"check", "--store", w.write("f", "")} },
			says: []string{"is no directory"}, hint: "sealed, cache"},
		{name: "no home", code: 1, args: line("check"), says: []string{"no damocles-manager home"}, hint: "--home"},
		{name: "a home without stores", code: 1, args: func(w *world) []string {
			home := w.home("home")
			w.must(os.WriteFile(home+"/sector-manager.cfg", nil, 0o600))
			return []string{"--home", home, "check"}
		}, says: []string{"has no stores"}, hint: "--store"},
		{name: "a repo without paths", code: 1, args: func(w *world) []string {
			repo := w.repo("lotus")
			w.must(os.WriteFile(repo+"/storage.json", []byte("{}"), 0o600))
			return []string{"check", "--repo", repo}
		}, says: []string{"names no storage path"}, hint: "--store"},
		{name: "a repo of another miner", code: 5, args: func(w *world) []string { return []string{"check", "--repo", w.repo("lotus"), "--miner", "1001"} },
			says: []string{"belongs to f01000, not to f01001"}, hint: "leave --miner out"},
		{name: "results in a store", code: 2, args: func(w *world) []string {
			return []string{"check", "--store", w.store("damocles-1"), "--resume", w.store("damocles-1") + "/sealed/x"}
		}, says: []string{"lies in the store"}, hint: "elsewhere"},
		{name: "results in no directory", code: 1, args: func(w *world) []string {
			return []string{"check", "--store", w.store("damocles-1"), "--resume", w.path("no/file")}
		}, says: []string{"make the file of results"}, hint: "may write to"},
		{name: "a foreign file of results", code: 5, args: func(w *world) []string {
			return []string{"check", "--store", w.store("damocles-1"), "--resume", w.write("foreign", "{\"a\":1}\n")}
		}, says: []string{"is no file of results"}, hint: "or a new one"},
		{name: "storage paths that a token may not see", code: 1, args: func(w *world) []string {
			return []string{"check", "--api", testkit.Lotus(w.t, testkit.LotusOptions{Options: testkit.Options{Token: "admin", ReadToken: "read"}}).Multiaddr()}
		}, says: []string{"ask for its storage paths"}, hint: "--perm admin"},
		{name: "sealing done of stores", code: 2, args: line("check", "--sealing-done", "--full"), says: []string{"metadata only"}, hint: "second time"},
		{name: "a miner that the chain does not have", code: 1, args: func(w *world) []string {
			return []string{"check", "--store", w.store("damocles-1"), "--miner", "1002", "--chain", w.chain(testkit.ChainOptions{}, testkit.Proving{})}
		}, says: []string{"f01002", "actor not found"}, hint: "log of chain node"},
		{name: "a node without deadlines", code: 1, args: func(w *world) []string {
			return []string{"check", "--store", w.store("damocles-1"), "--miner", "1000", "--chain", testkit.Chain(w.t, testkit.ChainOptions{}).Multiaddr()}
		}, says: []string{"StateMinerPartitions"}, hint: "chain node"},
	})
}

// The manual names every finding and every code.
func TestCheckManual(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testkit.Fixture(t, ".."), "..", "docs", "json-output.md"))
	if err != nil {
		t.Fatal(err)
	}
	section := sectionOf(t, string(raw), "check")
	for _, name := range []post.Name{
		post.MissingReplica, post.MissingCache, post.MissingPAux, post.MissingTree, post.NotAFile, post.NotADirectory, post.ReplicaSize,
		post.PAuxShort, post.TreeSize, post.CommRMismatch, post.CommRInvalid, post.RootsMismatch, post.SegmentMismatch, post.PathMismatch,
		post.NonCanonical, post.ReadError, post.CommRUnknown, post.Timeout, post.NoPermission, post.PAuxLong, post.TAuxAbsent, post.RowsDiscarded,
		audit.StoreUnreachable,
	} {
		if !strings.Contains(section, "`"+string(name)+"`") {
			t.Errorf("no finding %s", name)
		}
	}
	for _, code := range []audit.Code{
		audit.NotInMetadata, audit.NotFinished, audit.NotOnChain, audit.CommRDiffers, audit.ProofDiffers, audit.UpgradeDiffers,
		audit.FaultyOnChain, audit.UnknownFiles, audit.NotInIndex, audit.StoreUnknown, audit.Elsewhere, audit.StoreMissing, audit.RowsDiffer,
		audit.StoreUnreadable, audit.RecordBroken, audit.NumberNotFound, audit.ChainBehind,
	} {
		if !strings.Contains(section, "`"+string(code)+"`") {
			t.Errorf("no difference %s", code)
		}
	}
}
