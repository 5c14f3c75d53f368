package main

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"damocles-manager/internal/cli"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The constants, the help and the contract name the same codes with the same
// meaning.
func TestExitCodesAreTheConstants(t *testing.T) {
	constants := map[int]string{}
	eachFile(t, func(path string, file *ast.File) {
		if path != "internal/cli/main.go" {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "exit") {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
				code, err := strconv.Atoi(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				constants[code] = spec.Names[0].Name
			}
			return true
		})
	})
	codes := cli.ExitCodes()
	if len(codes) != len(constants) || len(codes) < 7 {
		t.Errorf("%d codes in the help, %d constants in the code", len(codes), len(constants))
	}
	doc := readDoc(t, "docs/exit-codes.md")
	for _, c := range codes {
		if constants[c.Code] == "" {
			t.Errorf("there is no constant for %d", c.Code)
		}
		if row := fmt.Sprintf("\n| %d | %s | ", c.Code, c.Meaning); !strings.Contains(doc, row) {
			t.Errorf("docs/exit-codes.md has no row%s", row)
		}
	}
}

// Every command has a table, with the codes that its manual page names.
func TestExitCodesOfEveryCommand(t *testing.T) {
	sections := sectionsOf(readDoc(t, "docs/exit-codes.md"))
	row := regexp.MustCompile(`(?m)^\| (\d+) \| .`)
	known := map[string]bool{"completion": true}
	for _, cmd := range all(cli.Commands()) {
		name := strings.TrimPrefix(cmd.CommandPath(), "damocles-manager ")
		if cmd.HasSubCommands() && name != "util sealer sectors import" {
			continue
		}
		if strings.HasPrefix(name, "completion ") {
			name = "completion"
		}
		known[name] = true
		var want, got []string
		for _, c := range cli.ExitCodesOf(cmd) {
			want = append(want, strconv.Itoa(c.Code))
		}
		for _, m := range row.FindAllStringSubmatch(sections[name], -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("docs/exit-codes.md, section %q: the table has the codes %v, and by mayExit in internal/cli/exit_codes.go it may end with %v",
				name, got, want)
		}
	}
	for name := range sections {
		if name != "" && !known[name] {
			t.Errorf("docs/exit-codes.md has a section on %q, which is no command", name)
		}
	}
}

// sectionsOf cuts a document at its headings of the third level.
func sectionsOf(doc string) map[string]string {
	out := map[string]string{}
	for i, part := range strings.Split(doc, "\n### ") {
		if name, text, _ := strings.Cut(part, "\n"); i > 0 {
			out[name] = text
		}
	}
	return out
}
