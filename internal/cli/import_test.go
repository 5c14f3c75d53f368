package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/lotus"
	"damocles-manager/internal/testkit"
)

const arrive27 = "import: 27 written (4 upgraded), 0 unchanged, 0 conflicts, 3 unfinished, 2 skipped (Removed 1, TerminateFinality 1), 0 failed"

// the 27 that arrive without a chain node
func arrived() []int {
	var out []int
	for n := range 32 {
		switch n {
		case 23, 25, 26, 27, 29:
		default:
			out = append(out, n)
		}
	}
	return out
}

func checkImported(t *testing.T, w *world, home string, want []int) {
	t.Helper()
	upgraded := map[int]bool{20: true, 21: true, 22: true, 24: true}
	got := w.sectorsCmd(home, "list", "--offline", "--snapup", "--json").exits(0).lines()["sector"]
	if len(got) != len(want) {
		t.Fatalf("got %d sectors, want %d: %v", len(got), len(want), got)
	}
	byNumber := map[int]map[string]any{}
	for _, s := range got {
		byNumber[int(s["number"].(float64))] = s
	}
	for _, n := range want {
		s := byNumber[n]
		if s == nil {
			t.Errorf("sector %d is not there", n)
			continue
		}
		if s["finalized"] != true || s["imported"] != true || s["upgraded"] != upgraded[n] {
			t.Errorf("sector %d: %v, upgraded should be %v", n, s, upgraded[n])
		}
	}
}

func TestImportFromRepo(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")

	w.sectorsCmd(home, "import", "--repo", repo, "--dry-run").exits(3).
		says("27 would be written", "s-t01000-23: unfinished", "may have to be proven daily", "s-t01000-25: unfinished", "s-t01000-26: unfinished")
	if _, err := os.Stat(home); err == nil {
		t.Fatal("a dry run made the home")
	}
	w.sectorsCmd(home, "import", "--repo", repo).exits(3).
		says(arrive27, "creating the home", "next sector number in damocles: above 31", "import rollback").
		says("s-t01000-27: skipped", "s-t01000-29: skipped")
	if fi, err := os.Stat(home); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the home is %v, %v; want mode 0700", fi.Mode(), err)
	}
	checkImported(t, w, home, arrived())
	w.sectorsCmd(home, "list", "--offline=true").exits(0).says("Count: 23", "left out: 4 upgraded (show with --snapup)")

	// a second import changes nothing and says so
	before := testkit.Digest(t, filepath.Join(home, "offline_meta"), "*.vlog")
	w.sectorsCmd(home, "import", "--repo", repo).exits(3).
		says("damocles has all 27 sectors already, equal: nothing was changed", "0 written, 27 unchanged").never("undo with")
	if after := testkit.Digest(t, filepath.Join(home, "offline_meta"), "*.vlog"); after != before {
		t.Error("the second import wrote into the home")
	}
}

func TestImportOverRPC(t *testing.T) {
	for _, fromRepo := range []bool{false, true} {
		t.Run(fmt.Sprintf("states of the repo %v", fromRepo), func(t *testing.T) {
			w := newWorld(t)
			miner := testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: fromRepo, Options: testkit.Options{Token: "secret-token"}})
			home := w.path("home")
			r := w.sectorsCmd(home, "import", "--api="+miner.Multiaddr(), "--token=secret-token").exits(3).
				says("27 written (4 upgraded)", "3 unfinished", "2 skipped").never("secret-token")
			for _, n := range []string{"23", "25", "26"} {
				r.says("s-t01000-" + n + ": unfinished")
			}
			r.says("s-t01000-27: skipped", "s-t01000-29: skipped", "leaves out fields")
			checkImported(t, w, home, arrived())
			w.sectorsCmd(home, "import", "--api="+miner.Multiaddr(), "--token=secret-token").exits(3).says("27 unchanged", "nothing was changed")
		})
	}
}

func TestImportWithChain(t *testing.T) {
	node := testkit.Chain(t, testkit.ChainOptions{})
	for _, source := range []string{"repo", "rpc"} {
		t.Run(source, func(t *testing.T) {
			w := newWorld(t)
			home := w.path("home")
			from := []string{"--repo", w.repo("lotus")}
			if source == "rpc" {
				from = []string{"--api", testkit.Lotus(t, testkit.LotusOptions{FromRepoJSON: true}).Multiaddr()}
			}
			// 25 and 26 are not on chain, and stay unfinished
			w.sectorsCmd(home, append([]string{"import", "--chain", node.Multiaddr()}, from...)...).exits(3).
				says("28 written (4 upgraded)", "2 unfinished", "2 skipped")
			checkImported(t, w, home, append(arrived(), 23))

			// 23 as CC: the original pieces, no upgrade
			state := w.sectorsCmd(home, "state", "f01000", "23", "--json").exits(0).lines()["state"][0]["state"].(map[string]any)
			if state["Upgraded"] != false || state["UpgradedInfo"] != nil || state["UpgradePublic"] != nil {
				t.Errorf("23 is not CC: %v", state)
			}
			// what only the chain knows of an upgraded one
			state = w.sectorsCmd(home, "state", "f01000", "20", "--json").exits(0).lines()["state"][0]["state"].(map[string]any)
			public, _ := state["UpgradePublic"].(map[string]any)
			info, _ := state["UpgradedInfo"].(map[string]any)
			if public["Activation"] != 5000.0 || public["Expiration"] != 1500000.0 {
				t.Errorf("20: activation and expiration are %v and %v", public["Activation"], public["Expiration"])
			}
			cid, _ := info["SealedCID"].(map[string]any)
			if cid["/"] != "bagboea4b5abcaio4ac54zb3pvwnbxlz6yxmfsx4h52ymltor54e6ztssufadkpck" {
				t.Errorf("20: SealedCID %v", info["SealedCID"])
			}
		})
	}
}

