package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

// inMongo puts all that a home in Badger holds into a stand-in of MongoDB, and
// lets the configuration say so. The databases of Badger go.
func (w *world) inMongo(home string, replicaSet bool) *testkit.Mongo {
	w.t.Helper()
	m := testkit.NewMongo(w.t, replicaSet)
	before, err := damocles.OpenHome(w.ctx, home, damocles.Config{}, damocles.Options{})
	w.must(err)
	collections := []string{"meta", "offline_meta", "sector-index", "common", "snapup", "rebuild", "unseal", "worker"}
	var changes []damocles.Change
	for _, name := range collections {
		w.must(before.Scan(w.ctx, name, "", func(key string, value []byte) error {
			changes = append(changes, damocles.Change{Store: name, Key: key, After: append([]byte{}, value...)})
			return nil
		}))
	}
	w.must(before.Close())
	for _, name := range collections {
		w.must(os.RemoveAll(filepath.Join(home, name)))
	}
	w.addConfig(home, fmt.Sprintf("[Common.DB]\nDriver = \"mongo\"\n[Common.DB.Mongo]\nDSN = \"mongodb://%s/\"\nDatabaseName = \"db\"", m.Addr))
	after := w.openMongo(home)
	w.must(after.Apply(w.ctx, changes))
	w.must(after.Close())
	return m
}

func (w *world) openMongo(home string) *damocles.Home {
	w.t.Helper()
	cfg, err := damocles.LoadConfig(home, func(string) string { return "" })
	w.must(err)
	h, err := damocles.OpenHome(w.ctx, home, cfg, damocles.Options{Write: true, DaemonStopped: true})
	w.must(err)
	return h
}

// inside is all that the home holds.
func (w *world) inside(home string) map[string]string {
	w.t.Helper()
	h := w.openMongo(home)
	out := map[string]string{}
	for _, name := range []string{"meta", "offline_meta", "sector-index", "common"} {
		w.must(h.Scan(w.ctx, name, "", func(key string, value []byte) error { out[name+" "+key] = string(value); return nil }))
	}
	w.must(h.Close())
	return out
}

// badgerFiles are what only a home in Badger has.
func (w *world) badgerFiles(home string) []string {
	w.t.Helper()
	var found []string
	for _, pattern := range []string{"*/MANIFEST", "*/*.vlog", "meta", "offline_meta", "sector-index", "common"} {
		names, err := filepath.Glob(filepath.Join(home, pattern))
		w.must(err)
		found = append(found, names...)
	}
	return found
}

// Every command that looks prints the same of a home in MongoDB as of the same
// home in Badger, and every command that writes does it, and takes it back.
func TestMongoHome(t *testing.T) {
	for _, replicaSet := range []bool{true, false} {
		t.Run(fmt.Sprintf("replica set %v", replicaSet), func(t *testing.T) {
			w := newWorld(t)
			home := w.homeWithStores("home")
			looks := [][]string{
				{"util", "sealer", "sectors", "list"}, {"util", "sealer", "sectors", "list", "--offline", "--snapup", "--rebuild", "--unseal"},
				{"util", "sealer", "sectors", "list", "--offline", "--miner", "f01001"},
				{"util", "sealer", "sectors", "state", "--offline", "f01000", "104"},
				{"util", "storage", "find", "f01000", "103"}, {"util", "storage", "find", "--upgrade", "f01000", "110"},
			}
			var want []string
			for _, args := range looks {
				want = append(want, w.run(append(args, "--home", home)...).exits(0).out)
			}
			w.inMongo(home, replicaSet)
			for i, args := range looks {
				if got := w.run(append(args, "--home", home)...).exits(0).says("may be changing what is read"); got.out != want[i] {
					t.Errorf("%s\ngot\n%s\nwant\n%s", got.args, got.out, want[i])
				}
			}
			w.storage(home, "list").exits(0).says("t01000_01:", "t01000_02:")
			before := w.inside(home)
			undo := func(r *result) {
				t.Helper()
				// The printed line lacks the user's word: it was given for then, and not for later.
				w.paste(r).exits(5).says("--daemon-stopped")
				r.out = strings.Replace(r.out, "undo with: damocles-manager util ", "undo with: damocles-manager util --daemon-stopped ", 1)
				w.paste(r).exits(0)
				got := w.inside(home)
				delete(got, counter)
				if !maps.Equal(got, before) {
					t.Errorf("after the undoing of %s: %d records, want the %d from before", r.args, len(got), len(before))
				}
			}
			undo(w.finalize(home, "--without-chain", "--really-do-it", "--daemon-stopped", "117").exits(0).says("finalize succeed"))
			undo(w.sectorsCmd(home, "import", "--repo", w.repo("lotus"), "--daemon-stopped").exits(3).says("27 written"))
			undo(w.attach(home, "--name", "lotus-1", "--allow-splitted", "--daemon-stopped", w.store("lotus-1")).exits(0).says("19 written"))
			files := tree(t, w.stores())
			undo(w.files(home, w.path("away"), "--numbers=103", "--daemon-stopped").exits(0).says("no longer names"))
			back := tree(t, w.stores())
			maps.DeleteFunc(back, func(name, _ string) bool { return filepath.Base(name) == manifestName })
			if !maps.Equal(back, files) {
				t.Error("the files of the stores are not as they were")
			}
			w.emptyRepo("back")
			w.export(home, w.path("back")).exits(3).says("18 written")
			if found := w.badgerFiles(home); len(found) != 0 {
				t.Errorf("there are files of Badger: %v", found)
			}
		})
	}
}

// counter is the record that no rollback takes back.
const counter = "meta sector-number//m-1000"

