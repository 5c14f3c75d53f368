package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// chapters are the documents whose command blocks are run, and their
// translations.
var chapters = []string{
	"docs/lotus-to-damocles.md", "docs/damocles-to-lotus.md",
	"docs/daemon.md",
	"docs/zh/lotus-to-damocles.md", "docs/zh/damocles-to-lotus.md", "docs/zh/daemon.md", "docs/zh/README.md",
	"README.md",
}

// block is a fenced block of a document, with what the comments before it say to
// the test:
//
//	<!-- world: lotus-first -->   what the machine is like from here on; see worlds
//	<!-- exit: 3 -->              the exit code of the block's last command, if not 0
//	<!-- output -->               the text block is what the last command before it prints
//	<!-- skip: why -->            the block is not run
type block struct {
	line   int
	kind   string // sh, text, toml, …
	text   string
	worlds []string
	exit   int
	output bool
	skip   string
}

var remark = regexp.MustCompile(`^<!-- (world|exit|output|skip)(?:: (.*))? -->$`)

// blocksOf reads the fenced blocks of a document.
func blocksOf(t *testing.T, path string) []block {
	t.Helper()
	var out []block
	var next block
	inside := false
	for i, line := range strings.Split(read(t, path), "\n") {
		switch m := remark.FindStringSubmatch(line); {
		case inside && line == "```":
			out, next, inside = append(out, next), block{}, false
		case inside:
			next.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			next.line, next.kind, inside = i+1, strings.TrimPrefix(line, "```"), true
		case m != nil:
			next.say(t, fmt.Sprintf("%s:%d", path, i+1), m[1], m[2])
		case strings.HasPrefix(line, "<!--"):
			t.Fatalf("%s:%d: a remark that the test does not know: %s", path, i+1, line)
		}
	}
	if inside {
		t.Fatalf("%s: a block has no end", path)
	}
	return out
}

func (b *block) say(t *testing.T, at, what, value string) {
	t.Helper()
	switch what {
	case "world":
		b.worlds = append(b.worlds, strings.Fields(value)...)
	case "exit":
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		b.exit = n
	case "output":
		b.output = true
	case "skip":
		if value == "" {
			t.Fatalf("%s: a block that is not run needs a reason", at)
		}
		b.skip = value
	}
}

// commands are the lines of a block, joined where they end with a backslash,
// without comments.
func (b block) commands() []string {
	var out []string
	joined := strings.ReplaceAll(b.text, "\\\n", " ")
	for line := range strings.Lines(joined) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// Every command of the manual is run, in its order, and what is printed as its
// output is what it prints.
func TestManual(t *testing.T) {
	for _, path := range chapters {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			runChapter(t, path)
		})
	}
}

func runChapter(t *testing.T, path string) {
	t.Helper()
	w := newReader(t)
	readme := filepath.Base(path) == "README.md"
	if readme {
		w.become("readme")
	}
	ran, last := 0, ""
	for _, b := range blocksOf(t, "../../"+path) {
		for _, name := range b.worlds {
			w.become(name)
		}
		at := fmt.Sprintf("%s:%d", path, b.line)
		switch {
		case b.skip != "":
			t.Logf("%s: skipped: %s", at, b.skip)
		case b.kind == "sh":
			n, text := w.runBlock(at, b, readme)
			ran, last = ran+n, text
		case b.output:
			if err := compareOutput(b.text, last); err != nil {
				t.Errorf("%s: %v\nthe command prints:\n%s", at, err, last)
			}
		}
		if t.Failed() {
			t.FailNow() // what follows builds on it
		}
	}
	if ran == 0 {
		t.Errorf("%s: no command was run", path)
	}
}

