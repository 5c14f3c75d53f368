package main

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// told are the messages that docs/troubleshooting.md explains.
func told(t *testing.T) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(top, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(raw), -1) {
		if found[row[1]] {
			t.Errorf("docs/troubleshooting.md explains %q twice", row[1])
		}
		found[row[1]] = true
	}
	if len(found) < 100 {
		t.Fatalf("only %d rows were found: has their form changed?", len(found))
	}
	return found
}

// Every error that the program makes for people is explained, but for those that
// are put together from others' words alone.
func TestTroubleshootingIsWhole(t *testing.T) {
	told := told(t)
	refusals := 0
	for _, m := range messages(t) {
		if m.kind == "Refuse" {
			refusals++
		}
		if !told[m.text] && strings.Trim(m.text, "…:(), ") != "" && !strings.HasPrefix(m.path, "internal/sample/") {
			t.Errorf("%s: docs/troubleshooting.md does not explain it; a row to begin with:\n%s", m.path, m.row())
		}
	}
	if refusals < 35 {
		t.Errorf("only %d refusals were found: has the way to make them changed?", refusals)
	}
}

func (m message) row() string {
	return fmt.Sprintf("| `%s` | %s. |", m.text, strings.TrimSuffix(m.hint, "."))
}

// What is explained is what the program says: a message that was changed takes
// its row along.
func TestTroubleshootingIsTrue(t *testing.T) {
	said := map[string]bool{}
	eachFile(t, func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if s := literal(e); s != "" {
					said[asShown(s)] = true
				}
			}
			return true
		})
	})
	for text := range told(t) {
		if !said[text] {
			t.Errorf("docs/troubleshooting.md explains %q, which the program does not say (any more)", text)
		}
	}
}
