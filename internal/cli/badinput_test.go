package cli

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
)

// complaint is a command line that cannot be carried out: what the user is told,
// and that nothing is touched.
type complaint struct {
	name string
	code int
	// args prepares the world and returns what follows `util sealer sectors`.
	args func(w *world) []string
	says []string
	hint string // a part of the next step
	// free lets the command change files: it fails in the middle of its work.
	free bool
}

// check runs each case twice, for people and for scripts, and several cases at
// once: most of them wait.
func check(t *testing.T, cases []complaint) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(16)
	for _, c := range cases {
		g.Go(func() error {
			t.Run(c.name, c.try)
			return nil
		})
	}
	_ = g.Wait() // the subtests report for themselves
}

func (c complaint) try(t *testing.T) {
	w := newWorld(t)
	args := append([]string{"util", "sealer", "sectors"}, c.args(w)...)
	for _, more := range [][]string{nil, {"--json", "--verbose"}} {
		before := w.tree()
		r := w.run(append(more, args...)...).complains(c.code, c.hint).says(c.says...)
		if more != nil {
			r.lines()
		}
		if !c.free {
			w.same(before)
		}
	}
}

// complains checks an error's form: the code, one error with one next step, and
// nothing that only a programmer could read.
func (r *result) complains(code int, hint string) *result {
	r.t.Helper()
	r.exits(code)
	if n := strings.Count("\n"+r.stderr, "\nerror: "); n != 1 {
		r.t.Errorf("%s\nhas %d errors:\n%s", r.args, n, r.stderr)
	}
	_, after, ok := strings.Cut(r.stderr, "\nhint:  ")
	if !ok || !strings.Contains(after, hint) {
		r.t.Errorf("%s\nhas no hint with %q:\n%s", r.args, hint, r.stderr)
	}
	return r.readable()
}

// readable checks that nothing of Go shows.
func (r *result) readable() *result {
	r.t.Helper()
	return r.never("goroutine ", "panic", ".go:", "strconv.", "*fault.", "&{", "%!", "<nil>", "runtime error",
		"Go value", "Go struct", "json: cannot", "json: un", "json: invalid", "abi.", "cid.Cid", "interface {}", "reflect.", "0xc0", "errors.", "destination has type")
}

// tree is every file below the world's directory: its kind, owner and content.
func (w *world) tree() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		if info.Mode().IsRegular() {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("%d %x", len(raw), sha256.Sum256(raw))
		}
		stat := info.Sys().(*syscall.Stat_t)
		out[path] = fmt.Sprintf("%v %d:%d %s", info.Mode(), stat.Uid, stat.Gid, content)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// same checks that no file was made, removed or changed.
func (w *world) same(before map[string]string) {
	w.t.Helper()
	after := w.tree()
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if before[path] != after[path] {
			w.t.Errorf("%s was written: %q, now %q", path, before[path], after[path])
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			w.t.Errorf("%s was removed", path)
		}
	}
}

