package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/post"
	"damocles-manager/internal/serve"
)

// Options are what a Daemon works with.
type Options struct {
	// Home is open for writing. It is closed by the caller, after Close.
	Home *damocles.Home
	// Dir is the home's directory, where journals go.
	Dir    string
	Config damocles.Config
	Stores []migrate.HomeStore
	// Chain may be nil. Methods that need it say so.
	Chain   *chain.Node
	Version string
	FS      durable.FS
	// Log may be nil, and so may Now, for the clock.
	Log *slog.Logger
	Now func() time.Time
	// MinerConfig answers GetMinerConfig; false where the miner is not configured.
	MinerConfig func(abi.ActorID) (json.RawMessage, bool, error)
	// Quarantine takes the files of removed sectors. Where it is nil, RemoveSector
	// refuses every sector that has files.
	Quarantine Quarantine
}

// Daemon answers the methods. They may be called by many goroutines at once.
type Daemon struct {
	Options
	weights map[string]uint
	checker *post.Checker
	checks  chan struct{} // one for each sector that is being checked
	locks   locks
	writer  *writer
	census  *census
	miners  miners
	disks   *disks
	looks   *looks
}

// New makes a Daemon, which has to be closed. It begins to count the sectors.
func New(o Options) (*Daemon, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	weights, err := o.Config.Weights()
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		Options: o, weights: weights,
		checker: post.NewChecker(post.Options{Timeout: checkTimeout}),
		checks:  make(chan struct{}, maxChecks),
		census:  newCensus(o.Home, o.Log),
		disks:   newDisks(),
		looks:   newLooks(o.Log),
	}
	journal := migrate.NewHome(o.Home, o.Dir, migrate.DaemonCommand, 0, o.FS)
	d.writer = newWriter(o.Home, &ledger{home: journal}, d.census)
	return d, nil
}

// Close finishes what is being written and ends the journal. Writes that come after
// it are refused. It returns early, with its error, if ctx ends.
func (d *Daemon) Close(ctx context.Context) error {
	return errors.Join(d.census.close(ctx), d.writer.close(ctx))
}

// Methods are all that the original has, by their full names.
func (d *Daemon) Methods() map[string]serve.Method {
	out := unsupported()
	for _, m := range []struct {
		name   string
		params int
		perm   serve.Perm
		call   func(context.Context, *args) (any, error)
	}{
		{"ListSectors", 2, serve.Read, d.listSectors},
		{"FindSector", 2, serve.Read, d.findSector},
		{"FindSectorInAllStates", 1, serve.Read, d.findSectorInAllStates},
		{"FindSectorsWithDeal", 2, serve.Read, d.findSectorsWithDeal},
		{"FindSectorWithPiece", 2, serve.Read, d.findSectorWithPiece},
		{"ImportSector", 3, serve.Admin, d.importSector},
		{"RestoreSector", 2, serve.Admin, d.alone(d.restoreSector)},
		{"FinalizeSector", 1, serve.Admin, d.alone(d.finalizeSector)},
		{"RemoveSector", 1, serve.Admin, d.alone(d.removeSector)},
		{"SectorIndexerFind", 2, serve.Read, d.sectorIndexerFind},
		{"ProvingSectorInfo", 1, serve.Read, d.provingSectorInfo},
		{"CheckProvable", 5, serve.Read, d.checkProvable},
		{"StoreList", 0, serve.Read, d.storeList},
		{"StoreBasicInfo", 1, serve.Read, d.storeBasicInfo},
		{"StoreReleaseReserved", 1, serve.Admin, d.alone(d.storeReleaseReserved)},
		{"GetInfo", 1, serve.Read, d.getInfo},
		{"GetMinerConfig", 1, serve.Read, d.getMinerConfig},
		{"Version", 0, serve.Read, func(context.Context, *args) (any, error) { return d.Version, nil }},
	} {
		name := namespace + m.name
		out[name] = serve.Method{Params: m.params, Perm: m.perm, Call: func(ctx context.Context, params []json.RawMessage) (any, error) {
			a := &args{method: name, params: params}
			result, err := m.call(ctx, a)
			if m.perm == serve.Admin {
				d.logWrite(a, err)
			}
			return result, spoken(err)
		}}
	}
	return out
}

// logWrite leaves a trace of every call that may have changed something.
func (d *Daemon) logWrite(a *args, err error) {
	if err != nil {
		d.Log.Info("a write failed", "method", a.method, "sector", a.id, "error", err)
		return
	}
	d.Log.Info("written", "method", a.method, "sector", a.id)
}
