package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Paths with spaces, other alphabets and a ~ work in every flag, and the undo
// that is printed can be pasted into a shell as it is.
func TestUnusualPaths(t *testing.T) {
	w := newWorld(t)
	w.repo("lotus miner 矿工")
	w.home("the 'home' $HOME")
	home := w.path("the 'home' $HOME")
	if err := os.MkdirAll(w.path("plans"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := w.sectorsCmd("~/the 'home' $HOME", "import", "--repo", "~/lotus miner 矿工", "--plan-out", "~/plans/план.json", "--origins", "~/origins of 扇区").
		exits(3).says("27 written").never("/~")
	for _, made := range []string{"plans/план.json", "origins of 扇区/CURRENT"} {
		if _, err := os.Stat(w.path(made)); err != nil {
			t.Error(err)
		}
	}
	w.paste(r).exits(0).says("27 deleted")

	w.emptyRepo("target repo")
	r = w.sectorsCmd(home, "export", "--miner=1000", "metadata", "--dest-repo", "~/target repo", "--origins", "~/origins of 扇区").exits(3)
	w.paste(r).exits(0).says("deleted")
	if _, err := os.Stat(filepath.Join("~")); err == nil {
		t.Error("a directory called ~ was made")
	}
}

// Relative paths are those of the working directory, wherever they are printed.
func TestRelativePaths(t *testing.T) {
	w := newWorld(t)
	w.repo("lotus")
	t.Chdir(w.dir)
	r := w.sectorsCmd("home", "import", "--repo", "lotus", "--numbers=0-3").exits(0)
	t.Chdir("/")
	w.paste(r).exits(0).says("4 deleted")
	t.Chdir(w.dir)
	w.sectorsCmd("home", "import", "--repo", "./lotus", "--numbers=0-3").exits(0)
	w.emptyRepo("back")
	r = w.sectorsCmd("./home", "export", "--miner=1000", "metadata", "--dest-repo", "back").exits(0)
	t.Chdir("/")
	w.paste(r).exits(0).says("4 deleted")
}

// paste runs the undo that a command printed, as a shell would take it.
func (w *world) paste(r *result) *result {
	w.t.Helper()
	_, undo, ok := strings.Cut(r.out, "undo with: damocles-manager ")
	if !ok {
		w.t.Fatalf("%s\nnames no undo:\n%s", r.args, r.out)
	}
	undo, _, _ = strings.Cut(undo, "\n")
	return w.run(shellWords(w.t, undo)...)
}

// shellWords splits a line as sh does.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `for word in `+line+`; do printf '%s\0' "$word"; done`).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}
