package post

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
)

// Sector is what to check: a sector's files at their place, and the commitment
// that they should belong to.
type Sector struct {
	Number abi.SectorNumber
	Shape  Shape
	// Replica is the path of the sealed file, or of the update file of an upgraded
	// sector; Cache is the directory that goes with it: cache, or update-cache.
	Replica, Cache string
	// CommR is the commitment on chain, the new one of an upgraded sector. Zero
	// means that nobody knows it: the finding is commr-unknown.
	CommR Node
	// Others are cache directories in which to look for the right p_aux when that of
	// Cache is wrong. The sibling of Cache (cache, update-cache) is always tried.
	Others []string
}

// Plan is how much of a sector to check. Sizes, p_aux and roots always are.
type Plan struct {
	// Leaves are challenged leaves, from Shape.Window, Winning or Draw. One segment
	// of the replica is read once, however many leaves fall into it.
	Leaves []uint64
	// Full rebuilds the whole tree from the replica and holds every stored node
	// against it.
	Full bool
}

// Options are how to check.
type Options struct {
	// Timeout is how long to wait for a sector's files altogether, and with
	// Plan.Full for each single read; 0 waits for ever.
	Timeout time.Duration
	// Workers is how many parts of one sector a full check hashes at once; 0 means 1.
	Workers int
	// Pending is how many reads, of all sectors, may be under way or hang; 0 means
	// 64. Where all of them hang, the next sector's finding is timeout, too.
	Pending int
	// FS is where files are read; nil means the operating system's.
	FS FS
}

// Checker checks sectors; it may be used by many goroutines at once.
type Checker struct {
	timeout time.Duration
	workers int
	pending pending
	fs      FS
}

// NewChecker makes a Checker.
func NewChecker(o Options) *Checker {
	c := &Checker{timeout: o.Timeout, workers: max(o.Workers, 1), fs: o.FS}
	n := o.Pending
	if n <= 0 {
		n = 64
	}
	c.pending = make(pending, n)
	if c.fs == nil {
		c.fs = osFS{}
	}
	return c
}

// Check reads a sector's files and says whether a prover could answer for it. What
// is wrong with the sector is in the report, never an error; the error is that of
// ctx, where it ended before the check did.
func (c *Checker) Check(ctx context.Context, s Sector, plan Plan) (Report, error) {
	v := &visit{Checker: c, sector: s, perRead: plan.Full}
	if !v.perRead {
		var cancel context.CancelFunc
		ctx, cancel = v.limited(ctx)
		defer cancel()
	}
	defer v.close()
	if err := v.run(ctx, plan); err != nil && !errors.Is(err, errTimeout) {
		return Report{}, err
	}
	return v.report, nil
}

// visit is one check under way.
type visit struct {
	*Checker
	sector  Sector
	perRead bool // the timeout counts for each read

	mu     sync.Mutex
	report Report

	replica *opened // nil where it cannot be used
	pAux    *PAux   // nil where it cannot be used
	trees   []tree
}

// tree is one base tree and its file.
type tree struct {
	*opened // nil where it cannot be used
	layout
	root Node
}

func (v *visit) run(ctx context.Context, plan Plan) error {
	for _, step := range []func(context.Context) error{v.openReplica, v.openCache, v.readRoots} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	v.checkCommR(ctx)
	v.checkRoots()
	if err := v.checkLeaves(ctx, plan.Leaves); err != nil {
		return err
	}
	if plan.Full {
		return v.checkAll(ctx)
	}
	return nil
}

func (v *visit) found(f Finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.add(f)
}

func (v *visit) hashed(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Hashes += n
}

func (v *visit) close() {
	if v.replica != nil {
		v.replica.file.Close()
	}
	for _, t := range v.trees {
		if t.opened != nil {
			t.file.Close()
		}
	}
}
