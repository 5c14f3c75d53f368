package cli

import (
	"net/url"
	"testing"

	"damocles-manager/internal/testkit"
)

func TestLotusTokens(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.admin.admin"
	const reading = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.read.read"
	miner := testkit.Lotus(t, testkit.LotusOptions{
		Options: testkit.Options{Token: token, ReadToken: reading}, Admin: []string{"Filecoin.SectorsList"},
	})
	with := func(more func(w *world) []string) func(*world) []string {
		return func(w *world) []string {
			return append([]string{"--home", w.home("home"), "import", "--api", miner.Multiaddr()}, more(w)...)
		}
	}
	check(t, []complaint{
		{name: "wrong", code: 1, args: with(line("--token", "eyJwrong.wrong.wrong")), says: []string{"token not accepted"}, hint: "auth api-info --perm read"},
		{name: "wrong in a file", code: 1, args: with(func(w *world) []string { return []string{"--token-file", w.write("t", "eyJwrong.w.w\n")} }), says: []string{"token not accepted"}, hint: "auth api-info --perm read"},
		{name: "two lines", code: 2, args: with(func(w *world) []string { return []string{"--token-file", w.write("t", token+"\n"+token)} }), says: []string{"a character that no token has"}, hint: "copy the token again"},
		{name: "reading only", code: 1, free: true, args: with(line("--token", reading)), says: []string{"missing permission to invoke 'SectorsList' (need 'admin')"}, hint: "create-token --perm admin"},
		{name: "none", code: 1, free: true, args: with(line()), says: []string{"missing permission"}, hint: "create-token --perm admin"},
		{name: "flag and file", code: 2, args: with(func(w *world) []string { return []string{"--token", token, "--token-file", w.write("t", token)} }), says: []string{"--token and --token-file"}, hint: "one of them"},
		{name: "flag and file for a repo", code: 2, args: func(w *world) []string {
			return []string{"--home", w.home("home"), "import", "--repo", w.repo("lotus"), "--token", token, "--token-file", w.write("t", token)}
		}, says: []string{"--token and --token-file"}, hint: "one of them"},
		{name: "empty file", code: 1, args: with(func(w *world) []string { return []string{"--token-file", w.write("t", " \n")} }), says: []string{"/t is empty"}, hint: "nothing but the token"},
		{name: "missing file", code: 1, args: with(func(w *world) []string { return []string{"--token-file", w.path("t")} }), says: []string{"--token-file", "/t: no such file"}, hint: "nothing but the token"},
		{name: "a directory", code: 1, args: with(func(w *world) []string { return []string{"--token-file", w.home("t")} }), says: []string{"--token-file", "is a directory"}, hint: "nothing but the token"},
		{name: "api and repo", code: 2, args: with(func(w *world) []string { return []string{"--repo", w.repo("lotus")} }), says: []string{"--api and --repo"}, hint: "the one that is meant"},
		{name: "malformed variable", code: 2, args: func(w *world) []string {
			w.env["MINER_API_INFO"] = token + ":/ip4/127.0.0.1"
			return []string{"--home", w.home("home"), "import"}
		}, says: []string{"the address of lotus-miner"}, hint: "TOKEN:/ip4"},
		{name: "variable without address", code: 2, args: func(w *world) []string {
			w.env["MINER_API_INFO"] = token
			return []string{"--home", w.home("home"), "import"}
		}, says: []string{"the address of lotus-miner"}, hint: "TOKEN:/ip4"},
	})
}

// Every form of an address is taken.
func TestAddressForms(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.admin.admin"
	miner := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Token: token, ReadToken: "other"}, Admin: []string{"Filecoin.SectorsList"}})
	u, err := url.Parse(miner.URL)
	if err != nil {
		t.Fatal(err)
	}
	tcp := "/ip4/127.0.0.1/tcp/" + u.Port()
	for _, tt := range []struct{ api, env string }{
		{api: token + ":" + tcp + "/http"},
		{api: token + ":" + tcp},
		{api: token + ":" + miner.URL},
		{api: token + ":" + u.Host},
		{api: token + ":ws://" + u.Host + "/rpc/v0"},
		{api: token + ":http://" + u.Host + "/"},
		{api: token + ":/dns4/localhost/tcp/" + u.Port() + "/ws"},
		{env: token + ":" + tcp + "/http"},
		{env: token + ":" + tcp + "/http\n"},
		{env: token + ":http://" + u.Host},
	} {
		w := newWorld(t)
		args := []string{"import", "--dry-run"}
		if tt.api != "" {
			args = append(args, "--api", tt.api)
		}
		w.env["MINER_API_INFO"] = tt.env
		w.sectorsCmd(w.path("home"), args...).exits(3).says("27 would be written").never(token, "admin.admin")
	}
	// a token of its own goes before the one in front of the address
	w := newWorld(t)
	args := []string{"import", "--dry-run", "--api", "eyJstale.a.b:" + tcp, "--token-file", w.write("token", token+"\n")}
	w.sectorsCmd(w.path("home"), args...).exits(3).says("27 would be written")
	w.env["LOTUS_MINER_PATH"] = w.repo("lotus") // --repo goes before the variable of the API
	w.env["MINER_API_INFO"] = "eyJstale.a.b:" + tcp
	w.sectorsCmd(w.path("home"), "import", "--dry-run", "--repo", w.path("lotus")).exits(3).says("reading the lotus-miner repo", "27 would be written")
}

// An address that stands in the environment has not been typed: the error says
// where it is from, and how to do without it.
func TestAddressesOfTheEnvironment(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.home("home")
	w.env["FULLNODE_API_INFO"] = testkit.Nowhere(t)
	w.sectorsCmd(home, "import", "--repo", repo, "--dry-run").
		complains(1, "check that the chain node is running and that the address is right, then run the command again; the address is from FULLNODE_API_INFO")
	w.env["FULLNODE_API_INFO"] = "nonsense"
	w.sectorsCmd(home, "check").complains(2, "the address is from FULLNODE_API_INFO")
	w.sectorsCmd(home, "check", "--chain", "nonsense").complains(2, "").never("FULLNODE_API_INFO")
	delete(w.env, "FULLNODE_API_INFO")
	w.env["MINER_API_INFO"] = testkit.Nowhere(t)
	w.sectorsCmd(home, "import", "--dry-run").complains(1, "the address is from MINER_API_INFO; --repo reads the repo of a stopped lotus-miner")
	w.sectorsCmd(home, "import", "--api", testkit.Nowhere(t), "--dry-run").complains(1, "").never("MINER_API_INFO")
}
