package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"damocles-manager/internal/quarantine"
)

func newQuarantineListCommand(a *app) *cobra.Command {
	var o quarantineFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the files of removed sectors",
		Long: `List what is in the quarantine of the stores: the sector, since when it is there,
how much room it takes, where it lies, and why it was moved there.`,
		Example: `  damocles-manager util storage quarantine list
  damocles-manager util storage quarantine list --store /storage/store-1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runQuarantineList(cmd.Context(), a, o) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// quarantineCount is the summary of a list.
type quarantineCount struct {
	Type   string `json:"type"`
	Count  int    `json:"count"`
	Bytes  int64  `json:"bytes"`
	Broken int    `json:"broken"`
}

func runQuarantineList(ctx context.Context, a *app, o quarantineFlags) (err error) {
	stores, side, err := o.withSide(ctx, a)
	if err != nil {
		return err
	}
	defer closing(&err, side)
	sum := quarantineCount{Type: "summary"}
	err = quarantine.List(ctx, stores, func(e quarantine.Entry) error {
		if sum.Count+sum.Broken == 0 {
			a.ui.Printf("%-20s %-20s %10s  %s\n", "Sector", "Since", "Size", "Where")
		}
		line := lineOf(&e)
		if e.Err != nil {
			sum.Broken++
			a.ui.Printf("broken: %s\n", line.Reason)
			if line.Hint != "" {
				a.ui.Printf("\thint: %s\n", line.Hint)
			}
			return a.ui.Object(line)
		}
		sum.Count++
		sum.Bytes += line.Bytes
		a.ui.Printf("%-20s %-20s %10s  %s%s\n", e.Sector, e.Time.Format(time.RFC3339), bytesSize(uint64(line.Bytes)), line.Path, remarks(&e))
		return a.ui.Object(line)
	})
	if err != nil {
		return err
	}
	if sum.Count+sum.Broken == 0 {
		a.ui.Printf("the quarantine is empty\n")
	} else {
		a.ui.Printf("Total: %d entries, %s\n", sum.Count, bytesSize(uint64(sum.Bytes)))
	}
	if err := a.ui.Object(sum); err != nil {
		return err
	}
	if sum.Broken > 0 {
		return errIncomplete
	}
	return nil
}

// remarks say why an entry is there, and what is unusual about it.
func remarks(e *quarantine.Entry) string {
	var out []string
	if e.Why != "" {
		out = append(out, e.Why)
	}
	switch {
	case e.Empty:
		out = append(out, "empty, left by an interrupted run")
	case !e.Purging.IsZero():
		out = append(out, "its purge was interrupted")
	}
	for _, o := range e.Objects {
		switch at := whereIs(o); {
		case at == "both":
			out = append(out, o.Kind.String()+" is at its old place, too")
		case at == "store":
			out = append(out, o.Kind.String()+" is at its old place")
		case at == "nowhere" && e.Purging.IsZero():
			out = append(out, o.Kind.String()+" is missing")
		case o.Wrong != "":
			out = append(out, o.Wrong)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "  (" + strings.Join(out, "; ") + ")"
}
