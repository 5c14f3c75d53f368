package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/ui"
)

// runOptions are the options of a run that come from the flags of any command.
func (a *app) runOptions(numbers sector.Numbers, w writeFlags, override bool, plan *migrate.PlanWriter, p *ui.Progress) migrate.Options {
	return migrate.Options{
		Numbers: numbers, Override: override, DryRun: w.dryRun, Plan: plan,
		Observe: func(e migrate.Event) {
			p.Add(1)
			a.ui.Sector(e)
		},
	}
}

// progress counts a source's sectors where somebody looks on, so that the time
// left can be told. A source that cannot be counted shows its rate alone.
func (a *app) progress(ctx context.Context, source migrate.Source, miner abi.ActorID, numbers sector.Numbers) *ui.Progress {
	p := &ui.Progress{}
	counted, ok := source.(migrate.Counted)
	if !ok || !a.ui.Draws() {
		return p
	}
	if total, err := counted.Count(ctx, miner, numbers); err == nil { // the run itself says what is wrong
		p.SetTotal(total)
	}
	return p
}

// openOrigins opens the store of origins of a damocles, nil where there is no
// place for one.
func (a *app) openOrigins(of *damoclesSide, dir string, write bool) (*migrate.Origins, error) {
	if dir == "" {
		if of.switchingDir() == "" {
			a.ui.Notice("there is no home on this machine: the originals of the records are not kept " +
				"(--origins DIR keeps them), and the way back will not be byte for byte")
			return nil, nil
		}
		return migrate.OpenOrigins(migrate.OriginsDir(of.dir), write, a.fs)
	}
	dir, err := a.expandHome(dir)
	if err != nil {
		return nil, err
	}
	return migrate.OpenOrigins(dir, write, a.fs)
}

// name says which damocles it is, in plans and journals: by the home, where that
// is known to be the daemon's.
func (s *damoclesSide) name() string {
	if s.daemon != nil && !s.ours {
		return s.addr
	}
	return s.dir
}

// incomplete is the error that becomes exit code 3.
func incomplete(r *migrate.Report) error {
	if r.Clean() {
		return nil
	}
	return errIncomplete
}

// interrupted says how far a run came, and that the next one goes on from there.
func (a *app) interrupted(r *migrate.Report, err error) error {
	if r != nil && r.Written > 0 && !r.DryRun {
		a.ui.Notice(fmt.Sprintf("stopped after %d sectors", r.Written))
	}
	if r != nil && r.Written > 0 && !r.DryRun && fault.KindOf(err) == fault.Refused {
		return fault.New(fault.HintOf(err), "%s", err.Error()) // a refusal promises that nothing was changed
	}
	if fault.HintOf(err) != "" || fault.KindOf(err) != fault.Failed {
		return err
	}
	return fault.New("run the same command again first: it finishes the rest", "%w", err)
}

// showUndo prints the command that undoes the run, where there is something to undo.
func (a *app) showUndo(r *migrate.Report, command ...string) {
	if r.Backup != "" {
		a.ui.Printf("backup: %s\n", r.Backup)
	}
	if r.Journal != "" {
		a.ui.Printf("undo with: %s\n", undoLine(r.Journal, command...))
	}
}

// undoLine is the command that undoes a journal.
func undoLine(journal string, command ...string) string {
	line := "damocles-manager util sealer sectors"
	for _, word := range append(command, "--backup", journal) {
		line += " " + shellWord(word)
	}
	return line
}

var plainWord = regexp.MustCompile(`^[\w./:@%+,=-]+$`)

// shellWord quotes a word where a shell needs it.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func lackingOverRPC() string { return strings.Join(lotus.LackingOverRPC(), ", ") }

// expandHome turns ~ at the start of a path into the user's home directory.
func (a *app) expandHome(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || (rest != "" && rest[0] != '/') {
		return filepath.Abs(path)
	}
	home := a.env.Getenv("HOME")
	if home == "" {
		return "", fault.BadUsage("write the path in full", "%s: HOME is not set", path)
	}
	return filepath.Join(home, rest), nil
}
