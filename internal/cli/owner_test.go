package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"damocles-manager/internal/testkit"
)

// sharedWorld is a world that belongs to another user, for root to work in.
func sharedWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root can work for another user")
	}
	w := newWorld(t)
	w.dir = openDir(t)
	w.env["HOME"] = w.dir
	return w
}

// give hands everything below a directory over to nobody.
func (w *world) give(dir string) {
	w.t.Helper()
	w.must(filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	}))
}

// owned checks that all below the world's directory belongs to nobody, and that
// nothing became executable or open to others that should not be.
func (w *world) owned(after string) {
	w.t.Helper()
	w.must(filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != nobody || st.Gid != nobody {
			w.t.Errorf("after %s, %s belongs to %d:%d", after, path, st.Uid, st.Gid)
		}
		if info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			w.t.Errorf("after %s, %s has mode %v", after, path, info.Mode())
		}
		return nil
	}))
}

func TestRootWorksForTheOwner(t *testing.T) {
	w := sharedWorld(t)
	home := w.home("home")
	w.repo("lotus")
	w.emptyRepo("back")
	w.give(w.dir)
	node := testkit.Chain(t, testkit.ChainOptions{})
	step := func(name string, code int, args ...string) *result {
		t.Helper()
		r := w.sectorsCmd(home, args...).exits(code)
		w.owned(name)
		return r
	}
	step("a dry run", 3, "import", "--repo", w.path("lotus"), "--dry-run", "--plan-out", w.path("plan.json"))
	step("import", 3, "import", "--repo", w.path("lotus"), "--plan-out", w.path("plan2.json"))
	step("import to elsewhere", 3, "import", "--repo", w.path("lotus"), "--origins", w.path("far/away/origins"), "--numbers=0,9999")
	step("finalize", 0, "finalize", "--miner=1000", "117", "--really-do-it", "--chain", node.Multiaddr())
	step("export", 3, "export", "--miner=1000", "metadata", "--dest-repo", w.path("back"))
	step("number", 0, "export", "--miner=1000", "metadata", "--dest-repo", w.path("back"), "--next-number=5000", "--only-next-number")
	step("export rollback", 0, "export", "--miner=1000", "rollback", "--dest-repo", w.path("back"))
	step("import rollback", 0, "import", "rollback")
	step("state", 0, "state", "1000", "117")
	step("list", 0, "list")

	// and the owner can go on, with the peers' programs and with this one
	if out, err := childCommand(t, nobody, "open", w.path("back"), home).CombinedOutput(); err != nil {
		t.Errorf("the owner cannot open them: %v\n%s", err, out)
	}
	sectors := []string{"util", "sealer", "sectors", "--home", home}
	w.runAs(nobody, append(sectors, "import", "--repo", w.path("lotus"))...).exits(3).readable()
	w.runAs(nobody, append(sectors, "export", "--miner=1000", "metadata", "--dest-repo", w.path("back"))...).exits(3).readable()
	w.owned("the owner's own run")
}

// What is made new belongs to the owner of the place.
func TestRootMakesForTheOwner(t *testing.T) {
	w := sharedWorld(t)
	w.repo("lotus")
	w.give(w.dir)
	home := w.path("new/home")
	w.sectorsCmd(home, "import", "--repo", w.path("lotus")).exits(3).says("creating the home")
	w.owned("import into a new home")
	w.runAs(nobody, "util", "sealer", "sectors", "--home", home, "list", "--offline").exits(0)
	w.runAs(nobody, "util", "sealer", "sectors", "--home", home, "import", "rollback").exits(0)

	// an import through a daemon leaves its journal and origins in the home, too
	daemon := testkit.Damocles(t, testkit.DamoclesOptions{Empty: true})
	w.run("util", "--home", home, "--listen", daemon.Multiaddr(), "sealer", "sectors", "import", "--repo", w.path("lotus")).exits(3)
	w.owned("import through a daemon")
}

// Databases that were not closed are replayed in their owner's name.
func TestRootReplaysForTheOwner(t *testing.T) {
	w := sharedWorld(t)
	home := w.home("home")
	w.repo("lotus")
	w.give(w.dir)
	for _, collection := range []string{"meta", "offline_meta"} { // as a kill leaves them
		w.must(os.WriteFile(filepath.Join(home, collection, "000009.sst"), []byte("left over"), 0o644))
		w.must(os.Lchown(filepath.Join(home, collection, "000009.sst"), nobody, nobody))
	}
	w.sectorsCmd(home, "list", "--offline").exits(0).says("was not closed cleanly")
	w.owned("list")
	w.sectorsCmd(home, "import", "--repo", w.path("lotus")).exits(3)
	w.owned("import")
}

// Files that would belong to the wrong user are not made in the first place.
func TestNotTheOwner(t *testing.T) {
	for _, mode := range []os.FileMode{0o755, 0o700} {
		w := sharedWorld(t)
		home, repo := w.home("home"), w.repo("lotus")
		w.emptyRepo("back")
		w.must(os.Chmod(home, mode))
		w.must(os.Chmod(w.path("back"), mode))
		sectors := []string{"util", "sealer", "sectors", "--home", home}
		before := w.tree()
		for name, args := range map[string][]string{
			"import":   {"import", "--repo", repo},
			"finalize": {"finalize", "--miner=1000", "117", "--really-do-it", "--without-chain"},
			"rollback": {"import", "rollback"},
		} {
			w.runAs(nobody, append(sectors, args...)...).complains(5, "as user root (uid 0) or as root").says(home, "belongs to", "uid 65534")
			w.same(before)
			if t.Failed() {
				t.Fatalf("mode %o, %s", mode, name)
			}
		}
		export := []string{"util", "sealer", "sectors", "--home", w.path("mine"), "export", "--miner=1000"}
		w.give(w.home("mine"))
		before = w.tree()
		for _, args := range [][]string{
			{"metadata"}, {"metadata", "--next-number=5", "--only-next-number"}, {"rollback"},
		} {
			r := w.runAs(nobody, append(append(export, args...), "--dest-repo", w.path("back"))...)
			r.complains(5, "as user root (uid 0) or as root").says(w.path("back"), "belongs to")
			w.same(before)
		}
		// what nobody may read is no excuse for a stack trace, either
		for _, args := range [][]string{{"list"}, {"state", "1000", "100"}, {"import", "--repo", repo, "--dry-run"}} {
			r := w.runAs(nobody, append(sectors, args...)...).readable()
			if mode == 0o700 {
				r.complains(1, "user who").says("permission denied")
			}
		}
		// a new home where nobody may make one
		w.runAs(nobody, "util", "sealer", "sectors", "--home", w.path("new"), "import", "--repo", repo).
			complains(5, "as root").says(w.dir)
		if _, err := os.Stat(w.path("new")); err == nil {
			t.Error("the home was made")
		}
	}
}

// The token file of a repo that another user may not read.
func TestUnreadableToken(t *testing.T) {
	w := sharedWorld(t)
	w.write("token", tokenOf("FILE"))
	w.must(os.Chmod(w.path("token"), 0o600))
	w.must(os.Chown(w.dir, nobody, nobody))
	r := w.runAs(nobody, "util", "sealer", "sectors", "--home", w.path("home"), "import", "--api", "127.0.0.1:1", "--token-file", w.path("token"))
	r.complains(1, "").says("permission denied", "/token").never(strings.Split(tokenOf("FILE"), ".")...)
}
