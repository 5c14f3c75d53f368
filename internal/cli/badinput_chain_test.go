package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"damocles-manager/internal/lotus"
	"damocles-manager/internal/testkit"
)

// commR is the CommR of another fixture sector, well formed and wrong.
const otherCommR = "bagboea4b5abcaio4ac54zb3pvwnbxlz6yxmfsx4h52ymltor54e6ztssufadkpck"

// chainSays is a chain node that says something else of one sector.
func chainSays(t *testing.T, number uint64, raw json.RawMessage) string {
	return testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) { return raw, n == number }}).Multiaddr()
}

// A sector on which chain and metadata disagree is left behind, with both
// values; the others are carried.
func TestChainDisagrees(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		number uint64
		chain  json.RawMessage
		says   []string
	}{
		{"another replica", 8, testkit.OnChain(8, otherCommR, ""), []string{"s-t01000-8: failed: the chain's CommR is " + otherCommR + ", the metadata's bagboea4b5abc", "check both"}},
		{"another key of an upgrade", 20, testkit.OnChain(20, otherCommR, otherCommR), []string{"s-t01000-20: failed: the chain's CommR is " + otherCommR + ", the metadata's bagboea4b5abc"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			repo, home := w.repo("lotus"), w.path("home")
			r := w.sectorsCmd(home, "import", "--repo", repo, "--chain", chainSays(t, tt.number, tt.chain)).exits(3).readable().
				says(tt.says...).says("27 written", "1 failed")
			w.sectorsCmd(home, "state", "1000", fmt.Sprint(tt.number)).complains(1, "")
			// once they agree, the one that was left behind follows
			w.sectorsCmd(home, "import", "--repo", repo, "--chain", testkit.Chain(t, testkit.ChainOptions{}).Multiaddr()).exits(3).says("1 written", "27 unchanged")
			w.paste(r)

			w.emptyRepo("back")
			w.sectorsCmd(home, "import", "--repo", repo).exits(3)
			w.export(home, w.path("back"), "--chain", chainSays(t, tt.number, tt.chain)).exits(3).readable().
				says(tt.says...).says("1 failed", "export failure number: 1")
			if _, ok := sectors(w.metadata("back"))[fmt.Sprint("/sectors/", tt.number)]; ok {
				t.Error("it was written nevertheless")
			}
		})
	}
}

// What the chain no longer has is carried, as lotus-miner has it, and said.
func TestChainHasItNoLonger(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	w.sectorsCmd(home, "import", "--repo", repo, "--chain", chainSays(t, 8, nil)).exits(3).
		says("28 written", "s-t01000-8: the chain does not have it (any more): expired or terminated")
	w.emptyRepo("back")
	w.export(home, w.path("back"), "--chain", chainSays(t, 8, nil)).exits(0).says("s-t01000-8: the chain does not have it (any more)")
}

// A chain node that does not know the miner is of another network: nothing is
// begun that could not be ended.
func TestChainOfAnotherNetwork(t *testing.T) {
	node := testkit.Chain(t, testkit.ChainOptions{})
	ask := func(args ...string) func(*world) []string { return into(append(args, "--chain", node.Multiaddr())...) }
	says := []string{"ask the chain for the sector numbers of f02000", "actor not found"}
	check(t, []complaint{
		{name: "finalize", code: 1, args: ask("finalize", "--miner=2000", "117", "--really-do-it"), says: says, hint: "see the log of chain node"},
		{name: "export", code: 1, args: ask("export", "--miner=2000", "metadata"), says: says, hint: "see the log of chain node"},
		{name: "import", code: 1, says: says, hint: "see the log of chain node", args: func(w *world) []string {
			miner := testkit.Lotus(w.t, testkit.LotusOptions{Options: testkit.Options{
				Results: map[string]json.RawMessage{"Filecoin.ActorAddress": json.RawMessage(`"t02000"`)},
			}})
			return []string{"--home", w.path("new"), "import", "--api", miner.Multiaddr(), "--chain", node.Multiaddr()}
		}},
	})
}

// Nothing to carry is said, not passed over: it may be the wrong home.
func TestNothingToCarry(t *testing.T) {
	w := newWorld(t)
	w.emptyRepo("lotus")
	w.sectorsCmd(w.path("empty"), "import", "--repo", w.path("lotus")).exits(0).says("lotus-miner has no sectors").never("undo with")
	w.export(w.path("empty"), w.path("lotus")).exits(0).says("damocles has no sectors of f01000")
}

