package cli

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/testkit"
)

// Tokens that can be told apart: by what they are given.
func tokenOf(what string) string {
	return "eyJhbGciOiJ" + what + "HEAD.eyJBbGxvdyI6" + what + "BODY." + what + "SIGNATURE-_x"
}

// kept checks that no part of any token is in what a command said or left behind.
func (w *world) kept(r *result, tokens ...string) {
	w.t.Helper()
	var parts []string
	for _, token := range tokens {
		parts = append(parts, strings.Split(token, ".")...)
	}
	r.never(parts...)
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "secret") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, part := range parts {
			if bytes.Contains(raw, []byte(part)) || strings.Contains(path, part) {
				w.t.Errorf("%s\nleft %q in %s", r.args, part, path)
			}
		}
		return err
	})
	w.must(err)
}

// tokenWays are the ways to give lotus-miner's token, each with its own.
func tokenWays() map[string]func(w *world, addr, token string) []string {
	return map[string]func(w *world, addr, token string) []string{
		"flag":     func(_ *world, addr, token string) []string { return []string{"--api", addr, "--token", token} },
		"two args": func(_ *world, addr, token string) []string { return []string{"--api=" + addr, "--token=" + token} },
		"file": func(w *world, addr, token string) []string {
			return []string{"--api", addr, "--token-file", w.write("secret", token+"\n")}
		},
		"in front of the address": func(_ *world, addr, token string) []string { return []string{"--api", token + ":" + addr} },
		"variable": func(w *world, addr, token string) []string {
			w.env["MINER_API_INFO"] = token + ":" + addr
			return nil
		},
		"as a password": func(_ *world, addr, token string) []string {
			return []string{"--api", strings.Replace(addr, "://", "://"+token+":"+token+"@", 1)}
		},
		"in the query": func(_ *world, addr, token string) []string { return []string{"--api", addr + "?token=" + token} },
	}
}

// Whatever goes wrong, and however loudly, no token comes out.
func TestTokensStaySecret(t *testing.T) {
	t.Parallel()
	miner, node, conf := tokenOf("MINER"), tokenOf("NODE"), tokenOf("CONF")
	config := fmt.Sprintf("[Common.API]\nChain = \"%s:/ip4/127.0.0.1/tcp/1\"\nToken = %q\n[Common.DB.Mongo]\nDSN = %q\n", conf, conf, "mongodb://x:"+conf+"@h/")
	for name, how := range map[string]testkit.Failure{
		"none": testkit.Pass, "web page": testkit.HTML, "nothing": testkit.Empty, "half": testkit.CutJSON, "401": testkit.Denied,
		"another call": testkit.WrongID, "the request": testkit.Echo, "silence": testkit.Silent,
	} {
		fail := func(string, int) testkit.Failure { return how }
		patience := time.Duration(0)
		if how == testkit.Silent {
			patience = 200 * time.Millisecond
		}
		lotus := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Fail: fail}})
		chain := testkit.Chain(t, testkit.ChainOptions{Options: testkit.Options{Fail: fail}})
		good := testkit.Chain(t, testkit.ChainOptions{Options: testkit.Options{Token: node}})
		for way, give := range tokenWays() {
			for _, loud := range []string{"--verbose", "--json"} {
				if loud == "--json" && how != testkit.Pass && how != testkit.Echo {
					continue // the errors are the same
				}
				w := newWorld(t)
				w.patience = patience
				home := w.home("home")
				w.must(os.WriteFile(filepath.Join(home, "sector-manager.cfg"), nil, 0o644))
				w.must(os.WriteFile(filepath.Join(w.dir, "secret.cfg"), []byte(config), 0o600))
				w.env["DAMOCLES_CONF_DIR"] = w.dir
				w.must(os.Symlink("secret.cfg", w.path("sector-manager.cfg")))
				args := append([]string{"import", loud, "--plan-out", w.path("plan.json"), "--chain", node + ":" + good.Multiaddr()},
					give(w, strings.TrimSuffix(lotus.URL, "/rpc/v0"), miner)...)
				r := w.sectorsCmd(home, args...)
				if r.code == 0 || (how == testkit.Pass) != (r.code == 3) {
					t.Errorf("%s, %s: exit code %d\n%s", name, way, r.code, r.stderr)
				}
				w.kept(r, miner, node, conf)
			}
		}
		// the chain node's, in all that asks it
		for _, line := range [][]string{
			{"import", "--repo", "lotus"}, {"export", "--miner=1000", "metadata", "--dest-repo", "lotus"},
			{"finalize", "--miner=1000", "117", "--really-do-it"},
		} {
			for _, variable := range []bool{false, true} {
				w := newWorld(t)
				w.patience = patience
				home := w.home("home")
				w.repo("lotus")
				args := append([]string{}, line...)
				if last := len(args) - 1; args[last] == "lotus" {
					args[last] = w.path("lotus")
				}
				if variable {
					w.env["FULLNODE_API_INFO"] = node + ":" + chain.Multiaddr()
				} else {
					args = append(args, "--chain", node+":"+chain.Multiaddr())
				}
				w.kept(w.sectorsCmd(home, append(args, "--verbose", "--plan-out", w.path("plan.json"))...), node)
			}
		}
	}
}

