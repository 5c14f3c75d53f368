package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The examples of the contract end with the code that they show.
func TestExitCodesExamples(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "exit-codes.md"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.repo(".lotusminer")
	w.home(".damocles-manager")
	damaged := w.copy("switch-2k/storage/damocles-1", "damaged")
	w.must(os.Chmod(filepath.Join(damaged, "sealed", "s-t01000-100"), 0o600))
	w.must(os.Truncate(filepath.Join(damaged, "sealed", "s-t01000-100"), 1000))

	shown := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\$ damocles-manager (.*)\n# exit code (\d+)`).FindAllStringSubmatch(string(doc), -1) {
		code, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		w.run(strings.Fields(m[1])...).exits(code)
		shown[code] = true
	}
	for _, c := range ExitCodes() {
		if !shown[c.Code] && c.Code != exitInterrupted { // TestInterruptImport and its like show that
			t.Errorf("no example of exit code %d", c.Code)
		}
	}
}

// The help has every code, within the width of a terminal.
func TestExitCodesHelp(t *testing.T) {
	help := exitCodesHelp()
	words := strings.Join(strings.Fields(help), " ")
	for _, c := range ExitCodes() {
		if !strings.Contains(words, strconv.Itoa(c.Code)+" "+c.Meaning) {
			t.Errorf("the help has no %d: %s", c.Code, help)
		}
	}
	for line := range strings.Lines(help) {
		if len(line) > 81 {
			t.Errorf("too long for a terminal: %s", line)
		}
	}
}
