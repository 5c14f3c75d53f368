package migrate

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
)

// Raw is a sector as its system stores it.
type Raw struct {
	// ID is what the key says; the record inside has to agree.
	ID sector.ID
	// Key is set where it names no sector: ID is zero then, and Err says why.
	Key string
	// Online tells damocles's two workspaces apart.
	Online bool
	// Value is the system's own encoding. It belongs to the receiver.
	Value []byte
	// Notes are about how it was read.
	Notes []sector.Note
	// Err says that this one could not be read; Value is then nil.
	Err error
}

// Source has the sectors of one system.
type Source interface {
	// Each calls fn once for every selected sector, from one goroutine, in the
	// order of the system's keys, until fn returns an error. A sector that cannot
	// be read is given with its Err and stops nothing; what is returned means that
	// the source as a whole failed or was cancelled.
	Each(ctx context.Context, numbers sector.Numbers, fn func(Raw) error) error
}

// Numbered knows which sector numbers are used.
type Numbered interface {
	// HighestNumber returns the highest number of the miner that is known to be
	// used, finished or not; false where there is none.
	HighestNumber(ctx context.Context, miner abi.ActorID) (uint64, bool, error)
}

// Holder says what the target holds of a sector. It is called from several
// goroutines at once.
type Holder interface {
	// Holds returns the target's own encoding of the sector in each of its
	// workspaces (a lotus-miner has only the offline one), nil where it has none.
	Holds(ctx context.Context, id sector.ID) (Held, error)
}

// Held is what a target has of a sector.
type Held struct {
	Online  []byte
	Offline []byte
}

// Target takes steps.
type Target interface {
	Holder
	// BatchSize is how many steps Write takes at once.
	BatchSize() int
	// Write carries steps out, keeps what undoes them first, and reads back what
	// it wrote. A target that writes sector by sector marks a step that failed
	// (Action, Reason) and goes on; an error means that none of the batch is to be
	// relied on.
	Write(ctx context.Context, steps []*Step) error
	// Finish carries out the changes that concern no sector (the numbers), and
	// makes everything so far last. It is called once, after the last Write.
	Finish(ctx context.Context, changes []Change) (Undo, error)
	// Abandon ends a run that failed: what was not finished is given up, as far as
	// the target can give it up. It is safe to call after Finish.
	Abandon() error
}

// Undo names the files that undo a run; both empty where nothing was changed.
type Undo struct {
	Backup  string
	Journal string
}
