package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"damocles-manager/internal/damocles"
)

func TestDaemonInit(t *testing.T) {
	w := newWorld(t)
	home := w.path("new/home")
	cfg := filepath.Join(home, "sector-manager.cfg")
	w.run("daemon", "init", "--home", home).exits(0).says("made "+home+", open to its owner alone (mode 0700)",
		"wrote "+cfg, "wrote "+filepath.Join(home, "ext-prover.cfg"), "next: ", "damocles-manager --home "+home+" daemon run")
	raw, err := os.ReadFile(cfg)
	if err != nil || string(raw) != string(damocles.InitConfig()) {
		t.Errorf("got %q, %v", raw, err)
	}
	for path, want := range map[string]os.FileMode{home: 0o700, cfg: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	before := w.tree()
	w.run("daemon", "init", "--home", home).complains(1, "damocles-manager --home "+home+" daemon run").says(cfg, "is there already")
	w.run("daemon", "init", "--home", home, "--dry-run").complains(1, "daemon run").says(cfg)
	w.same(before)

	// the other commands take it for a home
	w.sectorsCmd(home, "list", "--offline").exits(0)
}

func TestDaemonInitDefaultHome(t *testing.T) {
	w := newWorld(t)
	w.run("daemon", "init").exits(0).says(w.path(".damocles-manager/sector-manager.cfg"), "\n  damocles-manager daemon run\n")
	w.env["DAMOCLES_PATH"] = w.path("else where")
	w.run("daemon", "init", "--json").exits(0).never("next:")
	w.run("daemon", "init", "--home", w.path("it's")).exits(0).says(`--home '` + w.path(`it'\''s`) + `' daemon run`)
	for _, name := range []string{".damocles-manager", "else where", "it's"} {
		if _, err := os.Stat(filepath.Join(w.path(name), "ext-prover.cfg")); err != nil {
			t.Error(err)
		}
	}
}

func TestDaemonInitJSON(t *testing.T) {
	w := newWorld(t)
	all := w.run("daemon", "init", "--json", "--home", w.path("home")).exits(0).lines()
	if sum := all["summary"]; len(sum) != 1 || sum[0]["count"] != 3.0 {
		t.Errorf("the summary is %v", sum)
	}
	lines := all["init"]
	if len(lines) != 1 || lines[0]["config"] != w.path("home/sector-manager.cfg") || len(lines[0]["made"].([]any)) != 3 {
		t.Errorf("got %v", lines)
	}
	lines = w.run("daemon", "init", "--json", "--dry-run", "--home", w.path("other")).exits(0).lines()["init"]
	if len(lines) != 1 || lines[0]["dryRun"] != true || len(lines[0]["made"].([]any)) != 0 {
		t.Errorf("got %v", lines)
	}
}

func TestDaemonInitDryRun(t *testing.T) {
	w := newWorld(t)
	before := w.tree()
	r := w.run("daemon", "init", "--dry-run", "--home", w.path("home")).exits(0)
	if r.out != string(damocles.InitConfig()) {
		t.Errorf("got %s", r.out)
	}
	w.same(before)
}

// The configuration of the fixture home is what an owner wrote; a broken one and
// a link to nowhere are somebody's, too.
func TestDaemonInitNeverWritesOver(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	before := w.tree()
	w.run("daemon", "init", "--home", home).complains(1, "daemon run").says("sector-manager.cfg is there already")
	w.must(os.Mkdir(w.path("broken"), 0o755))
	w.must(os.WriteFile(w.path("broken/sector-manager.cfg"), []byte("[Common"), 0o600))
	w.must(os.Mkdir(w.path("link"), 0o755))
	w.must(os.Symlink("/nowhere", w.path("link/sector-manager.cfg")))
	w.run("daemon", "init", "--home", w.path("broken")).complains(1, "daemon run").says("is there already")
	w.run("daemon", "init", "--home", w.path("link")).complains(1, "daemon run").says("is there already")
	for path, was := range before {
		if w.tree()[path] != was {
			t.Errorf("%s was changed", path)
		}
	}
	if raw, err := os.ReadFile(w.path("broken/sector-manager.cfg")); string(raw) != "[Common" {
		t.Errorf("got %q, %v", raw, err)
	}
}

// A home that has lost its configuration, and keeps its other files.
func TestDaemonInitOfAnOldHome(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.must(os.Remove(filepath.Join(home, "sector-manager.cfg")))
	before := w.tree()
	w.run("daemon", "init", "--home", home).exits(0).says("wrote").never("ext-prover.cfg", "made ")
	after := w.tree()
	delete(after, filepath.Join(home, "sector-manager.cfg"))
	if len(after) != len(before) {
		t.Errorf("got %d files, want %d", len(after), len(before))
	}
	for path, was := range before {
		if after[path] != was && path != home {
			t.Errorf("%s was changed", path)
		}
	}
}

func TestDaemonInitConfDir(t *testing.T) {
	w := newWorld(t)
	w.env["DAMOCLES_CONF_DIR"] = w.path("etc/damocles")
	w.run("daemon", "init", "--home", w.path("home")).exits(0).says("made "+w.path("home")+",", "made "+w.path("etc/damocles")+",",
		"wrote "+w.path("etc/damocles/sector-manager.cfg"))
	if entries, err := os.ReadDir(w.path("home")); err != nil || len(entries) != 0 {
		t.Errorf("got %v, %v", entries, err)
	}
	w.run("daemon", "init", "--home", w.path("home")).complains(1, "daemon run").says(w.path("etc/damocles"))
}

func TestDaemonInitBadPlaces(t *testing.T) {
	w := newWorld(t)
	w.must(os.WriteFile(w.path("file"), nil, 0o600))
	before := w.tree()
	w.run("daemon", "init", "--home", w.path("file")).complains(1, "not a file")
	w.run("daemon", "init", "--home", w.path("file/below")).exits(1).readable()
	w.run("daemon", "init", "--home", "").complains(2, "empty")
	w.run("daemon", "init", "here").complains(2, "--help")
	w.run("daemon", "start").complains(2, "--help")
	w.same(before)
}

// Where a step fails, nothing half made is left, and the next run does it all.
func TestDaemonInitDiskFailures(t *testing.T) {
	for _, step := range []string{"mkdir", "create", "write", "sync", "close", "link", "rename", "syncdir"} {
		w := newWorld(t)
		home := w.path("home")
		app := &app{env: Env{Getenv: func(string) string { return "" }}, home: home}
		app.ui = quietUI()
		failed := false
		app.fs.Fault = func(op, _ string) error {
			if op == step {
				failed = true
				return syscall.ENOSPC
			}
			return nil
		}
		err := runDaemonInit(app, daemonInitOptions{})
		if failed != (err != nil) || failed && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: got %v", step, err)
		}
		entries, _ := os.ReadDir(home) // it may not be there
		for _, e := range entries {
			if failed && e.Name() != "ext-prover.cfg" || strings.HasSuffix(e.Name(), ".tmp") {
				t.Errorf("%s: %s is left", step, e.Name())
			}
		}
		if failed {
			w.run("daemon", "init", "--home", home).exits(0)
		}
	}
}

