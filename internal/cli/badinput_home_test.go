package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v2"

	"damocles-manager/internal/testkit"
)

// homeCommands are the commands that open a home, on world's repo "lotus".
func homeCommands() map[string]func(w *world, home string) []string {
	with := func(args ...string) func(w *world, home string) []string {
		return func(w *world, home string) []string {
			repo := w.repo("lotus")
			line := append([]string{"--home", home}, args...)
			switch {
			case args[0] == "export":
				return append(line, "--dest-repo", repo)
			case len(args) == 1:
				return append(line, "--repo", repo)
			}
			return line
		}
	}
	return map[string]func(w *world, home string) []string{
		"import":       with("import"),
		"export":       with("export", "--miner=1000", "metadata"),
		"dry export":   with("export", "--miner=1000", "metadata", "--dry-run"),
		"rollback":     with("import", "rollback"),
		"dry rollback": with("import", "rollback", "--dry-run"),
		"check":        with("check", "--window"),
		"list":         with("list", "--offline"),
		"state":        with("state", "1000", "100"),
		"finalize":     with("finalize", "--miner=1000", "117", "--really-do-it", "--without-chain"),
		"dry finalize": with("finalize", "--miner=1000", "117", "--dry-run", "--without-chain"),
	}
}

// on makes a case of every command, but for some.
func on(homes []complaint, make func(w *world, i int) string, but ...string) []complaint {
	var cases []complaint
	for command, line := range homeCommands() {
		if strings.Contains(strings.Join(but, ","), command) {
			continue
		}
		for i, h := range homes {
			h.name = command + ", " + h.name
			h.args = func(w *world) []string { return line(w, make(w, i)) }
			cases = append(cases, h)
		}
	}
	return cases
}

func TestMissingHome(t *testing.T) {
	missing := []complaint{{name: "a missing home", code: 1, says: []string{"there is no damocles-manager home at", "/none"}, hint: "--home"}}
	check(t, on(missing, func(w *world, _ int) string { return w.path("none") }, "import"))
	check(t, on([]complaint{{name: "a file", code: 1, says: []string{"/file", "is not a directory"}, hint: "name the home directory"}},
		func(w *world, _ int) string { return w.write("file", "x") }))
	for _, name := range []string{"DAMOCLES_PATH", "VSM_PATH"} {
		w := newWorld(t)
		w.env[name] = w.path("none")
		w.run("util", "sealer", "sectors", "list").complains(1, "--home").says("/none")
	}
	w := newWorld(t)
	delete(w.env, "HOME")
	w.run("util", "sealer", "sectors", "list").complains(1, "--home").says("HOME is not set")
	w.run("util", "sealer", "sectors", "--home", w.home("home"), "import").complains(1, "--repo DIR").says("~/.lotusminer: HOME is not set").never(" /.lotusminer")
}

// A directory that is no home, as where a disk is not mounted, is not taken for a
// home without sectors: `check --sealing-done` would say that nothing is sealed.
func TestEmptyHome(t *testing.T) {
	t.Parallel()
	const none = "it holds neither sector-manager.cfg nor a database"
	empty := func(w *world, _ int) string {
		dir := w.path("empty")
		w.must(os.MkdirAll(dir, 0o755))
		return dir
	}
	check(t, on([]complaint{{name: "an empty directory", code: 1, says: []string{"there is no damocles-manager home at", "/empty", none}, hint: "mounted"}}, empty, "import"))
	w := newWorld(t)
	dir := empty(w, 0)
	w.run("util", "sealer", "sectors", "check", "--sealing-done", "--home", dir).complains(1, "mounted").says(none)
	w.run("daemon", "run", "--listen", "127.0.0.1:0", "--home", dir).complains(1, "daemon init").says(none)
	repo := w.repo("lotus")
	w.run("util", "sealer", "sectors", "import", "--repo", repo, "--dry-run", "--home", dir).exits(3)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
	w.run("util", "sealer", "sectors", "import", "--repo", repo, "--home", dir).exits(3).says("creating the home " + dir)
	w.run("util", "sealer", "sectors", "list", "--offline", "--home", dir).exits(0)
}