func TestImportNumbers(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers=0", "--numbers=2,3", "--numbers", "8-9").exits(0).says("5 written")
	checkImported(t, w, home, []int{0, 2, 3, 8, 9})
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "0,40-41,99").exits(3).
		says("number 40-41 is not there", "number 99 is not there", "1 unchanged", "2 missing")
	// the number is above all that lotus-miner has, whatever was selected
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "0").exits(0).says("next sector number in damocles: above 31")
}

func TestImportConflicts(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	w.sectorsCmd(home, "import", "--repo", repo).exits(3)
	// lotus-miner goes on: 8 gets another proof, as after a repair by hand
	w.mutateSector("lotus", 8, func(b []byte) []byte {
		return []byte(strings.Replace(string(b), "\x4c\x72\x25\x61", "\x4c\x72\x25\x62", 1))
	})
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "8,9").exits(3).
		says("s-t01000-8: conflict: damocles has it, and differs", "Original.Proof: has", "would be", "--override").says("1 unchanged", "1 conflicts")
	r := w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "8,9", "--override").exits(0).says("1 written", "1 unchanged")

	// undone, it has the old one again
	journal := r.undoes()
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "8").exits(0).says("1 unchanged")
	w.sectorsCmd(home, "import", "rollback", "--backup", journal).exits(0).says("0 deleted, 1 restored")
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "8").exits(3).says("conflict")
}

// A record in the online workspace is never written over, not even by force.
func TestImportNeverTouchesOnline(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.emptyRepo("lotus")
	w.copySector("000-Proving.cbor", "lotus", 117)
	before := w.sectorsCmd(home, "state", "f01000", "117").exits(0).out
	for _, args := range [][]string{{}, {"--override"}} {
		w.sectorsCmd(home, append([]string{"import", "--repo", w.path("lotus")}, args...)...).exits(3).
			says("s-t01000-117: conflict: it is online in damocles")
	}
	if after := w.sectorsCmd(home, "state", "f01000", "117").exits(0).out; after != before {
		t.Error("117 has changed")
	}
}

// A run that was stopped before it wrote anything has no journal, and a rollback
// without --backup takes the run before it: it says which one that is, and how to
// take that back.
func TestRollbackSaysWhatItUndoes(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	w.sectorsCmd(home, "import", "--repo", repo).exits(3)
	before := w.sectorsCmd(home, "list", "--offline", "--snapup", "--json").exits(0).out
	which := []string{"undoing the import of f01000 that began at 20", " UTC, the newest that wrote something: " + home}

	w.sectorsCmd(home, "import", "rollback", "--dry-run").exits(0).says(which...).never("take this back", "interrupted")
	r := w.sectorsCmd(home, "import", "rollback", "--quiet").exits(0).says(which...).says("27 deleted", "take this back with: ")
	w.sectorsCmd(home, "list", "--offline", "--snapup").exits(0).says("Count: 0")

	back := w.sectorsCmd(home, "import", "rollback", "--backup", r.undoes()).exits(0).
		says("undoing the rollback that began at 20", "27 restored").never("the newest")
	if after := w.sectorsCmd(home, "list", "--offline", "--snapup", "--json").exits(0).out; after != before {
		t.Errorf("the sectors are not back:\n%s", after)
	}
	w.sectorsCmd(home, "import", "rollback", "--backup", back.undoes(), "--dry-run").exits(0).says("27 would be deleted")
}

// Whether the upgrade of a faulty sector is on chain, only the chain knows: without
// one it is carried as not upgraded, and that is said.
func TestImportOfAFaultyUpgrade(t *testing.T) {
	w := newWorld(t)
	repo := w.repo("lotus")
	for _, n := range []uint64{3, 20} { // 3 was never upgraded
		w.mutateSector("lotus", n, func(b []byte) []byte {
			out, err := lotus.WithState(b, "FaultReported")
			if err != nil {
				t.Fatal(err)
			}
			return out
		})
	}
	w.sectorsCmd(w.path("home"), "import", "--repo", repo, "--numbers", "3,20").exits(0).
		says("2 written, 0", "note: s-t01000-20: it has a snap upgrade").never("s-t01000-3:")
	chain := testkit.Chain(t, testkit.ChainOptions{}).Multiaddr()
	w.sectorsCmd(w.path("home"), "import", "--repo", repo, "--numbers", "3,20", "--chain", chain).exits(3).
		says("Upgraded: has false, would be true").never("it has a snap upgrade")
	w.sectorsCmd(w.path("other"), "import", "--repo", repo, "--numbers", "3,20", "--chain", chain).exits(0).
		says("2 written (1 upgraded)").never("it has a snap upgrade")
}
