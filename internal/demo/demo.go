package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/sample"
)

// Outcome is what a command line did.
type Outcome struct {
	Code           int
	Stdout, Stderr string
}

// Runner runs a command line of damocles-manager, the program's name left out, on
// the damocles home Home(dir).
type Runner func(ctx context.Context, args []string) Outcome

// Options say where the story takes place, and who sees it.
type Options struct {
	// Dir is an empty directory, absolute and without links in its path. The story
	// leaves all that it made there.
	Dir string
	Run Runner
	// Show, if set, is given every step when it is done.
	Show func(Step)
	// Before, if set, is called before every step. Tests use it to do damage.
	Before func(step int)
	FS     durable.FS
}

// Home is the damocles home of a story in dir.
func Home(dir string) string { return filepath.Join(dir, "damocles") }

// Step is a part of the story that has been done.
type Step struct {
	Number   int
	Title    string
	Text     string
	Commands []Command
	Compared []Compared
	Took     time.Duration
}

// Command is a command line that was run, and ended as it should.
type Command struct {
	Args   []string
	Exit   int
	Output []string // the lines of its stdout; where some are left out, "…" stands for them
}

// Compared is the count of a comparison in which all were the same.
type Compared struct {
	What string
	N    int
}

// Report is a story that went well.
type Report struct {
	Steps, Commands int
	Sectors         int // those that took part in all
	Compared        []Compared
	Took            time.Duration
}

// Run tells the story to its end. Whatever does not go as it should is an error that
// says at which step: a command with another exit code than it ought to have, a
// byte that differs. A cancelled ctx ends it with its error.
func Run(ctx context.Context, o Options) (*Report, error) {
	s := &story{Options: o}
	begin := time.Now()
	report := &Report{}
	for i, part := range parts() {
		if o.Before != nil {
			o.Before(i + 1)
		}
		start := time.Now()
		s.step = &Step{Number: i + 1, Title: part.title}
		text, err := part.play(ctx, s)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("step %d, %s: %w", i+1, strings.ToLower(part.title), err)
		}
		s.step.Text, s.step.Took = text, time.Since(start)
		if o.Show != nil {
			o.Show(*s.step)
		}
		report.Steps++
		report.Commands += len(s.step.Commands)
		report.Compared = s.step.Compared // the last step's, which are about the whole
	}
	report.Sectors, report.Took = len(s.sectors()), time.Since(begin)
	return report, nil
}

// part is a step to be done. play returns what it means.
type part struct {
	title string
	play  func(context.Context, *story) (text string, err error)
}

// story is what is known while it is told.
type story struct {
	Options
	step *Step

	lotus   *sample.Built       // the sectors of the lotus-miner
	own     *sample.Built       // those that damocles sealed later; nil before
	records map[string][]byte   // of the lotus-miner at the start, by key
	files   map[string][32]byte // SHA-256 of all sector files as they were sealed, see hashes
}

func (s *story) repo() string    { return filepath.Join(s.Dir, "lotusminer") }
func (s *story) newRepo() string { return filepath.Join(s.Dir, "lotusminer-new") }
func (s *story) storage() string { return filepath.Join(s.Dir, "storage") }

// sectors are all that there are by now.
func (s *story) sectors() []sample.Member {
	if s.own == nil {
		return s.lotus.Members
	}
	return append(s.lotus.Members[:len(s.lotus.Members):len(s.lotus.Members)], s.own.Members...)
}

// same notes a comparison that found no difference.
func (s *story) same(n int, what string, args ...any) {
	s.step.Compared = append(s.step.Compared, Compared{What: fmt.Sprintf(what, args...), N: n})
}

// sectorsCmd runs a command below `util sealer sectors`; see command.
func (s *story) sectorsCmd(ctx context.Context, show []string, args ...string) error {
	return s.command(ctx, show, append([]string{"util", "sealer", "sectors"}, args...)...)
}

// command runs a command line that has to end with exit code 0. Of its output the
// lines are kept that begin with one of show; all where that is nil.
func (s *story) command(ctx context.Context, show []string, args ...string) error {
	out := s.Run(ctx, args)
	if out.Code != 0 {
		return wrong(nil, "`damocles-manager %s` ended with exit code %d, and not 0:\n%s",
			strings.Join(args, " "), out.Code, strings.TrimSpace(out.Stdout+out.Stderr))
	}
	s.step.Commands = append(s.step.Commands, Command{Args: args, Exit: out.Code, Output: shown(out.Stdout, show)})
	return nil
}

func shown(text string, show []string) []string {
	const left = "…"
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case show == nil || slices.ContainsFunc(show, func(p string) bool { return strings.HasPrefix(line, p) }):
			out = append(out, line)
		case len(out) == 0 || out[len(out)-1] != left:
			out = append(out, left)
		}
	}
	return out
}

// wrong is err, or, where that is nil, what was found.
func wrong(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, args...)
}