// Finalize asks first, and names what does not fit.
func TestFinalizeAgainstTheChain(t *testing.T) {
	tests := []struct {
		name  string
		chain json.RawMessage
		says  string
	}{
		{"not there", nil, "s-t01000-117: failed: the chain does not have it"},
		{"another replica", testkit.OnChain(117, otherCommR, ""), "s-t01000-117: failed: the chain's CommR is " + otherCommR + ", the metadata's bagboea4b5abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			home := w.home("home")
			before := w.sectorsCmd(home, "state", "1000", "117", "--json").exits(0).out
			args := []string{"finalize", "--miner=1000", "117", "--chain", chainSays(t, 117, tt.chain)}
			w.sectorsCmd(home, append(args, "--dry-run")...).exits(3).readable().says(tt.says, "\thint: ")
			w.sectorsCmd(home, append(args, "--really-do-it")...).exits(3).readable().says(tt.says, "\thint: ").never("undo with")
			if after := w.sectorsCmd(home, "state", "1000", "117", "--json").exits(0).out; after != before {
				t.Error("it was changed nevertheless")
			}
		})
	}
	w := newWorld(t)
	home := w.home("home")
	w.sectorsCmd(home, "finalize", "--miner=1000", "117", "--really-do-it").complains(5, "--chain").says("not known")
	w.sectorsCmd(home, "finalize", "--miner=1000", "999", "--really-do-it", "--without-chain").exits(3).says("s-t01000-999", "\thint: ")
}

// A node that is not in sync does not have what is newer: 20 would be carried as not
// upgraded, and damocles would prove it from the wrong files. So nothing is done by
// the word of such a node.
func TestChainBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	repo, home, dest := w.repo("lotus"), w.home("home"), w.path("dest")
	node := testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) {
		return testkit.OnChain(20, "bagboea4b5abcbhtdl6tznc6v5szuzrhwu4leesytayeaucwrxlh4adilf5g4gyis", ""), n == 20
	}}).ServeHead(time.Now().Add(-26 * time.Hour)).Multiaddr()
	for _, args := range [][]string{
		{"--home", w.path("new"), "util", "sealer", "sectors", "import", "--repo", repo},
		{"--home", home, "util", "sealer", "sectors", "export", "--miner", "f01000", "metadata", "--dest-repo", repo},
		{"--home", home, "util", "sealer", "sectors", "export", "--miner", "f01000", "files", "--dest-path", dest},
		{"--home", home, "util", "sealer", "sectors", "finalize", "--miner", "f01000", "117", "--really-do-it"},
		{"--home", home, "util", "storage", "quarantine", "purge", "--really-do-it"},
	} {
		w.run(append(args, "--chain", node)...).complains(5, "in sync").says("26h0m0s old")
	}
	for _, path := range []string{w.path("new"), dest} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was made", path)
		}
	}
}

// A sector that was upgraded on chain after it had been carried is not what its origin
// says any more: it must not return as committed capacity, which would be snapped again.
func TestUpgradedOnChainSinceItWasCarried(t *testing.T) {
	t.Parallel()
	const commR3, commR100 = "bagboea4b5abcablbcqof26fagvpncgfjn57umki6ewjlz22syywebp655kosruil", "bagboea4b5abcbanw5r22grt3vtksd4l42s5wl6wu5qjq47c4nekripa2526hmljq"
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.home("home")
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "3").exits(0).says("1 written")
	node := chainSays(t, 3, testkit.OnChain(3, otherCommR, commR3))

	w.emptyRepo("back")
	w.export(home, w.path("back"), "--chain", node).exits(3).
		says("note: s-t01000-122, s-t01000-3: its pieces are unknown, so lotus-miner sees it as committed capacity: never snap it again")
	info, err := lotus.Decode([]byte(sectors(w.metadata("back"))["/sectors/3"]))
	w.must(err)
	if info.UpdateSealed == nil || info.UpdateSealed.String() != otherCommR {
		t.Errorf("the CommR of its update in the repo is %v", info.UpdateSealed)
	}
	w.export(home, w.path("back"), "--chain", node).exits(3).says("0 written", "0 conflicts")
	// in the repo that it came from it has not changed either
	w.export(home, repo, "--chain", node).exits(3).says("s-t01000-3: conflict", "Update.CommR: has none, would be "+otherCommR)

	// the same the other way round
	w.emptyRepo("plain")
	w.export(home, w.path("plain")).exits(3)
	node = chainSays(t, 100, testkit.OnChain(100, otherCommR, commR100))
	args := []string{"import", "--repo", w.path("plain"), "--chain", node, "--numbers", "100"}
	w.sectorsCmd(home, args...).exits(3).says("s-t01000-100: conflict", "Update.CommR: has none, would be "+otherCommR)
	w.sectorsCmd(home, append(args, "--override")...).exits(0).says("1 written (1 upgraded)")
	w.sectorsCmd(home, args...).exits(0).says("1 unchanged")
}
