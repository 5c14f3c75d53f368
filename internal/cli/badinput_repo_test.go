package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/testkit"
)

// repoCommands are the commands that open a repo, on world's home "home".
func repoCommands() map[string]func(w *world, repo string) []string {
	export := []string{"export", "--miner=1000"}
	with := func(args ...string) func(w *world, repo string) []string {
		return func(w *world, repo string) []string {
			return append(append([]string{"--home", w.home("home")}, args...), repo)
		}
	}
	return map[string]func(w *world, repo string) []string{
		"check":   with("check", "--repo"),
		"import":  with("import", "--repo"),
		"export":  with(append(export, "metadata", "--dest-repo")...),
		"dry run": with(append(export, "metadata", "--dry-run", "--dest-repo")...),
		"number":  with(append(export, "metadata", "--next-number=7", "--only-next-number", "--dest-repo")...),
		"rollback": func(w *world, repo string) []string {
			w.journal(repo)
			return with(append(export, "rollback", "--dest-repo")...)(w, repo)
		},
	}
}

// journal leaves a journal in a repo, as an export does.
func (w *world) journal(repo string) {
	w.t.Helper()
	if _, err := os.Stat(filepath.Join(repo, "datastore")); err != nil {
		return
	}
	dir := migrate.BackupDir(repo)
	w.must(os.MkdirAll(dir, 0o700))
	j, err := durable.FS{}.CreateJournal(filepath.Join(dir, "export-1.journal"), durable.Header{Command: "export", Miner: "f01000", Target: repo})
	w.must(err)
	w.must(j.End())
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// damage changes the files of a repo's metadata that matches the pattern.
func (w *world) damage(pattern string, change func([]byte) []byte) {
	w.t.Helper()
	files, err := filepath.Glob(w.path("lotus/datastore/metadata/" + pattern))
	w.must(err)
	if len(files) == 0 {
		w.t.Fatalf("there is no %s", pattern)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		w.must(err)
		w.must(os.WriteFile(f, change(raw), 0o644))
	}
}

// flip damages the middle of a file.
func flip(raw []byte) []byte {
	raw = bytes.Clone(raw)
	for i := len(raw) / 2; i < len(raw)/2+8 && i < len(raw); i++ {
		raw[i] ^= 0xff
	}
	return raw
}

// tables has the repo's records moved from its log into tables.
func (w *world) tables(repo string) {
	w.withRepo(repo, func(db *leveldb.DB) { w.must(db.CompactRange(util.Range{})) })
}

func TestBadRepo(t *testing.T) {
	t.Parallel()
	repos := []struct {
		name string
		make func(w *world) string
		code int
		says []string
		hint string
	}{
		{"that does not exist", func(w *world) string { return w.path("none") }, 1, []string{"no lotus-miner repo at", "/none"}, "--"},
		{"that is a file", func(w *world) string { return w.write("file", "x") }, 1, []string{"/file"}, "--"},
		{"that is empty", func(w *world) string { w.must(os.Mkdir(w.path("none"), 0o755)); return w.path("none") }, 1, []string{"no lotus-miner repo at", "/none"}, "--"},
		{"without metadata", func(w *world) string { w.must(os.MkdirAll(w.path("none/datastore"), 0o755)); return w.path("none") }, 1, []string{"no metadata", "/none/datastore/metadata"}, "backup"},
		{"with an empty metadata", func(w *world) string {
			w.must(os.MkdirAll(w.path("none/datastore/metadata"), 0o755))
			return w.path("none")
		}, 1, []string{"/none/datastore/metadata"}, "LOCK"},
		{"of no miner", func(w *world) string { w.withRepo("none", func(*leveldb.DB) {}); return w.path("none") }, 1, []string{"names no miner", "/none"}, "lotus-miner init"},
		{"of a miner that is none", func(w *world) string {
			w.withRepo("none", func(db *leveldb.DB) { w.must(db.Put([]byte("/miner-address"), []byte("x"), nil)) })
			return w.path("none")
		}, 1, []string{"its miner address", "/none"}, "lotus-miner init"},
		{"with a damaged CURRENT", func(w *world) string {
			w.repo("lotus")
			w.damage("CURRENT", func([]byte) []byte { return []byte("MANIFEST-9999\n") })
			return w.path("lotus")
		}, 5, []string{"lotus/datastore/metadata", "corrupt"}, "restore"},
		{"with an empty CURRENT", func(w *world) string {
			w.repo("lotus")
			w.damage("CURRENT", func([]byte) []byte { return nil })
			return w.path("lotus")
		}, 5, []string{"corrupt", "CURRENT"}, "restore"},
		{"with a damaged MANIFEST", func(w *world) string {
			w.repo("lotus")
			w.damage("MANIFEST-*", flip)
			return w.path("lotus")
		}, 5, []string{"corrupt"}, "restore"},
		{"with a damaged log", func(w *world) string {
			w.repo("lotus")
			w.damage("*.log", flip)
			return w.path("lotus")
		}, 5, []string{"corrupt"}, "restore"},
		{"with a damaged table", func(w *world) string {
			w.repo("lotus")
			w.tables("lotus")
			w.damage("*.ldb", flip)
			return w.path("lotus")
		}, 5, []string{"corrupt"}, "restore"},
		{"without its table", func(w *world) string {
			w.repo("lotus")
			w.tables("lotus")
			files, _ := filepath.Glob(w.path("lotus/datastore/metadata/*.ldb"))
			for _, f := range files {
				w.must(os.Remove(f))
			}
			return w.path("lotus")
		}, 5, []string{"corrupt"}, "restore"},
	}
	var cases []complaint
	for command, line := range repoCommands() {
		for _, r := range repos {
			cases = append(cases, complaint{
				name: command + ", a repo " + r.name, code: r.code, says: r.says, hint: r.hint,
				args: func(w *world) []string { return line(w, r.make(w)) },
				// Import reads the repo when damocles's databases are open already.
				free: command == "import" && r.name == "with a damaged table",
			})
		}
		if command == "import" || command == "check" {
			continue // they read, and take the repo's own miner
		}
		cases = append(cases, complaint{
			name: command + ", a repo of another miner", code: 5, hint: "--dest-repo",
			says: []string{"belongs to f02000, not to f01000"},
			args: func(w *world) []string {
				w.repo("lotus")
				w.withRepo("lotus", func(db *leveldb.DB) { w.must(db.Put([]byte("/miner-address"), []byte{0, 0xd0, 0x0f}, nil)) })
				return line(w, w.path("lotus"))
			},
		})
	}
	check(t, cases)
}

// A repo that a lotus-miner has open is never written, and read through the API.
func TestRepoInUse(t *testing.T) {
	for _, lock := range []string{"repo.lock", "leveldb"} {
		var cases []complaint
		pids := map[string]*int{}
		for command, line := range repoCommands() {
			if lock == "repo.lock" && command == "dry run" {
				continue // its database is not open: looking is allowed
			}
			pid := new(int)
			pids[command] = pid
			hint := "stop lotus-miner"
			if command == "import" || command == "check" {
				hint = "stop it"
			}
			cases = append(cases, complaint{
				name: lock + ", " + command, code: 5, hint: hint, says: []string{"is in use by process "},
				args: func(w *world) []string {
					args := line(w, w.repo("lotus"))
					*pid = holds(w.t, lock, w.path("lotus"))
					return args
				},
			})
		}
		check(t, cases)
		for command, pid := range pids {
			if *pid == 0 {
				t.Errorf("%s, %s: was not tried", lock, command)
			}
		}
	}
	t.Run("the pid", func(t *testing.T) {
		w := newWorld(t)
		pid := holds(t, "leveldb", w.repo("lotus"))
		w.export(w.home("home"), w.path("lotus")).complains(5, "stop lotus-miner first").says(fmt.Sprintf("process %d ", pid))
		w.sectorsCmd(w.path("home"), "import", "--repo", w.path("lotus")).complains(5, "").says(fmt.Sprintf("process %d ", pid))
	})
	for _, lock := range []string{"repo.lock", "leveldb"} {
		t.Run("through its API, "+lock, func(t *testing.T) {
			w := newWorld(t)
			const token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.admin.admin"
			miner := testkit.Lotus(t, testkit.LotusOptions{Options: testkit.Options{Token: token, ReadToken: "x"}, Admin: []string{"Filecoin.SectorsList"}})
			repo := w.repo("lotus")
			holds(t, lock, repo)
			w.must(os.WriteFile(filepath.Join(repo, "api"), []byte(miner.Multiaddr()+"\n"), 0o644))
			w.must(os.WriteFile(filepath.Join(repo, "token"), []byte(token), 0o600))
			w.sectorsCmd(w.path("home"), "import", "--repo", repo).exits(3).
				says("lotus-miner runs on the repo", "going through its API", "27 written").never(token)
			// a token that is given goes before the repo's
			w.sectorsCmd(w.path("home"), "import", "--repo", repo, "--token", "eyJother.a.b").complains(1, "token").says("token not accepted")
			// an API that is gone, as after a crash of lotus-miner while something else holds the lock
			miner.Stop()
			w.sectorsCmd(w.path("home"), "import", "--repo", repo).complains(1, "").says("lotus-miner at http://127.0.0.1")
		})
	}
}
