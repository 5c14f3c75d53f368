package ui

import (
	"fmt"

	"damocles-manager/internal/migrate"
)

// Store shows what became of a store.
func (u *UI) Store(e migrate.StoreEvent) {
	if u.JSON {
		_ = u.Object(e) // a broken stdout shows at Flush
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	what := e.Path
	if e.Name != "" && e.Name != e.Path {
		what = e.Name + " (" + e.Path + ")"
	}
	reason := ""
	if e.Reason != "" {
		reason = ": " + e.Reason
	}
	if e.Sectors > 0 {
		reason += fmt.Sprintf(" (%d sectors)", e.Sectors)
	}
	fmt.Fprintf(u.out, "%s: %s%s\n", what, e.Action, reason)
	for _, p := range e.Problems {
		fmt.Fprintf(u.out, "\t%s\n", p.Text)
		if p.Hint != "" {
			fmt.Fprintf(u.out, "\t\thint: %s\n", p.Hint)
		}
	}
	if u.Quiet {
		return
	}
	for _, n := range e.Notes {
		fmt.Fprintf(u.out, "\tnote: %s\n", n.Text)
	}
}

// StoreSummary shows the count of a run over stores.
func (u *UI) StoreSummary(command string, r *migrate.StoreReport) {
	if u.JSON {
		_ = u.Object(r) // a broken stdout shows at Flush
		return
	}
	entered := "entered"
	if r.DryRun {
		entered = "would be entered"
	}
	u.Printf("%s: %d %s, %d unchanged, %d skipped\n", command, r.Entered, entered, r.Unchanged, r.Skipped)
}
