package cli

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"damocles-manager/internal/demo"
)

// demoShown shows a demo, step by step.
type demoShown struct {
	*app
	dir string
}

// begin says what the lines to come are about.
func (d *demoShown) begin(keep bool) {
	if d.quiet {
		return
	}
	until := "which is removed at the end"
	if keep {
		until = "which is left at the end"
	}
	d.wrapped("", "A switch from lotus-miner to damocles and back, with real sectors of 2 KiB. It happens in a directory of its own, "+
		until+", without any network. The commands below are what you would type, after")
	d.ui.Printf("\n")
	for _, line := range d.environment() {
		d.ui.Printf("  %s\n", line)
	}
	_ = d.ui.Flush() // a broken stdout shows at the end
}

// environment is what a shell has to be told before it can run the commands.
func (d *demoShown) environment() []string {
	return []string{
		"export DEMO=" + shellWord(d.dir),
		"export DAMOCLES_PATH=" + d.word(demo.Home(d.dir)),
		"export DAMOCLES_LISTEN=" + listenNone,
	}
}

// word is an argument as it is typed, with $DEMO for the directory.
func (d *demoShown) word(arg string) string {
	rest, inside := strings.CutPrefix(arg, d.dir)
	switch {
	case !inside || rest != "" && rest[0] != filepath.Separator:
		return shellWord(arg)
	case plainWord.MatchString(arg):
		return "$DEMO" + rest
	default:
		return `"$DEMO` + rest + `"` // the story's own names need no quoting
	}
}

// short is a line that a command has printed, with $DEMO for the directory. Where
// the directory has to be quoted the line is left alone: there may be a command in it
// that is quoted already.
func (d *demoShown) short(line string) string {
	if !plainWord.MatchString(d.dir) {
		return line
	}
	return strings.ReplaceAll(line, d.dir, "$DEMO")
}

func (d *demoShown) line(words []string) string {
	typed := make([]string, len(words))
	for i, w := range words {
		typed[i] = d.word(w)
	}
	return strings.Join(typed, " ")
}

// demoStep is a step in --json output.
type demoStep struct {
	Type     string         `json:"type"` // always "step"
	Step     int            `json:"step"`
	Title    string         `json:"title"`
	Commands []demoCommand  `json:"commands"`
	Compared []demoCompared `json:"compared"`
	Seconds  float64        `json:"seconds"`
}

type demoCommand struct {
	Args []string `json:"args"`
	Exit int      `json:"exit"`
}

type demoCompared struct {
	What string `json:"what"`
	Same int    `json:"same"`
}

func comparedLines(compared []demo.Compared) []demoCompared {
	out := []demoCompared{}
	for _, c := range compared {
		out = append(out, demoCompared{c.What, c.N})
	}
	return out
}

func (d *demoShown) step(s demo.Step) {
	line := demoStep{Type: "step", Step: s.Number, Title: s.Title, Commands: []demoCommand{}, Compared: comparedLines(s.Compared), Seconds: s.Took.Seconds()}
	for _, c := range s.Commands {
		line.Commands = append(line.Commands, demoCommand{c.Args, c.Exit})
	}
	_ = d.ui.Object(line) // a broken stdout shows at Flush
	if d.quiet {
		return
	}
	d.ui.Printf("\n%d. %s\n", s.Number, s.Title)
	if s.Text != "" {
		d.wrapped("", s.Text)
	}
	for _, c := range s.Commands {
		d.ui.Printf("\n  $ damocles-manager %s\n", d.line(c.Args))
		for _, out := range c.Output {
			d.ui.Printf("  %s\n", d.short(out))
		}
	}
	if len(s.Commands) > 0 && len(s.Compared) > 0 {
		d.ui.Printf("\n")
	}
	d.compared(s.Compared)
	_ = d.ui.Flush() // a broken stdout shows at the end
}

func (d *demoShown) compared(compared []demo.Compared) {
	for _, c := range compared {
		d.ui.Printf("  = %d of %d %s\n", c.N, c.N, c.What)
	}
}

// end closes the demo with its sums, and with --keep shows what to try.
func (d *demoShown) end(r *demo.Report, keep bool) error {
	summary := struct {
		Type      string         `json:"type"`
		Steps     int            `json:"steps"`
		Commands  int            `json:"commands"`
		Sectors   int            `json:"sectors"`
		Compared  []demoCompared `json:"compared"`
		Seconds   float64        `json:"seconds"`
		Directory string         `json:"directory,omitempty"`
	}{"summary", r.Steps, r.Commands, r.Sectors, comparedLines(r.Compared), r.Took.Seconds(), ""}
	var err error
	if keep {
		err = d.try()
		summary.Directory = d.dir
	}
	if d.quiet {
		d.compared(r.Compared)
	} else {
		d.ui.Printf("\n")
	}
	d.ui.Printf("demo: ok (%d sectors, %d commands, %.1f seconds)\n", r.Sectors, r.Commands, r.Took.Seconds())
	return errors.Join(err, d.ui.Object(summary))
}

// try shows the commands that can be tried in the directory that is left.
func (d *demoShown) try() error {
	var tries []demo.TryLine
	for _, t := range demo.Try(d.dir) {
		if t.Words[0] == "damocles-manager" {
			t.Words[0] = d.program()
		}
		tries = append(tries, t)
	}
	var err error
	for _, line := range d.environment() {
		err = errors.Join(err, d.ui.Object(demoTry{"try", line, 0}))
	}
	d.ui.Printf("\nThe directory is left. To try in a shell, one after the other:\n\n")
	for _, line := range d.environment() {
		d.ui.Printf("  %s\n", line)
	}
	for _, t := range tries {
		code := ""
		if t.Exit != 0 {
			code = fmt.Sprintf("   # exit code %d", t.Exit)
		}
		d.ui.Printf("  %s%s\n", d.line(t.Words), code)
		err = errors.Join(err, d.ui.Object(demoTry{"try", d.line(t.Words), t.Exit}))
	}
	return err
}

// demoTry is a line for a shell in --json output.
type demoTry struct {
	Type string `json:"type"` // always "try"
	Line string `json:"line"`
	Exit int    `json:"exit"`
}

// program is how the one who reads can call this program: a path that holds in every
// directory, or the name by which the shell has found it.
func (d *demoShown) program() string {
	name := cmp.Or(d.env.Program, "damocles-manager")
	if !strings.ContainsRune(name, filepath.Separator) {
		return name
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}
