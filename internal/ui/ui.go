// Package ui turns what a command finds into text or JSON lines on stdout, and
// says on stderr what goes on. Nothing below the command line imports it.
package ui

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

// Options say what is shown, and how.
type Options struct {
	JSON    bool
	Quiet   bool
	Verbose bool
	// Terminal says that stderr is one, so that a line on it can be rewritten.
	Terminal bool
}

// UI is the one writer of a command's stdout and stderr. Its methods may be
// called from several goroutines.
type UI struct {
	Options
	mu     sync.Mutex
	out    *bufio.Writer
	err    io.Writer
	enc    *json.Encoder
	shown  map[string]int // lines per kind, to keep a million alike from flooding
	notes  notes
	status string // the progress that stands on the terminal, of one line or more
}

// New makes a UI. Flush has to be called at the end.
func New(out, err io.Writer, o Options) *UI {
	u := &UI{Options: o, out: bufio.NewWriterSize(out, 64<<10), err: err, shown: map[string]int{}}
	u.enc = json.NewEncoder(u.out)
	u.enc.SetEscapeHTML(false)
	return u
}

// Out is stdout for results that are text already.
func (u *UI) Out() io.Writer { return u.out }

// Stderr is stderr for what comes in whole lines, as a log does. It may be
// written to by several goroutines.
func (u *UI) Stderr() io.Writer { return stderr{u} }

type stderr struct{ u *UI }

func (s stderr) Write(p []byte) (int, error) {
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	s.u.clear()
	defer s.u.redraw()
	return s.u.err.Write(p)
}

// Flush writes out what is buffered.
func (u *UI) Flush() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.out.Flush()
}

// Printf writes a line of the result, in text mode only.
func (u *UI) Printf(format string, args ...any) {
	if !u.JSON {
		fmt.Fprintf(u.out, format, args...)
	}
}

