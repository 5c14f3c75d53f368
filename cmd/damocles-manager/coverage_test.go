package main

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// later are documents that are being written; links to them are taken on trust
// until they exist.
var later = []string{"docs/safety.md", "docs/exit-codes.md", "docs/troubleshooting.md", "docs/daemon.md"}

var (
	bullet   = regexp.MustCompile(`^(• |#+ |> |\$ )`)
	listing  = regexp.MustCompile(`^(copy|move) file from `)
	sentence = regexp.MustCompile(`[^。；]+[。；]*`)
)

// sentences takes the guide apart: by lines, and these by 。 and ；. A command over
// several lines is one, and so is a listing of files.
func sentences(guide string) []string {
	var out []string
	before := ""
	for line := range strings.Lines(strings.ReplaceAll(guide, "\\\n", " ")) {
		line = bullet.ReplaceAllString(strings.Join(strings.Fields(line), " "), "")
		files := listing.FindString(line)
		if line == "" || (files != "" && files == before) {
			continue
		}
		before = files
		for _, s := range sentence.FindAllString(line, -1) {
			out = append(out, strings.TrimSpace(s))
		}
	}
	return out
}

func TestSentences(t *testing.T) {
	guide := "# 一\n\n  • 二。三；四\n$ ./a \\\n  --b\ncopy file from x\ncopy file from y\nmove file from z\n"
	want := []string{"一", "二。", "三；", "四", "./a --b", "copy file from x", "move file from z"}
	if got := sentences(guide); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every sentence of the guide is answered by something that exists.
func TestCoverage(t *testing.T) {
	known, flags := testNames(t), map[string]string{}
	all := sentences(read(t, "../../testdata/switching.zh.txt"))
	if len(all) < 100 {
		t.Fatalf("the guide has %d sentences only", len(all))
	}
	rows := table(read(t, "../../docs/coverage.md"))
	for i, s := range all {
		if i >= len(rows) {
			t.Fatalf("sentence %d is not in docs/coverage.md: %s", i+1, s)
		}
		row := rows[i]
		if row[0] != strconv.Itoa(i+1) || row[1] != s {
			t.Fatalf("row %d of docs/coverage.md is %q, and sentence %d of the guide %q", i+1, row[:2], i+1, s)
		}
		answers := len(linksOf(row[2]))
		for _, quoted := range quotes(row[2]) {
			switch {
			case strings.HasPrefix(quoted, "Test"):
				answers++
				if !known[quoted] {
					t.Errorf("sentence %d: there is no test %s", i+1, quoted)
				}
			case strings.HasPrefix(quoted, "util "):
				answers++
				commandExists(t, i+1, quoted, flags)
			}
		}
		if answers == 0 {
			t.Errorf("sentence %d has no answer: %s", i+1, s)
		}
	}
	if len(rows) != len(all) {
		t.Errorf("docs/coverage.md has %d rows, the guide %d sentences", len(rows), len(all))
	}
}

// table reads the rows of the document's table whose first cell is a number.
func table(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 3 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if _, err := strconv.Atoi(cells[0]); err == nil {
			rows = append(rows, cells)
		}
	}
	return rows
}

var quote = regexp.MustCompile("`([^`]+)`")

func quotes(text string) (out []string) {
	for _, m := range quote.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// commandExists asks the command itself, by --help, for its name and its flags.
// helps keeps what was asked.
func commandExists(t *testing.T, at int, quoted string, helps map[string]string) {
	t.Helper()
	words := strings.Fields(quoted)
	n := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") })
	if n < 0 {
		n = len(words)
	}
	path := strings.Join(words[:n], " ")
	if helps[path] == "" {
		out, err := exec.Command("damocles-manager", append(slices.Clone(words[:n]), "--help")...).Output()
		if err != nil {
			t.Errorf("sentence %d: %s: %v", at, quoted, err)
		}
		helps[path] = string(out)
	}
	if !strings.Contains(helps[path], "\n  damocles-manager "+path+" ") {
		t.Errorf("sentence %d: there is no command %s", at, path)
	}
	for _, flag := range words[n:] {
		if !strings.Contains(helps[path], "  "+flag+" ") {
			t.Errorf("sentence %d: %s has no flag %s", at, path, flag)
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testNames are the tests of this module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, path := range filesUnder(t, "../..", "_test.go") {
		for _, m := range testFunc.FindAllStringSubmatch(read(t, path), -1) {
			out[m[1]] = true
		}
	}
	return out
}

func filesUnder(t *testing.T, dir, suffix string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != dir {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			out = append(out, path)
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("no file %s under %s: %v", suffix, dir, err)
	}
	return out
}

var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// linksOf are the targets of a text's links.
func linksOf(text string) (out []string) {
	for _, m := range markdownLink.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// Every link of the documents leads to a file and a heading that exist.
func TestLinks(t *testing.T) {
	documents := append(filesUnder(t, "../../docs", ".md"), "../../README.md", "../../testdata/switching.source.md")
	n := 0
	for _, document := range documents {
		for _, link := range linksOf(read(t, document)) {
			target, anchor, _ := strings.Cut(link, "#")
			if strings.Contains(link, "://") {
				continue
			}
			n++
			path := filepath.Join(filepath.Dir(document), target)
			if target == "" {
				path = document
			}
			if _, err := os.Stat(path); err != nil {
				if !slices.Contains(later, strings.TrimPrefix(filepath.ToSlash(path), "../../")) {
					t.Errorf("%s: the link %s leads nowhere", document, link)
				}
				continue
			}
			if anchor != "" && !anchors(read(t, path))[anchor] {
				t.Errorf("%s: %s has no heading #%s; it has %v", document, path, anchor, slices.Sorted(maps.Keys(anchors(read(t, path)))))
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d links were found", n)
	}
}

// anchors are the names under which a document's headings can be linked to, as
// GitHub makes them: lower case, letters, digits, - and _, blanks as -.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, h := range headings(text) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimLeft(h, "# "))
		out[name] = true
	}
	return out
}
