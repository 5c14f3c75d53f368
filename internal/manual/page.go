package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/cli"
)

// pageName is what a command's page is called: damocles-manager-util-storage.
func pageName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

// page writes a command's manual page. It names no date and no machine: the same
// commands give the same bytes.
func page(cmd *cobra.Command) []byte {
	var r roff
	cmd.InitDefaultHelpFlag()
	// a name in full would not fit into the head of a page
	r.WriteString(".TH \"DAMOCLES\\-MANAGER\" \"1\" \"\" \"damocles\\-manager\" \"User Commands\"\n.nh\n.ad l\n")
	r.section("NAME")
	fmt.Fprintf(&r, "%s \\- %s\n", text(pageName(cmd)), text(cmd.Short))
	r.section("SYNOPSIS")
	fmt.Fprintf(&r, ".B %s\n", text(synopsis(cmd)))
	r.section("DESCRIPTION")
	r.prose(description(cmd))
	r.commands(cmd)
	r.flags("OPTIONS", cmd.NonInheritedFlags())
	r.flags("OPTIONS OF ALL COMMANDS ABOVE", cmd.InheritedFlags())
	r.section("EXIT STATUS")
	codes := cli.ExitCodesOf(cmd)
	if !cmd.HasParent() { // the first page has all
		codes = cli.ExitCodes()
	}
	for _, c := range codes {
		r.item(fmt.Sprint(c.Code), "", c.Meaning)
	}
	r.environment(cmd)
	if cmd.Example != "" {
		r.section("EXAMPLES")
		r.literal(unindent(cmd.Example))
	}
	r.seeAlso(cmd)
	return r.Bytes()
}

func synopsis(cmd *cobra.Command) string {
	if cmd.HasSubCommands() && (!cmd.HasParent() || cmd.Name() != "import") {
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

// description leaves out what stands in a section of its own.
func description(cmd *cobra.Command) string {
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	long, _, _ = strings.Cut(long, "\nExit codes:\n")
	return strings.TrimSpace(long)
}

// roff is a manual page that is being written.
type roff struct{ bytes.Buffer }

// text puts words of ours into words of roff: no line may begin with a dot or a
// quote, and a hyphen stays one that can be copied.
func text(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\&...`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func (r *roff) section(name string) { fmt.Fprintf(r, ".SH %s\n", name) }

// item is a word, its value, and what they mean.
func (r *roff) item(word, value, meaning string) {
	fmt.Fprintf(r, ".TP\n\\fB%s\\fR%s\n%s\n", text(word), value, text(meaning))
}

// prose writes paragraphs; what is indented stays as it is.
func (r *roff) prose(s string) {
	for block := range strings.SplitSeq(s, "\n\n") {
		if strings.HasPrefix(block, " ") || strings.HasPrefix(block, "\t") {
			r.literal(unindent(block))
			continue
		}
		r.WriteString(".PP\n")
		for line := range strings.Lines(block) {
			r.WriteString(text(strings.TrimRight(line, "\n")) + "\n")
		}
	}
}

func (r *roff) literal(s string) {
	r.WriteString(".PP\n.RS 4\n.nf\n")
	for line := range strings.Lines(s) {
		r.WriteString(text(strings.TrimRight(line, "\n")) + "\n")
	}
	r.WriteString(".fi\n.RE\n")
}

func unindent(s string) string {
	lines := strings.Split(strings.Trim(s, "\n"), "\n")
	margin := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], " \t"))]
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], margin)
	}
	return strings.Join(lines, "\n")
}

func (r *roff) commands(cmd *cobra.Command) {
	below := all(cmd)[1:]
	if len(below) == 0 {
		return
	}
	r.section("COMMANDS")
	for _, sub := range below {
		if sub.Parent() == cmd {
			r.item(sub.Name(), "", sub.Short)
		}
	}
}

func (r *roff) flags(title string, fs *pflag.FlagSet) {
	if !fs.HasAvailableFlags() {
		return
	}
	r.section(title)
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind != "" {
			kind = ` \fI` + text(kind) + `\fR`
		}
		if given := f.DefValue; given != "" && given != "false" && given != "[]" && given != "0" {
			usage += " (default " + given + ")"
		}
		r.item(name, kind, usage)
	})
}

func (r *roff) environment(cmd *cobra.Command) {
	var mine []variable
	for _, v := range environment() {
		if v.of(cmd) {
			mine = append(mine, v)
		}
	}
	if len(mine) == 0 {
		return
	}
	r.section("ENVIRONMENT")
	for _, v := range mine {
		r.item(v.names, "", v.meaning)
	}
}

func (r *roff) seeAlso(cmd *cobra.Command) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, pageName(cmd.Parent()))
	}
	for _, sub := range all(cmd)[1:] {
		if sub.Parent() == cmd {
			pages = append(pages, pageName(sub))
		}
	}
	if root := pageName(cmd.Root()); cmd.HasParent() && cmd.Parent().HasParent() {
		pages = append(pages, root)
	}
	r.section("SEE ALSO")
	for i, name := range pages {
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		fmt.Fprintf(r, ".BR %s (1)%s\n", text(name), end)
	}
}