// A home whose databases are elsewhere, on a disk that is not mounted, cannot be
// told from a new one; but it is said that nothing was looked at.
func TestHomeWithoutDatabase(t *testing.T) {
	w := newWorld(t)
	w.must(os.MkdirAll(w.path("new"), 0o755))
	w.write("new/sector-manager.cfg", "[Common.DB.Badger]\nBaseDir = \"/not/mounted\"\n")
	w.run("util", "sealer", "sectors", "check", "--sealing-done", "--home", w.path("new")).exits(3).
		says("there is no database in /not/mounted", "its disk is not mounted", "no sector is known here")

	base, repo := w.path("mount-point"), w.repo("lotus")
	w.must(os.Mkdir(base, 0o755))
	w.write("new/sector-manager.cfg", "[Common.DB.Badger]\nBaseDir = \""+base+"\"\n")
	says := []string{"there is no database in " + base, "mount its disk"}
	w.run("util", "sealer", "sectors", "import", "--repo", repo, "--home", w.path("new")).exits(3).says(says[0], "a new one is made", says[1])
	w.run("util", "sealer", "sectors", "import", "--repo", repo, "--home", w.path("new")).exits(3).never(says...)
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	configs := []complaint{
		{name: "not TOML", code: 1, says: []string{"sector-manager.cfg: line 2: "}, hint: "correct the file"},
		{name: "cut off", code: 1, says: []string{"sector-manager.cfg: line 2: "}, hint: "correct the file"},
		{name: "of other types", code: 1, says: []string{"sector-manager.cfg", "line 2"}, hint: "correct the file"},
		{name: "a store twice", code: 1, says: []string{"sector-manager.cfg", `two persist stores are named "a"`}, hint: "a name of its own"},
		{name: "a directory", code: 1, says: []string{"sector-manager.cfg: is a directory"}, hint: "correct the file"},
		{name: "driver mongo", code: 1, says: []string{"[Common.DB.Mongo] has no DSN", "sector-manager.cfg"}, hint: "set it there"},
		{name: "driver mongo, older form", code: 1, says: []string{"[Common.MongoKVStore] has no DatabaseName"}, hint: "set it there"},
		{name: "driver plugin", code: 5, says: []string{`driver "plugin"`}, hint: "--listen"},
	}
	texts := []string{
		"[Common]\nthis is no TOML\n", "[Common]\nPersistStores = [\n", "[Common]\nPersistStores = \"x\"\n",
		"[[Common.PersistStores]]\nName = \"a\"\n[[Common.PersistStores]]\nName = \"a\"\n", "",
		"[Common.DB]\nDriver = \"mongo\"\n", "[Common.MongoKVStore]\nEnable = true\nDSN = \"mongodb://h\"\n", "[Common.DB]\nDriver = \"Plugin\"\n",
	}
	check(t, on(configs, func(w *world, i int) string {
		home := w.home("home")
		path := filepath.Join(home, "sector-manager.cfg")
		w.must(os.Remove(path))
		if texts[i] == "" {
			w.must(os.Mkdir(path, 0o755))
			return home
		}
		w.must(os.WriteFile(path, []byte(texts[i]), 0o644))
		return home
	}))
}

func TestCorruptHome(t *testing.T) {
	t.Parallel()
	damages := []struct {
		file   string
		change func([]byte) []byte
	}{
		{"offline_meta/MANIFEST", flip},
		{"offline_meta/MANIFEST", nil},
		{"offline_meta/*.sst", flip},
		{"offline_meta/*.sst", func(b []byte) []byte { return b[:len(b)-20] }},
		{"offline_meta/*.sst", nil},
		{"meta/MANIFEST", flip},
		{"meta/*.sst", nil},
	}
	var homes []complaint
	for i, d := range damages {
		collection, _, _ := strings.Cut(d.file, "/")
		homes = append(homes, complaint{
			name: fmt.Sprint(i, " ", collection), code: 5, says: []string{"the database " + collection + " in", "/home cannot be used"}, hint: "restore the home from a backup",
		})
	}
	check(t, on(homes, func(w *world, i int) string {
		home := w.home("home")
		files, err := filepath.Glob(filepath.Join(home, damages[i].file))
		w.must(err)
		if len(files) == 0 {
			w.t.Fatalf("no %s", damages[i].file)
		}
		for _, f := range files {
			if damages[i].change == nil {
				w.must(os.Remove(f))
				continue
			}
			raw, err := os.ReadFile(f)
			w.must(err)
			w.must(os.WriteFile(f, damages[i].change(raw), 0o644))
		}
		return home
	}))
}

