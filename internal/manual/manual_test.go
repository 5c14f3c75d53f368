package main

import (
	"bytes"
	"go/ast"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"damocles-manager/internal/cli"
)

const top = "../.."

// What is committed is what the commands and go.mod say now.
func TestGeneratedIsFresh(t *testing.T) {
	made, err := generate(top)
	if err != nil {
		t.Fatal(err)
	}
	const how = "the commands or the modules have changed: run `make manual` and commit what it writes"
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Errorf("%v; %s", err, how)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is out of date; %s", name, how)
		}
	}
	for _, dir := range []string{manDir, completionsDir} {
		for _, path := range filesBelow(t, dir, "") {
			if _, ok := made[path]; !ok {
				t.Errorf("%s belongs to no command; %s", path, how)
			}
		}
	}
	again, err := generate(top)
	if err != nil {
		t.Fatal(err)
	}
	for name := range made {
		if !bytes.Equal(made[name], again[name]) {
			t.Errorf("%s differs from run to run", name)
		}
	}
}

// filesBelow lists the files below a directory of the tree that end in suffix.
func filesBelow(t *testing.T, dir, suffix string) (found []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(top), dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every page has what a manual page has to have, and no line that roff would take
// for an order of its own.
func TestPages(t *testing.T) {
	orders := regexp.MustCompile(`^\.(TH|SH|PP|TP|B|BR|RS|RE|nf|fi|nh|ad) ?`)
	root := cli.Commands()
	cmds := all(root)
	if len(cmds) < 20 {
		t.Fatalf("only %d commands", len(cmds))
	}
	for _, cmd := range cmds {
		raw := page(cmd)
		want := []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"}
		if cmd.HasExample() {
			want = append(want, "EXAMPLES")
		}
		if !cmd.HasSubCommands() && cmd.Parent().Name() != "completion" {
			want = append(want, "ENVIRONMENT", "EXAMPLES")
		}
		for _, section := range want {
			if !bytes.Contains(raw, []byte("\n.SH "+section+"\n")) {
				t.Errorf("%s: no section %s", cmd.CommandPath(), section)
			}
		}
		for line := range strings.Lines(string(raw)) {
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !orders.MatchString(line) {
				t.Errorf("%s: roff would take this for an order: %s", cmd.CommandPath(), line)
			}
		}
	}
}

// Where groff is, it has nothing to say against a page.
func TestPagesWithGroff(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Log("no groff here; TestPages has looked at their form")
		return
	}
	args := []string{"-man", "-Tutf8", "-ww", "-z"}
	for _, name := range filesBelow(t, manDir, ".1") {
		args = append(args, filepath.Join(top, name))
	}
	if out, err := exec.Command(groff, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}

// Where bash is, it can read its completions.
func TestCompletionsWithBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Log("no bash here")
		return
	}
	path := filepath.Join(top, completionsDir, "bash", completionNames["bash"])
	if out, err := exec.Command(bash, "-n", path).CombinedOutput(); err != nil {
		t.Errorf("bash: %v\n%s", err, out)
	}
}

// What the code asks the environment for stands in the pages.
func TestEnvironmentIsWhole(t *testing.T) {
	var told []string
	for _, v := range environment() {
		told = append(told, strings.Split(v.names, ", ")...)
	}
	name := regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	asked := map[string]string{}
	eachFile(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if s := literal(n); name.MatchString(s) {
				asked[s] = path
			} else if ok && len(call.Args) == 1 && strings.HasSuffix(strings.ToLower(nameOf(call.Fun)), "getenv") {
				if s := literal(call.Args[0]); s != "" {
					asked[s] = path
				}
			}
			return true
		})
	})
	for s, path := range asked {
		if !slices.Contains(told, s) && !slices.Contains(notEnvironment, s) {
			t.Errorf("%s looks like a variable of the environment (%s), and is not in internal/manual/environment.go", s, path)
		}
	}
	for _, s := range told {
		if asked[s] == "" {
			t.Errorf("the code asks for no %s", s)
		}
	}
}

// A page names no flag that its command does not have, in what it says of a variable.
func TestEnvironmentNamesFlagsOfItsCommand(t *testing.T) {
	flag := regexp.MustCompile(`--([a-z-]+)`)
	for _, cmd := range all(cli.Commands()) {
		if !cmd.HasParent() {
			continue // the first page has all
		}
		for _, v := range environment() {
			for _, m := range flag.FindAllStringSubmatch(v.meaning, -1) {
				if v.of(cmd) && cmd.Flags().Lookup(m[1]) == nil && cmd.InheritedFlags().Lookup(m[1]) == nil {
					t.Errorf("%s: %s names --%s, which it does not have", cmd.CommandPath(), v.names, m[1])
				}
			}
		}
	}
}

// notEnvironment are words in the code that only look like variables.
var notEnvironment = []string{}

func TestLicencesOf(t *testing.T) {
	const bsd = "Redistribution and use in source and binary forms, with\nor without … this list of conditions"
	for _, tt := range []struct{ text, want string }{
		{"  Apache License\n  Version 2.0, January 2004", "Apache-2.0"},
		{"Permission is hereby granted, free of charge … THE SOFTWARE IS PROVIDED \"AS IS\"", "MIT"},
		{bsd, "BSD-2-Clause"},
		{bsd + " Neither the name of", "BSD-3-Clause"},
		{"GNU GENERAL PUBLIC LICENSE … Apache License, Version 2.0", ""},
		{"all rights reserved", ""},
	} {
		if got := strings.Join(licencesOf(tt.text), " "); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
	if _, err := licencesIn(t.TempDir()); err == nil {
		t.Error("a module without a licence is allowed")
	}
}