// write makes a file in the world.
func (w *world) write(name, content string) string {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// line is a case that needs no preparation.
func line(args ...string) func(*world) []string {
	return func(*world) []string { return args }
}

// into adds the fixture's repo and home to a line.
func into(args ...string) func(*world) []string {
	return func(w *world) []string {
		out := append([]string{"--home", w.home("home")}, args...)
		repo := w.repo("lotus")
		switch args[0] {
		case "import":
			return append(out, "--repo", repo)
		case "export":
			return append(out, "--dest-repo", repo)
		}
		return out
	}
}

// Help on what is no command is wrong usage, as that command is.
func TestHelpOnNoCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("help", "nope").complains(2, "`damocles-manager --help` lists the commands").says(`"nope" is no command of damocles-manager`)
	w.run("help", "util", "sealer", "imprt").complains(2, "sealer --help").says(`"imprt" is no command of damocles-manager util sealer`)
	for _, of := range [][]string{nil, {"help"}, {"util"}, {"util", "sealer", "sectors", "import", "rollback"}, {"completion", "bash"}} {
		w.run(append([]string{"help"}, of...)...).exits(0)
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	check(t, []complaint{
		{name: "unknown flag", args: line("import", "--dryrun"), code: 2, says: []string{"unknown flag: --dryrun"}, hint: "import --help"},
		{name: "unknown shorthand", args: line("import", "-n"), code: 2, says: []string{"-n"}, hint: "import --help"},
		{name: "flag without value", args: line("import", "--repo"), code: 2, says: []string{"--repo"}, hint: "import --help"},
		{name: "flag of another command", args: line("import", "--dest-repo", "x"), code: 2, says: []string{"--dest-repo"}, hint: "import --help"},
		{name: "unknown subcommand", args: line("imprt"), code: 2, says: []string{`"imprt" is no command of`}, hint: "sectors --help"},
		{name: "unknown subcommand with a flag", args: line("imprt", "--repo", "x"), code: 2, says: []string{`"imprt" is no command of damocles-manager util sealer sectors`}, hint: "sectors --help` lists the commands"},
		{name: "unknown subcommand of import", args: line("import", "rolback"), code: 2, says: []string{`"rolback"`}, hint: "import --help"},
		{name: "unknown subcommand of export", args: line("export", "--miner=1000", "metdata"), code: 2, says: []string{`"metdata" is no command of`}, hint: "export --help"},
		{name: "extra argument", args: line("list", "f01000"), code: 2, says: []string{"takes no arguments", "f01000"}, hint: "list --help"},
		{name: "export without miner", args: into("export", "metadata"), code: 2, says: []string{"export needs --miner"}, hint: "export --miner f01000 metadata"},
		{name: "rollback without miner", args: into("export", "rollback"), code: 2, says: []string{"export needs --miner"}, hint: "--miner f01000"},
		{name: "finalize without miner", args: into("finalize", "117", "--really-do-it"), code: 2, says: []string{"no miner given"}, hint: "f01000"},
		{name: "finalize without number", args: into("finalize", "--miner=1000", "--really-do-it"), code: 2, says: []string{"no sector number given"}, hint: "--really-do-it 117"},
		{name: "finalize without confirmation", args: into("finalize", "--miner=1000", "117"), code: 2, says: []string{"--really-do-it"}, hint: "--dry-run"},
		{name: "finalize with a list", args: into("finalize", "--miner=1000", "117,118", "--dry-run"), code: 2, says: []string{`"117,118"`}, hint: "from 0 to"},
		{name: "state without number", args: into("state", "f01000"), code: 2, says: []string{"a miner and a sector number"}, hint: "state f01000 100"},
		{name: "state with too many", args: into("state", "f01000", "1", "2"), code: 2, says: []string{"a miner and a sector number"}, hint: "state f01000 100"},
		{name: "state with a negative number", args: into("state", "f01000", "--", "-1"), code: 2, says: []string{`"-1" is not a sector number`}, hint: "from 0 to"},
		{name: "state with a negative number, without --", args: into("state", "f01000", "-1"), code: 2, says: []string{"-1"}, hint: "state --help"},
		{name: "bad miner", args: into("export", "--miner=f0abc", "metadata"), code: 2, says: []string{`"f0abc" is not a miner address`}, hint: "t01000"},
		{name: "no ID address", args: into("list", "--miner=f3vqlz4nrdyuojvwe6rh5woyhhhhhwgn2kmk5yrskcgzzxx7jqyb3xhnjgjzxjkv4muwmnsc4gtqdqyuvhnhnq"), code: 2, says: []string{"miner"}, hint: "t01000"},
		{name: "negative miner", args: into("list", "--miner=-5"), code: 2, says: []string{`"-5"`}, hint: "t01000"},
		{name: "miner of 80 bits", args: into("list", "--miner=1208925819614629174706176"), code: 2, says: []string{"1208925819614629174706176"}, hint: "t01000"},
		{name: "numbers that are words", args: into("import", "--numbers=all"), code: 2, says: []string{`--numbers "all"`}, hint: "10-20"},
		{name: "numbers backwards", args: into("import", "--numbers=20-10"), code: 2, says: []string{"20-10", "empty"}, hint: "smaller number first"},
		{name: "numbers without end", args: into("import", "--numbers=5-"), code: 2, says: []string{`--numbers "5-"`}, hint: "10-20"},
		{name: "numbers with a hole", args: into("import", "--numbers=1,,2"), code: 2, says: []string{"--numbers"}, hint: "10-20"},
		{name: "no numbers", args: into("import", "--numbers="), code: 2, says: []string{"--numbers"}, hint: "10-20"},
		{name: "number too large", args: into("import", "--numbers=9223372036854775808"), code: 2, says: []string{"9223372036854775808"}, hint: "10-20"},
		{name: "next number too large", args: into("export", "--miner=1000", "metadata", "--next-number=9223372036854775808"), code: 2, says: []string{"--next-number", `"9223372036854775808"`}, hint: "9223372036854775807"},
		{name: "next number larger than that", args: into("export", "--miner=1000", "metadata", "--next-number=99999999999999999999"), code: 2, says: []string{"--next-number", "99999999999999999999"}, hint: "metadata --help"},
		{name: "next number negative", args: into("export", "--miner=1000", "metadata", "--next-number=-5"), code: 2, says: []string{"--next-number", `"-5"`}, hint: "metadata --help"},
		{name: "next number no number", args: into("export", "--miner=1000", "metadata", "--next-number=1e6"), code: 2, says: []string{"--next-number", `"1e6"`}, hint: "metadata --help"},
		{name: "a bool that is none", args: into("list", "--offline=ja"), code: 2, says: []string{"--offline", `"ja"`}, hint: "list --help"},
		{name: "only the number, but which", args: into("export", "--miner=1000", "metadata", "--only-next-number"), code: 2, says: []string{"flag next-number must be set"}, hint: "--next-number 1000"},
		{name: "lower the number, but to which", args: into("export", "--miner=1000", "metadata", "--lower-number"), code: 2, says: []string{"--lower-number"}, hint: "--next-number"},
		{name: "chain and no chain", args: into("export", "--miner=1000", "metadata", "--chain=127.0.0.1:1", "--without-chain"), code: 2, says: []string{"--chain", "--without-chain"}, hint: "one"},
		{name: "finalize with chain and no chain", args: into("finalize", "--miner=1000", "117", "--dry-run", "--chain=127.0.0.1:1", "--without-chain"), code: 2, says: []string{"--chain", "--without-chain"}, hint: "one"},
		{name: "no jobs", args: into("import", "--jobs=0"), code: 2, says: []string{"--jobs 0"}, hint: "1 to"},
		{name: "negative jobs", args: into("export", "--miner=1000", "metadata", "--jobs=-3"), code: 2, says: []string{"--jobs -3"}, hint: "1 to"},
		{name: "more jobs than a machine has", args: into("import", "--jobs=1000000000"), code: 2, says: []string{"--jobs 1000000000"}, hint: "1 to"},
		{name: "an empty home, as from an unset variable", args: line("--home=", "list"), code: 2, says: []string{"--home"}, hint: "leave it out"},
		{name: "an empty api, as from a missing file", args: line("import", "--api="), code: 2, says: []string{"--api"}, hint: "leave it out"},
		{name: "an empty token, as from a missing file", args: line("import", "--token="), code: 2, says: []string{"--token"}, hint: "leave it out"},
		{name: "an empty chain", args: line("import", "--chain="), code: 2, says: []string{"--chain"}, hint: "leave it out"},
	})
}

// Above util, too, what is no command is wrong usage.
func TestUnknownCommands(t *testing.T) {
	for _, args := range [][]string{{"utl"}, {"util", "sealr"}, {"util", "sealer", "sector"}, {"--hom"}, {"util", "--listn=1"}} {
		w := newWorld(t)
		w.run(args...).complains(2, "--help").says(strings.Split(args[len(args)-1], "=")[0])
	}
}

func TestPlanOutRefused(t *testing.T) {
	commands := map[string][]string{
		"import":   {"import"},
		"export":   {"export", "--miner=1000", "metadata"},
		"number":   {"export", "--miner=1000", "metadata", "--next-number=5", "--only-next-number"},
		"finalize": {"finalize", "--miner=1000", "117", "--really-do-it", "--without-chain"},
	}
	var cases []complaint
	for name, args := range commands {
		with := func(plan func(w *world) string) func(*world) []string {
			return func(w *world) []string { return append(into(args...)(w), "--plan-out", plan(w)) }
		}
		cases = append(cases, complaint{
			name: name + " onto a file", code: 1, says: []string{"plan.json: there is such a file already"}, hint: "name a new file",
			args: with(func(w *world) string { return w.write("plan.json", "mine") }),
		}, complaint{
			name: name + " into a missing directory", code: 1, says: []string{"--plan-out", "no-such-dir"}, hint: "directory",
			args: with(func(w *world) string { return w.path("no-such-dir/plan.json") }),
		}, complaint{
			name: name + " onto a directory", code: 1, says: []string{"--plan-out", "home"}, hint: "name a new file",
			args: with(func(w *world) string { return w.path("home") }),
		})
	}
	// A home that import would make is not made either.
	cases = append(cases, complaint{
		name: "import into a new home", code: 1, says: []string{"there is such a file already"}, hint: "name a new file",
		args: func(w *world) []string {
			return []string{"--home", w.path("new"), "import", "--repo", w.repo("lotus"), "--plan-out", w.write("plan.json", "mine")}
		},
	})
	check(t, cases)
}
