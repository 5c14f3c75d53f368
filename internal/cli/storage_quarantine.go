package cli

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/quarantine"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

func newQuarantineCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Commands for the files of removed sectors",
		Long: `The files of a sector that is removed are not deleted: they are moved aside within
their store, into the directory quarantine, where neither damocles nor lotus-miner
looks. These commands list what is there, move it back, and delete it for good.`,
	}
	cmd.AddCommand(newQuarantineListCommand(a), newQuarantinePurgeCommand(a), newQuarantineRestoreCommand(a))
	return cmd
}

// quarantineFlags say in which stores to look.
type quarantineFlags struct{ stores []string }

func (o *quarantineFlags) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.stores, "store", nil, "the directory of a store, instead of those that damocles knows; may be repeated")
}

// find returns the stores that the user names, or else those of the damocles.
func (o *quarantineFlags) find(ctx context.Context, a *app, side *damoclesSide) ([]store.Store, error) {
	var out []store.Store
	for _, dir := range o.stores {
		if dir == "" {
			return nil, fault.BadUsage("give it a value, or leave it out; if it comes from a variable or a file, that is empty", "--store is empty")
		}
		dir, err := a.expandHome(dir)
		if err != nil {
			return nil, err
		}
		if err := store.CheckDir(dir); err != nil {
			return nil, fmt.Errorf("--store: %w", err)
		}
		out = append(out, store.Store{Dir: dir})
	}
	if len(out) > 0 {
		return out, nil
	}
	if side.daemon != nil && !side.ours && !isHere(a.listen) {
		return nil, fault.Refuse("run this on that machine, or name the stores with --store",
			"the stores of the damocles-manager at %s are on its machine", a.listen)
	}
	stores, err := side.stores(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, s := range stores {
		if s.PluginName != "" {
			a.ui.Notice(fmt.Sprintf("the store %s is reached through the plugin %s, which only damocles has: it has no quarantine", s.Name, s.PluginName))
			continue
		}
		out = append(out, s.Store())
	}
	return out, nil
}

// isHere says whether an address is certainly one of this machine.
func isHere(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || (ip != nil && (ip.IsLoopback() || ip.IsUnspecified()))
}

// withSide opens the damocles unless the stores are named.
func (o *quarantineFlags) withSide(ctx context.Context, a *app) ([]store.Store, *damoclesSide, error) {
	side := &damoclesSide{}
	if len(o.stores) == 0 {
		var err error
		if side, err = a.damoclesSide(ctx, access{}); err != nil {
			return nil, nil, err
		}
	}
	stores, err := o.find(ctx, a, side)
	if err != nil {
		closing(&err, side)
		return nil, nil, err
	}
	return stores, side, nil
}

// What becomes of an entry.
const (
	entryPurged       = "purged"
	entryWouldPurge   = "would-purge"
	entryRestored     = "restored"
	entryWouldRestore = "would-restore"
	entryKept         = "kept"
	entryFailed       = "failed"
	entryMissing      = "missing"
)

// entryLine is an entry of the quarantine, a line of --json output.
type entryLine struct {
	Type   string            `json:"type"`
	Miner  string            `json:"miner,omitempty"`
	Number *uint64           `json:"number,omitempty"`
	Action string            `json:"action,omitempty"`
	Store  string            `json:"store,omitempty"`
	Path   string            `json:"path,omitempty"`
	Time   time.Time         `json:"time,omitzero"`
	Why    string            `json:"why,omitempty"`
	Who    string            `json:"who,omitempty"`
	Bytes  int64             `json:"bytes"`
	Files  []quarantinedFile `json:"files,omitempty"`
	Reason string            `json:"reason,omitempty"`
	Hint   string            `json:"hint,omitempty"`
	Left   []string          `json:"left,omitempty"`
}

// quarantinedFile is a replica or a cache directory.
type quarantinedFile struct {
	Kind string `json:"kind"`
	// Path is where it belongs, below the store.
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	At    string `json:"at"`
}

func lineOf(e *quarantine.Entry) entryLine {
	line := entryLine{
		Type: "entry", Store: e.Store.Dir, Path: e.Dir(), Time: e.Time, Why: e.Why, Who: e.Who, Bytes: e.Size(),
	}
	if e.Sector != (sector.ID{}) {
		line.Miner, line.Number = sector.MinerString(e.Sector.Miner), new(uint64(e.Sector.Number))
	}
	for _, o := range e.Objects {
		line.Files = append(line.Files, quarantinedFile{
			Kind: o.Kind.String(), Path: o.Kind.String() + "/" + e.Sector.String(), Bytes: o.Size, At: whereIs(o),
		})
	}
	if e.Err != nil {
		line.Reason, line.Hint = e.Err.Error(), fault.HintOf(e.Err)
	}
	return line
}

func whereIs(o quarantine.Object) string {
	switch {
	case o.Here && o.Back, o.Both:
		return "both"
	case o.Here:
		return "quarantine"
	case o.Back:
		return "store"
	}
	return "nowhere"
}

// missingLine is a number that was asked for and is not there.
func missingLine(id sector.ID, what string) entryLine {
	return entryLine{
		Type: "entry", Miner: sector.MinerString(id.Miner), Number: new(uint64(id.Number)), Action: entryMissing,
		Reason: what + " is not in the quarantine", Hint: "`util storage quarantine list` shows what is there",
	}
}

// showEntry shows what became of an entry.
func (a *app) showEntry(line entryLine) error {
	name := line.Path
	if line.Action == entryMissing {
		name = fmt.Sprintf("%s %d", line.Miner, *line.Number)
	}
	a.ui.Printf("%s: %s", name, line.Action)
	if line.Action != entryMissing {
		a.ui.Printf(" (%s)", bytesSize(uint64(line.Bytes)))
	}
	if line.Reason != "" {
		a.ui.Printf(": %s", line.Reason)
	}
	a.ui.Printf("\n")
	if line.Hint != "" {
		a.ui.Printf("\thint: %s\n", line.Hint)
	}
	for _, path := range line.Left {
		a.ui.Printf("\tleft: %s\n", path)
	}
	return a.ui.Object(line)
}

// because says why an entry was not worked with.
func (l entryLine) because(action string, err error) entryLine {
	l.Action, l.Reason, l.Hint = action, err.Error(), fault.HintOf(err)
	return l
}
