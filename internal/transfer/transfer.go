package transfer

import (
	"context"
	"iter"
	"log/slog"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// Object is a file, or a cache directory, of a sector.
type Object struct {
	Kind sector.FileKind
	// From is its path at the source, To at the target: <store>/<kind>/<sector>.
	// Where both are the same path it only has to be there, and whole.
	From, To string
}

// stays says that the object is where it should go.
func (o Object) stays() bool { return filepath.Clean(o.From) == filepath.Clean(o.To) }

// Sector is what is carried as one: it is done when all its objects are.
type Sector struct {
	ID   sector.ID
	Size abi.SectorSize
	// Objects in the order in which they are carried: a replica before its cache.
	Objects []Object
	// Index is the caller's own handle; the engine hands it back.
	Index int
}

// Sectors lists the sectors anew each time it is called: once for the sums, once
// for the work. So the list is never held in memory. An error ends the run. It
// is read while Journal, Known and Observe are called by other goroutines: what
// they share with it needs a lock.
type Sectors func() iter.Seq2[Sector, error]

// Verify says how a copy is checked before its source may go.
type Verify string

const (
	// VerifySize holds the sizes against each other.
	VerifySize Verify = "size"
	// VerifyHash takes the SHA-256 of the source as it is read, and of the target
	// as it comes back from the disk.
	VerifyHash Verify = "hash"
)

// Journal takes note of what is going to happen to the sectors.
type Journal interface {
	// Intend is called before the first rename or removal of these sectors, and
	// returns when the note is durable. Its error ends the run. Never two calls
	// at a time.
	Intend(ctx context.Context, sectors []Sector) error
}

// Options are what a run is told beside its sectors.
type Options struct {
	// Keep copies and leaves the source as it is; else sectors are moved.
	Keep bool
	// DryRun changes nothing, not even for a moment: it takes no lock and makes
	// no probe file, so that a target which is the source under another name is
	// only noticed by looking at the objects, and an existing target is compared
	// by size.
	DryRun bool
	// Verify is VerifyHash for a move and VerifySize with Keep where it is "".
	Verify Verify
	// TrustSize takes an existing target of equal size for equal.
	TrustSize bool
	// Jobs is how many batches are worked on at once: a batch is one large sector
	// or many small ones. 0 is 5.
	Jobs int
	// BytesPerSecond bounds what all jobs copy together; 0 does not.
	BytesPerSecond int64
	FS             durable.FS
	Log            *slog.Logger // may be nil
	// Target is the root of the target store: each Object.To is below it, as
	// <Target>/<kind>/<sector>. It is made where it is missing.
	Target string
	// Journal may be nil.
	Journal Journal
	// Known, if set, is told of sectors that are whole, synced and verified at
	// the target, before anything of them is removed at the source. They may have
	// been there before, and it may be told of a sector again in a later run. Its
	// error ends the run, and nothing more is removed anywhere. Never two calls at
	// a time. Its context is not cancelled when the run's is: what is published
	// is also made known.
	Known func(ctx context.Context, sectors []Sector) error
	// Observe, if set, gets the events, one at a time.
	Observe func(Event)
	// Progress, if set, is kept up to date.
	Progress *Progress
}

func (o *Options) defaults() error {
	if o.Verify == "" {
		o.Verify = VerifyHash
		if o.Keep {
			o.Verify = VerifySize
		}
	}
	if o.Verify != VerifySize && o.Verify != VerifyHash {
		return fault.BadUsage("write size or hash", "%q is no way to verify", string(o.Verify))
	}
	if o.Jobs < 0 || o.BytesPerSecond < 0 {
		return fault.BadUsage("give a number above 0", "neither jobs nor the bandwidth can be negative")
	}
	if o.Jobs == 0 {
		o.Jobs = 5
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	if o.Progress == nil {
		o.Progress = &Progress{}
	}
	return nil
}

// Run carries the sectors. One that fails is in the report and the events, and
// stops no other; Run's own error is one that stops everything: a refusal
// before anything was changed (fault.Refused), a cancelled ctx, a failed
// sectors, Journal, Known or manifest. The report is never nil.
//
// A run after any interruption goes on where the last one stopped. A second
// run at the same target at the same time is refused.
func Run(ctx context.Context, opt Options, sectors Sectors) (*Report, error) {
	r, err := newRun(opt)
	if err != nil {
		return &Report{}, err
	}
	return r.run(ctx, sectors)
}

func (r *run) run(ctx context.Context, sectors Sectors) (*Report, error) {
	plan, err := r.survey(ctx, sectors)
	if err != nil {
		return r.report, err
	}
	if err := r.refuse(plan); err != nil {
		return r.report, err
	}
	if err := r.open(plan); err != nil {
		return r.report, err
	}
	err = r.each(ctx, sectors, r.work)
	return r.report, r.close(err)
}
