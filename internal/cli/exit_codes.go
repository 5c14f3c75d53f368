package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// ExitCode is one of the codes that a command ends with. They are a contract
// with scripts; docs/exit-codes.md says the whole of it.
type ExitCode struct {
	Code    int
	Meaning string
}

// ExitCodes are all of them.
func ExitCodes() []ExitCode {
	return []ExitCode{
		{exitDone, "done (sectors that need no carrying do not count against it)"},
		{exitFailed, "failed"},
		{exitUsage, "wrong usage"},
		{exitIncomplete, "finished, but some sectors failed, are unfinished or in conflict, or could not be decided"},
		{exitCheck, "a check found sectors that are not provable, or that disagree with the chain"},
		{exitRefused, "refused: a precondition does not hold, nothing was changed"},
		{exitInterrupted, "interrupted; the same command finishes the rest"},
	}
}

// exitCodesHelp is the list at the end of the help.
func exitCodesHelp() string {
	const width = 75
	var b strings.Builder
	b.WriteString("Exit codes:")
	for _, c := range ExitCodes() {
		line := fmt.Sprintf("\n  %-3d ", c.Code)
		for word := range strings.FieldsSeq(c.Meaning) {
			if len(line)+len(word) > width+5 {
				b.WriteString(line)
				line = "\n      "
			}
			line += " " + word
		}
		b.WriteString(line)
	}
	return b.String()
}

// ExitCodesOf are those that a command may end with.
func ExitCodesOf(cmd *cobra.Command) []ExitCode {
	var out []ExitCode
	for _, c := range ExitCodes() {
		if mayExit(cmd, c.Code) {
			out = append(out, c)
		}
	}
	return out
}

func mayExit(cmd *cobra.Command, code int) bool {
	path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	switch {
	case code == exitDone || code == exitUsage:
		return true
	case cmd.HasSubCommands() && path != "util sealer sectors import":
		return false // it only holds others
	case code == exitFailed:
		return true
	case strings.HasPrefix(path, "completion"):
		return false
	case path == "daemon init": // it is done before anybody could interrupt it
		return code == exitRefused
	case path == "daemon run": // a signal is how it ends; only before it serves it is 130
		return code == exitRefused || code == exitInterrupted
	case path == "demo":
		return code == exitInterrupted
	case code == exitCheck:
		return path == "util sealer sectors check"
	case code == exitIncomplete:
		return path != "util sealer sectors state" && path != "util sealer sectors export stores"
	}
	return true
}
