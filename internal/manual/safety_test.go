package main

import (
	"regexp"
	"strings"
	"testing"
)

// The tests that docs/safety.md names are there, and each promise names some.
func TestSafetyNamesTests(t *testing.T) {
	declared := map[string]bool{}
	decl := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, path := range append(filesBelow(t, "internal", "_test.go"), filesBelow(t, "cmd", "_test.go")...) {
		for _, m := range decl.FindAllStringSubmatch(readDoc(t, path), -1) {
			declared[m[1]] = true
		}
	}
	promises, _, _ := strings.Cut(readDoc(t, "docs/safety.md"), "## What is not promised")
	sections := sectionsOf(promises)
	if len(sections) < 10 {
		t.Fatalf("only %d promises", len(sections))
	}
	named := regexp.MustCompile("`(Test\\w+)`")
	for promise, text := range sections {
		names := named.FindAllStringSubmatch(text, -1)
		if len(names) == 0 {
			t.Errorf("the promise %q names no test", promise)
		}
		for _, m := range names {
			if !declared[m[1]] {
				t.Errorf("docs/safety.md names %s, and there is no such test", m[1])
			}
		}
	}
}