// Without transactions a portion can be left half written. The same command
// writes the rest, and a rollback takes back what was written, at once or then.
func TestMongoHalfPortion(t *testing.T) {
	for _, rerun := range []bool{false, true} {
		t.Run(fmt.Sprintf("rerun %v", rerun), func(t *testing.T) {
			w := newWorld(t)
			home := w.homeWithStores("home")
			m := w.inMongo(home, false)
			before := w.inside(home)
			delete(before, counter)
			elsewhere := filepath.Join(home, "..", "elsewhere")
			w.must(os.Mkdir(elsewhere, 0o700))
			cfg, err := damocles.LoadConfig(home, func(string) string { return "" })
			w.must(err)
			half, err := damocles.OpenHome(w.ctx, elsewhere, cfg, damocles.Options{Write: true, DaemonStopped: true})
			w.must(err)
			first := true
			m.Answer(func(c testkit.MongoCommand) bson.D {
				if c.Name != "update" || c.Body.Lookup("update").StringValue() != "offline_meta" || !first {
					return nil
				}
				first = false
				updates, _ := c.Body.Lookup("updates").Array().Values()
				var changes []damocles.Change
				for _, u := range updates[:10] {
					_, value := u.Document().Lookup("u", "$setOnInsert", "val").Binary()
					changes = append(changes, damocles.Change{Store: "offline_meta", Key: u.Document().Lookup("q", "_id").StringValue(), After: value})
				}
				if err := half.Apply(w.ctx, changes); err != nil {
					t.Error(err)
				}
				return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 10}, {Key: "writeErrors", Value: bson.A{
					bson.D{{Key: "index", Value: 10}, {Key: "code", Value: 8}, {Key: "errmsg", Value: "the disk is full"}},
				}}}
			})
			args := []string{"import", "--repo", w.repo("lotus"), "--daemon-stopped"}
			w.sectorsCmd(home, args...).exits(1).says("the disk is full", "repeat the command")
			w.must(half.Close())
			got := w.inside(home)
			delete(got, counter)
			if len(got) != len(before)+10 {
				t.Fatalf("%d records are there, want 10 more than %d", len(got), len(before))
			}
			if rerun {
				w.sectorsCmd(home, args...).exits(3).says("0 failed")
				got := w.inside(home)
				delete(got, counter)
				if len(got) != len(before)+27 {
					t.Errorf("%d records after the second run, want 27 more than %d", len(got), len(before))
				}
			}
			w.sectorsCmd(home, "import", "rollback", "--daemon-stopped").exits(0)
			got = w.inside(home)
			delete(got, counter)
			if !maps.Equal(got, before) {
				t.Errorf("after the rollback: %d records, want the %d from before", len(got), len(before))
			}
		})
	}
}

// The user's word is asked for before anything is written, and doubted where a
// damocles-manager answers.
func TestDaemonStopped(t *testing.T) {
	w := newWorld(t)
	home := w.homeWithStores("home")
	m := w.inMongo(home, true)
	before := len(m.Sent("update", "delete"))
	repo := w.repo("lotus")
	for _, args := range [][]string{
		{"util", "sealer", "sectors", "import", "--repo", repo},
		{"util", "sealer", "sectors", "import", "rollback"},
		{"util", "sealer", "sectors", "finalize", "--miner", "f01000", "--really-do-it", "--without-chain", "117"},
		{"util", "storage", "attach", w.store("lotus-1")},
		{"util", "sealer", "sectors", "export", "--miner", "f01000", "files", "--dest-path", w.path("away")},
	} {
		w.run(append(args, "--home", home)...).exits(5).says("stop damocles-manager on every machine", "--daemon-stopped", "--listen")
	}
	w.sectorsCmd(home, "import", "--repo", repo, "--dry-run").exits(3).says("would be written")

	w.daemon(testkit.DamoclesOptions{Empty: true})
	w.sectorsCmd(home, "import", "rollback", "--daemon-stopped").exits(5).
		says("--daemon-stopped is given, but a damocles-manager listens at "+w.addr, "stop it")
	w.attach(home, "--daemon-stopped", w.store("lotus-1")).exits(5).says("a damocles-manager listens at")
	w.sectorsCmd(home, "import", "--repo", repo, "--daemon-stopped", "--listen", w.addr).exits(5).says("a damocles-manager listens at " + w.addr)
	w.sectorsCmd(home, "list").exits(5).says("its data is in MongoDB, which does not tell who uses it", "--listen")
	w.sectorsCmd(home, "list", "--listen", w.addr).exits(0).says("working through the damocles-manager")
	if got := len(m.Sent("update", "delete")); got != before {
		t.Errorf("%d writes reached the server", got-before)
	}
	// Whoever names no daemon means that this one has another home.
	w.sectorsCmd(home, "import", "--repo", repo, "--daemon-stopped", "--listen", "none").exits(3).says("27 written")
}

// A home that is missing is not made where its configuration, which is elsewhere,
// names MongoDB.
func TestMongoHomeIsNotMade(t *testing.T) {
	w := newWorld(t)
	w.must(os.Mkdir(w.path("conf"), 0o700))
	w.write("conf/sector-manager.cfg", "[Common.DB]\nDriver = \"mongo\"\n[Common.DB.Mongo]\nDSN = \"mongodb://h/\"\nDatabaseName = \"db\"\n")
	w.env["DAMOCLES_CONF_DIR"] = w.path("conf")
	r := w.sectorsCmd(w.path("none"), "import", "--repo", w.repo("lotus"), "--daemon-stopped").exits(1).says("/none does not exist")
	if _, err := os.Stat(w.path("none")); err == nil || strings.Contains(r.stderr, "creating") {
		t.Errorf("it was made: %v\n%s", err, r.stderr)
	}
}