func TestDaemonInitForTheOwner(t *testing.T) {
	w := sharedWorld(t)
	w.give(w.dir)
	w.run("daemon", "init", "--home", w.path("made/by/root")).exits(0)
	w.owned("init by root")
	w.runAs(nobody, "daemon", "init", "--home", w.path("own")).exits(0).readable()
	w.owned("init by the owner")
	w.runAs(nobody, "util", "sealer", "sectors", "--home", w.path("made/by/root"), "list", "--offline").exits(0)
}

func TestDaemonInitNotTheOwner(t *testing.T) {
	w := sharedWorld(t)
	w.must(os.Mkdir(w.path("roots"), 0o755))
	w.must(os.Mkdir(w.path("locked"), 0o755))
	w.give(w.path("locked"))
	w.must(os.Chmod(w.path("locked"), 0o555))
	before := w.tree()
	w.runAs(nobody, "daemon", "init", "--home", w.path("roots/home")).complains(5, "as user root (uid 0) or as root").says("belongs to")
	w.runAs(nobody, "daemon", "init", "--home", w.path("locked")).complains(1, "make the directory writable").says(w.path("locked"))
	w.runAs(nobody, "daemon", "init", "--home", w.path("locked/home")).complains(1, "--home").says(w.path("locked/home"))
	w.same(before)
}
