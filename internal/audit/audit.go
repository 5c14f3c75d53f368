package audit

import (
	"context"
	"sync"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// Metadata is what a system says of its sectors.
type Metadata interface {
	// Each calls fn for every selected sector, from one goroutine. Where a record
	// cannot be read, rec is nil and err says why; where not even its key names a
	// sector, id is zero and key names it.
	Each(ctx context.Context, numbers sector.Numbers, fn func(id sector.ID, key string, rec *sector.Record, err error) error) error
}

// Locator is a system's book of which store holds what.
type Locator interface {
	// Locate names the stores of the sector's replica and cache directory, those of
	// the update with upgrade; false where the book has no entry. It is called from
	// several goroutines at once.
	Locate(ctx context.Context, id sector.ID, upgrade bool) (replica, cache string, found bool, err error)
}

// Chain is a chain node, answering as of one tipset. *chain.Node is one.
type Chain interface {
	ProvingPeriod(ctx context.Context, miner address.Address) (chain.ProvingPeriod, error)
	Partitions(ctx context.Context, miner address.Address, deadline uint64) ([]chain.Partition, error)
	Sectors(ctx context.Context, miner address.Address, set bitfield.BitField) ([]chain.Sector, error)
}

// Observer is told what is found, by one goroutine at a time.
type Observer interface {
	Sector(SectorReport)
	Difference(Difference)
	Deadline(DeadlineReport)
}

// Options say what to check, and how.
type Options struct {
	// Miner is the one whose sectors are checked; nil for all that are known.
	Miner   *abi.ActorID
	Numbers sector.Numbers
	Plan    Plan
	// Metadata, if not nil, is one of the three sides.
	Metadata Metadata
	// Locator, if not nil, says where a sector's files are; else they are looked for.
	Locator Locator
	// Stores are where files are; Unreachable are names of stores that the locator
	// may give and nobody here can look into, with the reason.
	Stores      []store.Store
	Unreachable map[string]string
	Chain       Chain // nil where no node was given
	// Behind is how old the newest tipset of the chain node is.
	Behind time.Duration
	Resume *Resume
	// Timeout is how long a sector's files, and the next name in a store, may take.
	Timeout time.Duration
	// Jobs is how many sectors are checked at once, Workers how many processors
	// there are for all of them.
	Jobs, Workers int
	FS            post.FS // nil means the operating system's
	Observer      Observer
	// Total, if not nil, is told how many sectors will be checked, and Done of each.
	Total func(int)
	Done  func()
}

// auditor is a run.
type auditor struct {
	Options
	checker *post.Checker
	pending chan struct{} // calls into the file system that may be under way

	disk     []object
	named    map[abi.ActorID]bool // the miners whose sectors lie in the stores
	failed   map[int]post.Finding // stores that could not be surveyed, by index
	twins    map[int]bool         // stores that are an earlier one under another name, by index
	known    []known
	onChain  []onChain
	periods  map[abi.ActorID]chain.ProvingPeriod
	storeFor map[string]int

	mu      sync.Mutex
	summary Summary
	tally   map[slot]*DeadlineReport
	hung    map[int]int    // timeouts in a row, by store
	rows    map[string]int // provable sectors by what is noted of their trees' rows, "" for nothing
	turn    int            // of the sector to be told of next
	waiting map[int]func()
}

// Run checks, and returns the summary. What is wrong with sectors is told to the
// observer and counted, and is no error.
func Run(ctx context.Context, o Options) (*Summary, error) {
	if o.FS == nil {
		o.FS = osFS{}
	}
	o.Jobs = max(o.Jobs, 1)
	workers := max(1, o.Workers/o.Jobs)
	a := &auditor{
		Options: o, pending: make(chan struct{}, o.underWay(workers)), failed: map[int]post.Finding{}, twins: map[int]bool{}, storeFor: map[string]int{},
		named: map[abi.ActorID]bool{}, rows: map[string]int{},
		periods: map[abi.ActorID]chain.ProvingPeriod{}, tally: map[slot]*DeadlineReport{}, hung: map[int]int{}, waiting: map[int]func(){},
		summary: newSummary(o),
		checker: post.NewChecker(post.Options{Timeout: o.Timeout, Workers: workers, Pending: o.underWay(workers), FS: o.FS}),
	}
	for i, s := range o.Stores {
		a.storeFor[s.Name] = i
	}
	for _, step := range []func(context.Context) error{a.survey, a.read, a.ask, a.prove} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	a.settings()
	a.deadlines()
	return &a.summary, nil
}

// underWay is how many calls into the file system there may be at once. Those that hang
// stay for ever, so it is more than the stores can hold together until each of them
// is given up: a server of many stores that is gone must not hold up the others.
func (o *Options) underWay(workers int) int {
	const threads = 4096 // each call is one, and Go ends a process of 10,000
	return min(64+o.Jobs*workers+len(o.Stores)*(o.Jobs+enough), threads)
}

// prove weighs every sector that any side knows, and checks those that have to be
// proven.
func (a *auditor) prove(ctx context.Context) error {
	if a.Total != nil {
		n := 0
		a.subjects(func(s subject) bool {
			if a.wanted(s) {
				n++
			}
			return true
		})
		a.Total(n)
	}
	var seen []abi.SectorNumber
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(a.Jobs)
	n := 0
	a.subjects(func(s subject) bool {
		if !a.Numbers.All() {
			seen = append(seen, s.id.Number)
		}
		differs, turn := a.weigh(s), n
		n++
		if !a.wanted(s) {
			a.inTurn(turn, func() { a.skip(s, differs) })
			return gctx.Err() == nil
		}
		g.Go(func() error { return a.proveOne(gctx, s, differs, turn) })
		return gctx.Err() == nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	a.missing(seen)
	return nil
}

// inTurn runs tell, which tells of a sector, when those before it are told of, so
// that two runs say the same in the same order; a.mu is held while it runs.
func (a *auditor) inTurn(turn int, tell func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[turn] = tell
	for {
		next, ok := a.waiting[a.turn]
		if !ok {
			return
		}
		delete(a.waiting, a.turn)
		a.turn++
		next()
	}
}

// differ tells of differences that are found before the sectors are gone through,
// or after.
func (a *auditor) differ(d Difference) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tell(nil, d)
}

// tell counts a difference of a sector, if s is not nil, and tells of it; a.mu is
// held.
func (a *auditor) tell(s *subject, d Difference) {
	if s != nil {
		id := s.id
		d.ID = &id
		if s.chain != nil {
			slot := s.chain.slot
			d.Slot = &slot
		}
	}
	a.summary.Differences[d.Code]++
	a.Observer.Difference(d)
}

// skip counts a sector that needs no proof; a.mu is held.
func (a *auditor) skip(s subject, differs []Difference) {
	for _, d := range differs {
		a.tell(&s, d)
	}
	if s.known == nil {
		return
	}
	if a.summary.Skipped == nil {
		a.summary.Skipped = map[string]int{}
	}
	a.summary.Skipped[s.known.status.String()]++
}

// selected says whether the run is about a sector.
func (a *auditor) selected(id sector.ID) bool {
	return (a.Miner == nil || id.Miner == *a.Miner) && a.Numbers.Has(id.Number)
}
