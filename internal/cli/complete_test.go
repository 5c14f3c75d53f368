package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// What a shell is told at the Tab key: the values, and what it may add itself.
func TestCompletion(t *testing.T) {
	const (
		shell       = ":0" // as the shell does it: files
		nothing     = ":4"
		directories = ":16"
	)
	w := newWorld(t)
	for _, tt := range []struct{ line, want string }{
		{"util storage attach", directories},
		{"util storage attach --name", nothing},
		{"util storage find", nothing},
		{"util storage find f01000", nothing},
		{"util sealer sectors state", nothing},
		{"util sealer sectors finalize --miner", nothing},
		{"util sealer sectors list", nothing},
		{"util sealer sectors list --home", directories},
		{"util sealer sectors list --listen", nothing},
		{"--home", directories},
		{"util sealer sectors import --repo", directories},
		{"util sealer sectors import --api", nothing},
		{"util sealer sectors import --token", nothing},
		{"util sealer sectors import --token-file", shell},
		{"util sealer sectors import --plan-out", shell},
		{"util sealer sectors import --origins", directories},
		{"util sealer sectors import --numbers", nothing},
		{"util sealer sectors import --jobs", nothing},
		{"util sealer sectors import rollback --backup", shell},
		{"util sealer sectors export --miner", nothing},
		{"util sealer sectors export --miner f01000 metadata --dest-repo", directories},
		{"util sealer sectors export-to-lotus --miner f01000 metadata --next-number", nothing},
		{"util sealer sectors export files --dest-path", directories},
		{"util sealer sectors export files --verify", "hash size " + nothing},
		{"util sealer sectors export files --bwlimit", nothing},
		{"util sealer sectors check --store", directories},
		{"util sealer sectors check --resume", shell},
		{"util sealer sectors check --timeout", nothing},
	} {
		args := append([]string{"__complete"}, strings.Fields(tt.line)...)
		r := w.run(append(args, "")...).exits(0)
		if got := strings.Join(strings.Fields(r.out), " "); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.line, got, tt.want)
		}
	}
	w.run("__complete", "util", "sealer", "sectors", "export", "").exits(0).
		says("metadata", "files", "stores", "rollback")
}

// In every command that has it, a flag of these names is completed.
func TestCompletionInEveryCommand(t *testing.T) {
	seen := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, name := range []string{"home", "repo", "dest-repo", "dest-path", "token-file", "verify", "miner"} {
			if f := cmd.Flags().Lookup(name); f != nil {
				if _, ok := cmd.GetFlagCompletionFunc(name); !ok {
					t.Errorf("%s --%s has no completion", cmd.CommandPath(), name)
				}
				seen++
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(Commands())
	if seen < 8 {
		t.Errorf("only %d flags were looked at", seen)
	}
}

// The commands that cobra brings along are used wrongly as any other is.
func TestCompletionUsage(t *testing.T) {
	for line, want := range map[string]int{
		"completion": 0, "completion bash": 0, "completion tcsh": 2, "completion bash extra": 2, "completion --no-such": 2,
	} {
		var out, stderr bytes.Buffer
		code := Run(t.Context(), Env{Stdout: &out, Stderr: &stderr, Getenv: func(string) string { return "" }}, strings.Fields(line))
		if code != want || want == 2 && (out.Len() > 0 || !strings.Contains(stderr.String(), "hint:")) {
			t.Errorf("%s: exit code %d, want %d; stdout has %d bytes, stderr says %q", line, code, want, out.Len(), stderr.String())
		}
	}
}
