package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/spf13/cobra"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
)

type listOptions struct {
	offline bool
	miner   string
	jobs    damocles.ListJobs
}

func newListCommand(a *app) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print sector data",
		Long: `Print the sectors that damocles has: those still being worked on, or with
--offline the finished ones.

As in the original, only ordinary sectors are shown unless --snapup, --rebuild or
--unseal add theirs; how many were left out is said on stderr.`,
		Example: `  damocles-manager util sealer sectors list --offline=true
  damocles-manager util sealer sectors list --offline --snapup --rebuild --unseal --miner f01000`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.offline, "offline", false, "show offline data in listing")
	f.StringVar(&o.miner, "miner", "", "show sectors of the given miner only")
	f.BoolVar(&o.jobs.Sealing, "sealing", true, "enable sealing jobs in listing")
	f.BoolVar(&o.jobs.Snapup, "snapup", false, "enable snapup jobs in listing")
	f.BoolVar(&o.jobs.Rebuild, "rebuild", false, "enable rebuild jobs in listing")
	f.BoolVar(&o.jobs.Unseal, "unseal", false, "enable unseal jobs in listing")
	return cmd
}

func runList(ctx context.Context, a *app, o listOptions) (err error) {
	var miner *abi.ActorID
	if o.miner != "" {
		id, err := sector.ParseMiner(o.miner)
		if err != nil {
			return err
		}
		miner = &id
	}
	side, err := a.damoclesSide(ctx, access{})
	if err != nil {
		return err
	}
	defer closing(&err, side)
	l := &lister{app: a, listOptions: o, miner: miner, leftOut: map[string]int{}}
	a.ui.Printf("Sectors:\n")
	ws := damocles.Online
	if o.offline {
		ws = damocles.Offline
	}
	if err := side.states(ctx, ws, miner, l.show); err != nil {
		return err
	}
	return l.end()
}

// states streams the raw states of a workspace, of one miner or of all.
func (s *damoclesSide) states(ctx context.Context, ws damocles.Workspace, miner *abi.ActorID, fn func(name string, raw []byte) error) error {
	if s.daemon != nil {
		return s.daemon.ListSectors(ctx, ws, func(raw json.RawMessage) error { return fn(nameOf(raw)+" of "+s.addr, raw) })
	}
	return s.home.Each(ctx, ws, miner, func(kv damocles.KV) error {
		if err := errors.Join(kv.KeyErr, kv.ValueErr); err != nil {
			return fn(kv.Key+" ("+err.Error()+")", nil)
		}
		return fn(kv.Key, kv.Value)
	})
}

// nameOf names a state whose ID at least can be read.
func nameOf(raw []byte) string {
	var s struct{ ID abi.SectorID }
	if err := json.Unmarshal(raw, &s); err != nil {
		return "a sector"
	}
	return sector.ID{Miner: s.ID.Miner, Number: s.ID.Number}.String()
}

// lister shows states one by one and counts them.
type lister struct {
	*app
	listOptions
	miner   *abi.ActorID
	shown   int
	broken  int
	leftOut map[string]int // by the flag that shows them
}

func (l *lister) show(name string, raw []byte) error {
	state, err := damocles.DecodeState(raw)
	if err != nil {
		l.broken++
		l.ui.Notice(fmt.Sprintf("%s: cannot be decoded: %v", name, err))
		return nil
	}
	if l.miner != nil && state.ID.Miner != *l.miner {
		return nil
	}
	if !l.jobs.Shows(state) {
		l.leftOut[flagFor(state.Jobs())]++
		return nil
	}
	l.shown++
	if l.json {
		return l.ui.Object(listLine(state, l.offline))
	}
	return damocles.WriteListEntry(l.ui.Out(), state)
}

// flagFor names the flag that shows a sector with these jobs.
func flagFor(jobs damocles.ListJobs) string {
	switch {
	case jobs.Rebuild:
		return "rebuild"
	case jobs.Unseal:
		return "unseal"
	case jobs.Snapup:
		return "snapup"
	default:
		return "sealing"
	}
}

// listed is a sector in --json output.
type listed struct {
	Type        string `json:"type"`
	Miner       string `json:"miner"`
	Number      uint64 `json:"number"`
	Workspace   string `json:"workspace"`
	Finalized   bool   `json:"finalized"`
	Removed     bool   `json:"removed"`
	Upgraded    bool   `json:"upgraded"`
	NeedRebuild bool   `json:"needRebuild"`
	Unsealing   bool   `json:"unsealing"`
	Imported    bool   `json:"imported"`
}

func listLine(s *damocles.SectorState, offline bool) listed {
	ws := damocles.Online
	if offline {
		ws = damocles.Offline
	}
	return listed{
		Type: "sector", Miner: sector.MinerString(s.ID.Miner), Number: uint64(s.ID.Number), Workspace: string(ws),
		Finalized: s.Finalized, Removed: s.Removed, Upgraded: s.Upgraded, NeedRebuild: s.NeedRebuild,
		Unsealing: s.Unsealing, Imported: s.Imported,
	}
}

func (l *lister) end() error {
	l.ui.Printf("Count: %d\n", l.shown)
	err := l.ui.Object(struct {
		Type    string         `json:"type"`
		Count   int            `json:"count"`
		LeftOut map[string]int `json:"leftOut,omitempty"`
		Broken  int            `json:"broken,omitempty"`
	}{"summary", l.shown, l.leftOut, l.broken})
	if err != nil {
		return err
	}
	if err := l.ui.Flush(); err != nil { // the list before the remark about it
		return err
	}
	var parts []string
	for _, job := range []string{"sealing", "snapup", "rebuild", "unseal"} {
		if n := l.leftOut[job]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (show with --%s)", n, jobWord[job], job))
		}
	}
	if len(parts) > 0 {
		l.ui.Info("left out: " + strings.Join(parts, ", "))
	}
	if l.broken > 0 {
		return errIncomplete
	}
	return nil
}

// jobWord says in words which sectors a flag shows.
var jobWord = map[string]string{
	"sealing": "ordinary", "snapup": "upgraded", "rebuild": "to be rebuilt", "unseal": "being unsealed",
}