// In the wrong place, a token is not repeated.
func TestTokenInTheWrongPlace(t *testing.T) {
	t.Parallel()
	token := tokenOf("WRONG")
	for _, args := range [][]string{
		{"import", token},
		{"import", "-token=" + token},
		{"import", "-t", token},
		{"import", "--tokne=" + token},
		{"import", "--tokne", token},
		{"import", "--token= ", token},
		{"import", "--jobs", token},
		{"import", "--numbers", token},
		{"import", "--api", token},
		{"import", "--api", token + ":"},
		{"import", "--api", token + ":2345"},
		{"import", "--api", token + "@127.0.0.1:1"},
		{"import", "--api", "127.0.0.1:1:" + token},
		{"import", "--api", "/ip4/127.0.0.1/tcp/1/" + token},
		{"import", "--api", "http://127.0.0.1:1/" + token},
		{"import", "--api", "127.0.0.1:1", "--token", token + "\x01"},
		{"import", "--api", "127.0.0.1:1", "--token-file", token},
		{"import", "--repo", token},
		{"import", "--chain", token},
		{"import", "--chain", token + ":127.0.0.1:1"},
		{"export", "--miner", token, "metadata"},
		{"export", token, "metadata"},
		{"export", "--miner=1000", "metadata", "--next-number", token},
		{"export", "--miner=1000", "metadata", "--dest-repo", token},
		{"export", "--miner=1000", "rollback", "--backup", token},
		{"list", "--miner", token},
		{"list", "--listen", token + ":127.0.0.1:1"},
		{"list", "--listen", token + ":http://127.0.0.1:1"},
		{"state", token, "1"},
		{"state", "1000", token},
		{"finalize", "--miner=1000", token, "--really-do-it"},
		{token},
	} {
		w := newWorld(t)
		w.home(".damocles-manager")
		w.repo(".lotusminer")
		for _, loud := range []string{"--verbose", "--json"} {
			r := w.run(append([]string{"util", "sealer", "sectors", loud}, args...)...)
			if r.code == 0 {
				t.Errorf("%s: exit code 0", r.args)
			}
			w.kept(r, token)
		}
	}
}

// What a damocles-manager was reached with is not said, nor kept in a journal.
func TestListenTokenStaysSecret(t *testing.T) {
	token := tokenOf("LISTEN")
	daemon := testkit.Damocles(t, testkit.DamoclesOptions{Empty: true, Options: testkit.Options{Token: token}})
	u, err := url.Parse(daemon.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{token + ":" + daemon.Multiaddr(), token + ":" + u.Host, "http://" + token + "@" + u.Host + "/rpc/v0"} {
		w := newWorld(t)
		home := w.home("home")
		for _, loud := range []string{"--verbose", "--json"} {
			w.kept(w.sectorsCmd(home, "--listen", addr, loud, "list"), token)
			w.kept(w.sectorsCmd(home, "--listen", addr, loud, "import", "--repo", w.repo("lotus"+loud)), token)
		}
	}
}

// The help prints what flags are where they are not given.
func TestListenTokenOfTheEnvironmentStaysSecret(t *testing.T) {
	token := tokenOf("LISTENVAR")
	for _, addr := range []string{token + ":/ip4/127.0.0.1/tcp/1", token + ":127.0.0.1:1", token + ":/ip4/127.0.0.1", token} {
		w := newWorld(t)
		w.addr, w.env["DAMOCLES_LISTEN"] = "", addr
		for _, args := range [][]string{{"--help"}, {"list", "--help"}, {"list"}, {"list", "--nonsense"}, {"check", "--sealing-done"}, {"import", "rollback"}} {
			w.kept(w.sectorsCmd(w.path("none"), args...), token)
		}
		w.kept(w.run("util", "--help"), token)
	}
}

// A home of this machine is not taken, nor made, for a damocles of another one that
// is down.
func TestListenOfTheEnvironmentThatIsDown(t *testing.T) {
	w := newWorld(t)
	w.addr, w.env["DAMOCLES_LISTEN"] = "", "nowhere.invalid:1789"
	home, repo := w.path("home"), w.repo("lotus")
	w.sectorsCmd(home, "import", "--repo", repo).complains(1, "give --listen none").says("nothing listens at nowhere.invalid:1789, which DAMOCLES_LISTEN names")
	if _, err := os.Lstat(home); err == nil {
		t.Error("it has made a home")
	}
	w.env["HOME"] = w.path("nobody")
	w.run("util", "sealer", "sectors", "check", "--sealing-done", "--repo", repo).exits(1).says("nothing listens at").never("no damocles here")
	w.sectorsCmd(home, "--listen", "none", "import", "--repo", repo, "--numbers=2").exits(0).says("1 written")
	w.env["DAMOCLES_LISTEN"] = testkit.Nowhere(t) // of this machine: the home is opened, as where the default does not answer
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers=2").exits(0).says("1 unchanged")
}

// A configuration that cannot be read is named by its place, not its content.
func TestConfigTokensStaySecret(t *testing.T) {
	token := tokenOf("CONF")
	for _, text := range []string{
		"[Common.API]\nToken = " + token + "\n",
		"[Common.API]\nToken = \"" + token + "\n",
		"[Common.API]\n" + token + "\n",
		"[Common.API]\nGateway = \"" + token + "\"\n",
		"[Common.API]\nToken = [\"" + token + "\"]\n",
		"[Common.API]\n\"" + token + "\" = 1\n\"" + token + "\" = 2\n",
		"[Common.API]\nToken = \"\\q" + token + "\"\n",
		"[[Common.PersistStores]]\nName=\"" + token + "\"\n[[Common.PersistStores]]\nName=\"" + token + "\"\n",
	} {
		w := newWorld(t)
		home := w.home("home")
		w.must(os.Remove(filepath.Join(home, "sector-manager.cfg")))
		w.must(os.WriteFile(filepath.Join(w.dir, "secret.cfg"), []byte(text), 0o600))
		w.must(os.Symlink(w.path("secret.cfg"), filepath.Join(home, "sector-manager.cfg")))
		r := w.sectorsCmd(home, "list").complains(1, "").says("sector-manager.cfg")
		w.kept(r, token)
	}
}