func TestHomeInUse(t *testing.T) {
	check(t, on([]complaint{{name: "in use", code: 5, says: []string{"is in use by process "}, hint: "--listen"}}, func(w *world, _ int) string {
		home := w.home("home")
		holds(w.t, "badger", home)
		return home
	}, "dry rollback"))
	w := newWorld(t)
	home := w.home("home")
	pid := holds(t, "badger", home)
	for _, args := range [][]string{ // what no daemon can do is not sent to one
		{"util", "sealer", "sectors", "import", "rollback"},
		{"util", "sealer", "sectors", "import", "rollback", "--dry-run"},
		{"util", "sealer", "sectors", "export", "--miner", "1000", "files", "--dest-path", w.path("new")},
		{"util", "storage", "attach", w.dir},
	} {
		w.run(append(args, "--home", home)...).complains(5, "stop it, or wait until it has ended").never("--listen")
	}
	w.sectorsCmd(home, "list").complains(5, "--listen").says(fmt.Sprintf("the database meta in %s is in use by process %d", home, pid))
}

// A test home must never write into production: a daemon that answers at the
// default address is used only for the home that it has open.
func TestDaemonOfAnotherHome(t *testing.T) {
	daemon := testkit.Damocles(t, testkit.DamoclesOptions{})
	addr := strings.TrimPrefix(strings.TrimSuffix(daemon.URL, "/rpc/v0"), "http://")
	var cases []complaint
	for command, line := range homeCommands() {
		if strings.HasSuffix(command, "rollback") {
			continue // it never goes through a daemon
		}
		for name, prepare := range map[string]func(w *world) string{
			"a free home":                       func(w *world) string { return w.home("home") },
			"a missing home":                    func(w *world) string { return w.path("home") },
			"a home that another process holds": func(w *world) string { holds(w.t, "badger", w.home("home")); return w.path("home") },
		} {
			cases = append(cases, complaint{
				name: command + ", " + name, code: 5, hint: "--listen", says: []string{"listens at " + addr, "/home (named by --home) is not its home"},
				args: func(w *world) []string {
					w.addr = addr
					return line(w, prepare(w))
				},
			})
		}
	}
	check(t, cases)
	if n := daemon.Calls("Venus.ImportSector") + daemon.Calls("Venus.FinalizeSector"); n > 0 {
		t.Errorf("the other daemon was written to %d times", n)
	}

	w := newWorld(t)
	w.addr = addr
	w.env["DAMOCLES_PATH"] = w.home("home")
	w.run("util", "sealer", "sectors", "list", "--offline").complains(5, "--listen").says("named by DAMOCLES_PATH")
	// named, it is used, whatever the home
	w.run("util", "--listen", addr, "sealer", "sectors", "list", "--offline").exits(0).says("working through the damocles-manager", addr)
	delete(w.env, "DAMOCLES_PATH")
	w.run("util", "sealer", "sectors", "list", "--offline").exits(0).says("working through the damocles-manager", addr)
	// it is the one that has the home open
	db, err := openHomeAsDamocles(w.path("home"), "meta")
	w.must(err)
	defer func() { w.must(db.Close()) }()
	w.sectorsCmd(w.path("home"), "list", "--offline").exits(0).says("working through the damocles-manager", addr)
}