// Object writes a line of the result, in JSON mode only.
func (u *UI) Object(v any) error {
	if !u.JSON {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.enc.Encode(v)
}

// Notice says something on stderr that the user should know now.
func (u *UI) Notice(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear()
	fmt.Fprintln(u.err, text)
	u.redraw()
}

// Info is a Notice that --quiet leaves out.
func (u *UI) Info(text string) {
	if !u.Quiet {
		u.Notice(text)
	}
}

// Error prints an error and the next step.
func (u *UI) Error(err error, hint string) {
	text := "error: " + err.Error()
	if hint != "" {
		text += "\nhint:  " + hint
	}
	u.Notice(text)
}

// flood is how many lines of one kind are shown without --verbose.
const flood = 20

// Sector shows what became of a sector. What needs the user is always shown;
// what is only good to know is shown a number of times for each kind.
func (u *UI) Sector(e migrate.Event) {
	if u.JSON {
		_ = u.Object(e) // a broken stdout shows at Flush
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch e.Action {
	case migrate.Write, migrate.WouldWrite:
		u.some(u.Verbose, string(e.Action), "%s: %s%s\n", e.ID(), e.Action, stateOf(e))
	case migrate.Unchanged:
		u.some(u.Verbose, "unchanged", "%s: unchanged\n", e.ID())
	case migrate.Skipped:
		u.some(!u.Quiet, "skipped "+e.State, "%s: skipped: %s%s\n", e.ID(), e.Reason, stateOf(e))
	case migrate.Noted:
	case migrate.Missing:
		fmt.Fprintf(u.out, "missing: %s\n", e.Reason)
		u.hint(e.Hint)
	default:
		fmt.Fprintf(u.out, "%s: %s: %s%s\n", e.ID(), e.Action, e.Reason, stateOf(e))
		u.hint(e.Hint)
	}
	u.details(e)
}

func (u *UI) details(e migrate.Event) {
	if e.Action == migrate.Conflict || u.Verbose {
		for _, d := range e.Differences {
			fmt.Fprintf(u.out, "\t%s: has %s, would be %s\n", d.Field, d.Have, d.Want)
		}
	}
	if e.Action == migrate.Unchanged {
		return
	}
	for _, n := range e.Notes {
		if u.Verbose {
			fmt.Fprintf(u.out, "%s: note: %s\n", e.ID(), n.Text)
		} else {
			u.notes.add(n, e.ID())
		}
	}
}

func (u *UI) hint(hint string) {
	if hint != "" && u.shown["hint "+hint] == 0 {
		fmt.Fprintf(u.out, "\thint: %s\n", hint)
		u.shown["hint "+hint]++
	}
}

// some prints lines of a kind up to a number, then says once that there are more.
func (u *UI) some(show bool, kind, format string, args ...any) {
	if !show {
		return
	}
	u.shown[kind]++
	switch n := u.shown[kind]; {
	case u.Verbose || n <= flood:
		fmt.Fprintf(u.out, format, args...)
	case n == flood+1:
		fmt.Fprintf(u.out, "… more like this are counted below; --verbose shows them all\n")
	}
}

func stateOf(e migrate.Event) string {
	state := e.State
	if e.Upgraded {
		state = strings.TrimSpace(state + " upgraded")
	}
	if state == "" {
		return ""
	}
	return " (" + state + ")"
}

// Summary shows the count of a run, under the name of its command.
func (u *UI) Summary(command string, r *migrate.Report) {
	if u.JSON {
		_ = u.Object(r) // a broken stdout shows at Flush
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.Quiet {
		u.showNotes()
	}
	written := "written"
	if r.DryRun {
		written = "would be written"
	}
	fmt.Fprintf(u.out, "%s: %d %s", command, r.Written, written)
	if r.Upgraded > 0 {
		fmt.Fprintf(u.out, " (%d upgraded)", r.Upgraded)
	}
	fmt.Fprintf(u.out, ", %d unchanged, %d conflicts, %d unfinished, %d skipped%s, %d failed",
		r.Unchanged, r.Conflicts, r.Unfinished, r.SkippedTotal(), counts(r.Skipped), r.Failed)
	if r.Missing > 0 {
		fmt.Fprintf(u.out, ", %d missing", r.Missing)
	}
	fmt.Fprintln(u.out)
}

// notes gathers remarks that say the same of several sectors.
type notes struct {
	order []*noteGroup
	texts map[string]*noteGroup
	more  int // of texts beyond maxNoteGroups
}

type noteGroup struct {
	text string
	ids  []string // the first few
	last string
	n    int
}

const (
	maxNoteGroups = 50
	maxNoteIDs    = 5
)

func (ns *notes) add(n sector.Note, id string) {
	g := ns.texts[n.Text]
	if g == nil {
		if len(ns.order) == maxNoteGroups {
			ns.more++
			return
		}
		g = &noteGroup{text: n.Text}
		if ns.texts == nil {
			ns.texts = map[string]*noteGroup{}
		}
		ns.texts[n.Text] = g
		ns.order = append(ns.order, g)
	}
	if g.last == id || slices.Contains(g.ids, id) { // two entries of one sector: its replica, and that of its upgrade
		return
	}
	g.n, g.last = g.n+1, id
	if len(g.ids) < maxNoteIDs {
		g.ids = append(g.ids, id)
	}
}

// showNotes prints the remarks, each once with the sectors it is about.
func (u *UI) showNotes() {
	for _, g := range u.notes.order {
		who := strings.Join(g.ids, ", ")
		if g.n > len(g.ids) {
			who += fmt.Sprintf(" and %d more", g.n-len(g.ids))
		}
		fmt.Fprintf(u.out, "note: %s: %s\n", who, g.text)
	}
	if u.notes.more > 0 {
		fmt.Fprintf(u.out, "… and %d more notes; --verbose shows them all\n", u.notes.more)
	}
	u.notes = notes{}
}

// Key shows what became of one key in a rollback.
func (u *UI) Key(e migrate.RollbackEvent) {
	if u.JSON {
		_ = u.Object(e) // a broken stdout shows at Flush
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch e.Action {
	case "kept":
		fmt.Fprintf(u.out, "%s %s: kept: %s\n", e.Store, e.Key, e.Reason)
	case "number":
		u.some(!u.Quiet, e.Action, "%s %s: kept: %s\n", e.Store, e.Key, e.Reason)
	default:
		u.some(u.Verbose, e.Action, "%s %s: %s\n", e.Store, e.Key, e.Action)
	}
}

// RollbackSummary shows the count of a rollback.
func (u *UI) RollbackSummary(r *migrate.RollbackReport) {
	if u.JSON {
		_ = u.Object(r) // a broken stdout shows at Flush
		return
	}
	would := ""
	if r.DryRun {
		would = "would be "
	}
	u.Printf("rollback: %d %sdeleted, %d %srestored, %d undone already, %d kept as they have changed since\n",
		r.Deleted, would, r.Restored, would, r.Already, r.Kept)
}

func counts(m map[string]int) string {
	if len(m) == 0 {
		return ""
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
