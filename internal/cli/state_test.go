package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/testkit"
)

// bothWays runs a test on the fixture home directly, and through a daemon that
// has the same sectors.
func bothWays(t *testing.T, fn func(t *testing.T, w *world, cmd func(args ...string) *result)) {
	t.Helper()
	t.Run("home", func(t *testing.T) {
		w := newWorld(t)
		home := w.home("home")
		fn(t, w, func(args ...string) *result { t.Helper(); return w.sectorsCmd(home, args...) })
	})
	t.Run("daemon", func(t *testing.T) {
		w := newWorld(t)
		w.daemon(testkit.DamoclesOptions{})
		fn(t, w, func(args ...string) *result { t.Helper(); return w.cmd(args...) })
	})
}

// same compares the whole of stdout.
func (r *result) same(want string) *result {
	r.t.Helper()
	if r.out != want {
		r.t.Errorf("%s\nprints\n%s\nwant\n%s", r.args, r.out, want)
	}
	return r
}

// mended is what the original prints of a sector, without its two defects: it
// prints the UnsealedCID for the SealedCID, and "b" for a CID that is not there.
func mended(t *testing.T, number, out string) string {
	t.Helper()
	out = strings.ReplaceAll(out, "CID: b\n", "CID: NULL\n")
	before, after, ok := strings.Cut(out, "\tSealedCID: ")
	if !ok {
		return out
	}
	var state struct {
		UpgradedInfo struct {
			SealedCID *struct {
				CID string `json:"/"`
			}
		}
	}
	readJSONFile(t, testkit.Glob(t, "damocles-states/"+number+"-*.json")[0], &state)
	_, rest, _ := strings.Cut(after, "\n")
	cid := "NULL"
	if c := state.UpgradedInfo.SealedCID; c != nil {
		cid = c.CID
	}
	return before + "\tSealedCID: " + cid + "\n" + rest
}

func TestStateIsAsInTheOriginal(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *world, cmd func(...string) *result) {
		for _, path := range testkit.Glob(t, "cli/state-o*.txt") {
			name := filepath.Base(path)
			number := name[len(name)-len("100.txt") : len(name)-len(".txt")]
			out := printed(t, name)
			want := mended(t, number, out)
			if upgraded := number == "110" || number == "122"; (want != out) != upgraded {
				t.Errorf("%s: mended %v", name, want != out)
			}
			args := []string{"state", "1000", number}
			if strings.Contains(name, "-offline-") {
				args = []string{"state", "--offline", "f01000", number}
			}
			cmd(args...).exits(0).same(want)
		}
	})
}

// A sector is looked for in both workspaces, whatever --offline says, as in the
// original, and the online one comes first.
func TestStateLooksInBothWorkspaces(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *world, cmd func(...string) *result) {
		for _, number := range []string{"100", "118"} {
			with, without := cmd("state", "--offline", "t01000", number).exits(0), cmd("state", "t01000", number).exits(0)
			with.same(without.out)
		}
		cmd("state", "--offline", "1000", "999").exits(1).same("").says("s-t01000-999: key not found", "hint:")
		cmd("state", "1002", "100").exits(1).same("").says("s-t01002-100: key not found")
		cmd("state", "1000").exits(2)
		cmd("state", "1000", "x").exits(2)
	})
}

// --json gives the record as it is, also one that cannot be decoded.
func TestStateJSONIsTheRecord(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *world, cmd func(...string) *result) {
		for _, number := range []string{"104", "110", "117", "122"} {
			line := cmd("state", "1000", number, "--json").exits(0).lines()["state"][0]
			got, err := json.Marshal(line["state"])
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(testkit.Glob(t, "damocles-states/"+number+"-*.json")[0])
			if err != nil {
				t.Fatal(err)
			}
			if canonicalJSON(t, string(got)) != canonicalJSON(t, string(want)) {
				t.Errorf("%s: got %s\nwant %s", number, got, want)
			}
		}
	})
	w := newWorld(t)
	home := w.home("home")
	w.changeState(home, 100, `"SectorType":5`, `"SectorType":"x"`)
	w.changeState(home, 101, `}`, ``)
	w.sectorsCmd(home, "state", "1000", "100").exits(1).says("the record of s-t01000-100 cannot be decoded", "SectorType", "--json")
	w.sectorsCmd(home, "state", "1000", "101").exits(1).says("cannot be decoded")
	r := w.sectorsCmd(home, "state", "1000", "100", "--json").exits(0).lines()
	if state := r["state"][0]["state"].(map[string]any); state["SectorType"] != "x" {
		t.Errorf("100: %v", state)
	}
	r = w.sectorsCmd(home, "state", "1000", "101", "--json").exits(0).lines()
	if line := r["state"][0]; line["state"] != nil || line["raw"] == nil {
		t.Errorf("101: %v", line)
	}
}