// runBlock runs the commands of a block and returns how many there were, and
// what the last one printed. The README's own commands of the shell and of Go are left out.
func (w *reader) runBlock(at string, b block, readme bool) (int, string) {
	w.t.Helper()
	commands, last := b.commands(), ""
	if readme {
		commands = slices.DeleteFunc(commands, func(c string) bool { return program(c) == "sh" || program(c) == "go" })
	}
	for i, command := range commands {
		want := 0
		if i == len(commands)-1 {
			want = b.exit
		}
		if !slices.Contains(known, program(command)) {
			w.t.Fatalf("%s: %q is no program that the test knows", at, program(command))
		}
		if readme {
			w.guess(command)
		}
		code, text := w.run(command)
		last = text
		if os.Getenv("MANUAL_SHOW") != "" {
			w.t.Logf("%s\n$ %s\n%s[exit %d]", at, command, text, code)
		}
		// the README's examples tell no story: it is enough that they come to their end
		if readme && b.exit == 0 && (code == 3 || code == 4) {
			continue
		}
		if code != want {
			w.t.Fatalf("%s: exit code %d, want %d\n$ %s\n%s", at, code, want, command, text)
		}
	}
	return len(commands), last
}

// known are the programs that a block may begin with.
var known = []string{"damocles-manager", "lotus-miner", "lotus", "venus-wallet", "systemctl", "curl", "cp", "rm"}

func program(command string) string { return strings.Fields(command)[0] }

var (
	stamp   = regexp.MustCompile(`\d{8}T\d{6}\.\d{9}Z|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)
	spaces  = regexp.MustCompile(`[ \t]+`)
	figures = regexp.MustCompile(`\b(\d+(\.\d+)? ?[KMGT]i?B|\d+\.\d+%)`)
)

// sameText makes texts comparable: moments, sizes and the width of columns aside.
func sameText(s string) string {
	s = stamp.ReplaceAllString(s, "DATE")
	s = figures.ReplaceAllString(s, "SIZE")
	s = seconds.ReplaceAllString(s, "SOME seconds")
	return strings.TrimSpace(spaces.ReplaceAllString(s, " "))
}

var seconds = regexp.MustCompile(`[0-9.]+ seconds`)

// compareOutput says whether a document's block is what was printed. A line "…"
// stands for any lines.
func compareOutput(block, printed string) error {
	have := strings.Split(sameText(printed), "\n")
	gap, at := false, 0
	for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
		if strings.TrimSpace(line) == "…" {
			gap = true
			continue
		}
		want := sameText(line)
		for gap && at < len(have) && strings.TrimSpace(have[at]) != want {
			at++
		}
		if at >= len(have) || strings.TrimSpace(have[at]) != want {
			return fmt.Errorf("the output has no line %q where the manual has it", line)
		}
		gap, at = false, at+1
	}
	if !gap && at < len(have) {
		return fmt.Errorf("the output has more: %q", have[at])
	}
	return nil
}

// The translation has the same commands, configurations and outputs in the same
// order, under as many headings.
func TestManualInChinese(t *testing.T) {
	for _, name := range []string{"../README.md", "lotus-to-damocles.md", "damocles-to-lotus.md", "daemon.md"} {
		translated := "../../docs/zh/" + filepath.Base(name)
		en, zh := blocksOf(t, "../../docs/"+name), blocksOf(t, translated)
		if len(en) != len(zh) {
			t.Fatalf("%s: %d blocks in English, %d in Chinese", name, len(en), len(zh))
		}
		for i := range en {
			a, b := en[i], zh[i]
			a.line, b.line = 0, 0
			if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) {
				t.Errorf("%s:%d and its translation, line %d, differ:\n%s\n%s", name, en[i].line, zh[i].line, en[i].text, zh[i].text)
			}
		}
		if a, b := levels(t, "../../docs/"+name), levels(t, translated); a != b {
			t.Errorf("%s: the headings' levels are %s, in the translation %s", name, a, b)
		}
	}
}

// levels are the levels of a document's headings, in their order.
func levels(t *testing.T, path string) string {
	t.Helper()
	var out strings.Builder
	for _, h := range headings(read(t, path)) {
		fmt.Fprintf(&out, "%d", strings.Index(h, " "))
	}
	return out.String()
}

// headings are the lines of a document that begin with #, outside of its blocks.
func headings(text string) []string {
	var out []string
	inside := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			inside = !inside
		}
		if !inside && strings.HasPrefix(line, "#") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
