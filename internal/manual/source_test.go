package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// eachFile hands over each file of the product's own code, parsed.
func eachFile(t *testing.T, fn func(path string, file *ast.File)) {
	t.Helper()
	n := 0
	for _, dir := range []string{"internal", "cmd"} {
		for _, path := range filesBelow(t, dir, ".go") {
			room := strings.Split(path, "/")[1]
			if strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "cbor_gen.go") || notProduct[room] {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(top, path), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			fn(path, file)
			n++
		}
	}
	if n < 200 {
		t.Fatalf("only %d files were looked at", n)
	}
}

// notProduct are the rooms whose texts no user meets.
var notProduct = map[string]bool{"manual": true, "testkit": true, "bench": true, "killtest": true, "tmpdeps": true, "fault": true}

// literal is a text in quotes, or several joined by +; what is not fixed in them
// is %s. It is "" where nothing is fixed.
func literal(n ast.Node) string {
	switch n := n.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
			return s
		}
	case *ast.BinaryExpr:
		l, r := literal(n.X), literal(n.Y)
		if n.Op != token.ADD || l == "" && r == "" {
			return ""
		}
		if l == "" {
			l = "%s"
		}
		if r == "" {
			r = "%s"
		}
		return l + r
	}
	return ""
}

// nameOf is the last word of what is called: Refuse of fault.Refuse.
func nameOf(fn ast.Expr) string {
	switch fn := fn.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		return fn.Sel.Name
	}
	return ""
}

// message is an error that a user may meet.
type message struct {
	kind, path string
	text, hint string
}

var verb = regexp.MustCompile(`%\[?\d*\]?[-+#0-9.]*[a-zA-Z]`)

// asShown puts what a format fills in as an ellipsis, as the documents do.
func asShown(format string) string {
	format = strings.ReplaceAll(format, `"%d"`, "…")
	return strings.ReplaceAll(verb.ReplaceAllString(format, "…"), "%%", "%")
}

// messages are all errors that the code makes with the room fault.
func messages(t *testing.T) (found []message) {
	t.Helper()
	eachFile(t, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if ok && nameOf(sel.X) == "fault" && (sel.Sel.Name == "New" || sel.Sel.Name == "Refuse" || sel.Sel.Name == "BadUsage") {
				found = append(found, message{sel.Sel.Name, path, asShown(literal(call.Args[1])), literal(call.Args[0])})
			}
			return true
		})
	})
	return found
}
