package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	inCode  = regexp.MustCompile("`[^`\n]*`")
)

// Every link of a document to a file of this tree, and to a heading in it, leads
// somewhere.
func TestLinks(t *testing.T) {
	links := 0
	for _, doc := range documents(t) {
		text := inCode.ReplaceAllString(fenced.ReplaceAllString(readDoc(t, doc), ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			name, anchor, _ := strings.Cut(m[1], "#")
			to := doc
			if name != "" {
				to = path.Join(path.Dir(doc), name)
			}
			if _, err := os.Stat(filepath.Join(top, to)); err != nil {
				t.Errorf("%s links to %s: %v", doc, m[1], err)
			} else if anchor != "" && !anchors(readDoc(t, to))[anchor] {
				t.Errorf("%s links to %s: there is no such heading", doc, m[1])
			}
		}
	}
	if links < 10 {
		t.Errorf("only %d links were looked at", links)
	}
}

// documents are the texts that people read.
func documents(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, dir := range []string{".", "docs", "docs/zh", "testdata/fixtures"} {
		entries, err := os.ReadDir(filepath.Join(top, dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !e.IsDir() && strings.HasSuffix(e.Name(), ".md") {
				found = append(found, path.Join(dir, e.Name()))
			}
		}
	}
	return found
}

// anchors are the names that forges give to a document's headings.
func anchors(doc string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(doc, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f && !strings.ContainsRune("，。、：；（）「」！？", r):
				return r
			}
			return -1
		}, strings.ToLower(strings.TrimSpace(m[1])))
		out[name] = true
	}
	return out
}

// Nothing that is handed out names a machine that it was made on.
func TestDocumentsNameNoMachine(t *testing.T) {
	for _, dir := range []string{"docs", manDir, completionsDir} {
		for _, name := range filesBelow(t, dir, "") {
			for _, word := range []string{"/work/", "/tmp/bash", "/go/pkg/mod"} {
				if strings.Contains(readDoc(t, name), word) {
					t.Errorf("%s names %s", name, word)
				}
			}
		}
	}
}