// One bad record among good ones is reported with its reason; the rest is carried.
func TestBadStates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, key, value string
		says             string
		shown            string
	}{
		{"cut", "m-1000-n-100", `{"ID":{"Miner":1000,"Number":100`, "s-t01000-100: failed: its record cannot be decoded", "sector-states-offline/m-1000-n-100: cannot be decoded"},
		{"of another type", "m-1000-n-100", `{"ID":"x"}`, "s-t01000-100: failed: its record cannot be decoded", "sector-states-offline/m-1000-n-100: cannot be decoded"},
		{"a number for a text", "m-1000-n-100", `{"ID":{"Miner":1000,"Number":100},"AbortReason":7}`, "s-t01000-100: failed: its record cannot be decoded", "AbortReason"},
		{"null", "m-1000-n-100", `null`, "s-t01000-100: failed: its record cannot be decoded", "sector-states-offline/m-1000-n-100: cannot be decoded"},
		{"empty", "m-1000-n-100", ``, "s-t01000-100: failed: its record is empty", "sector-states-offline/m-1000-n-100: cannot be decoded"},
		{"of another sector", "m-1000-n-100", `{"ID":{"Miner":1000,"Number":101}}`, "s-t01000-100: failed: its key says s-t01000-100, its record says s-t01000-101", ""},
		{"under a malformed key", "m-1000-n-abc", `{}`, `sector-states-offline/m-1000-n-abc: failed: `, "sector-states-offline/m-1000-n-abc"},
		{"under no key", "x", `{}`, `sector-states-offline/x: failed: `, "sector-states-offline/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			home := w.home("home")
			w.withHome(home, "offline_meta", func(db *badger.DB) {
				w.must(db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("sector-states-offline/"+tt.key), []byte(tt.value)) }))
			})
			written := 18
			if strings.HasSuffix(tt.key, "100") {
				written--
			}
			w.emptyRepo("lotus")
			for _, dry := range []string{"--dry-run", "--dry-run=false"} {
				w.export(home, w.path("lotus"), dry).exits(3).readable().
					says(tt.says, "\thint: ", fmt.Sprintf("export: %d ", written), "1 failed", "export failure number: 1").never("s-t00-0")
			}
			if tt.shown != "" {
				w.sectorsCmd(home, "list", "--offline").exits(3).readable().says(tt.shown)
				w.sectorsCmd(home, "list", "--offline", "--json").exits(3).readable().says(tt.shown).lines()
			}
			if written < 18 && tt.shown != "" {
				w.sectorsCmd(home, "state", "f01000", "100").complains(1, "--json").says("s-t01000-100", "cannot be decoded")
				w.sectorsCmd(home, "state", "f01000", "100", "--json").readable()
			}
			w.sectorsCmd(home, "state", "f01000", "101").exits(0)
		})
	}
}

// What to undo may be missing, somebody else's, or damaged.
func TestBadJournal(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	importRollback := func(args ...string) *result {
		return w.sectorsCmd(home, append([]string{"import", "rollback"}, args...)...)
	}
	exportRollback := func(args ...string) *result {
		return w.sectorsCmd(home, append([]string{"export", "--miner=1000", "rollback", "--dest-repo", repo}, args...)...)
	}
	imported := w.sectorsCmd(home, "import", "--repo", repo, "--numbers=0-3").exits(0).undoes()
	exportRollback().complains(1, "--backup").says("there is nothing to undo", "lotus/backups")
	w.changeState(home, 0, `"Epoch":4200`, `"Epoch":4201`)
	exported := w.export(home, repo, "--override").exits(0).undoes()

	w.export(home, repo).exits(0) // so that nothing is left to change
	before := w.tree()
	importRollback("--backup", w.path("none.journal")).complains(1, ".journal").says("/none.journal")
	importRollback("--backup", w.path("none")).complains(1, ".journal").says("/none")
	importRollback("--backup", exported).complains(5, "name").says(exported)
	exportRollback("--backup", imported).complains(5, "name").says(imported)
	importRollback("--backup", home).complains(1, ".journal").says(home)
	w.same(before)

	raw, err := os.ReadFile(imported)
	w.must(err)
	for name, change := range map[string]func([]byte) []byte{
		"empty":   func([]byte) []byte { return nil },
		"garbage": func([]byte) []byte { return []byte("garbage\n") },
		"damaged": func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"type":"change"`), []byte(`"type":"chxnge"`), 1)
		},
		"of the future": func(b []byte) []byte { return bytes.Replace(b, []byte(`"version":1`), []byte(`"version":99`), 1) },
	} {
		path := w.write("bad.journal", string(change(raw)))
		before := w.tree()
		r := importRollback("--backup", path)
		if r.code != 1 && r.code != 5 {
			t.Errorf("a journal %s: exit code %d\n%s", name, r.code, r.stderr)
		}
		r.complains(r.code, "").says("bad.journal")
		w.same(before)
	}
	// one that lies among the good ones holds up neither a run nor an undo of a good one
	w.must(os.WriteFile(filepath.Join(filepath.Dir(imported), "import-0.journal"), []byte("garbage\n"), 0o600))
	importRollback("--dry-run", "--backup", imported).exits(3)
	importRollback("--dry-run").complains(1, "").says("import-0.journal")
}
