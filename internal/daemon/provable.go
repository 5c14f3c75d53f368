package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

const (
	// maxChecks is how many sectors are checked at once, for all callers together.
	maxChecks = 16
	// checkTimeout is how long a sector's files may take, as in the original.
	checkTimeout = 10 * time.Minute
)

// extendedSector is what the caller has from the chain.
type extendedSector struct {
	SealProof    abi.RegisteredSealProof
	SectorNumber abi.SectorNumber
	SectorKey    *cid.Cid
	SealedCID    cid.Cid
}

// checking is one call of CheckProvable.
type checking struct {
	*Daemon
	miner              abi.ActorID
	addr               address.Address
	strict, stateCheck bool
}

// checkProvable says of each sector why it cannot be proven; one that is not in the
// answer can be. Other than the original it holds p_aux against the CommR, too.
func (d *Daemon) checkProvable(ctx context.Context, a *args) (any, error) {
	c := checking{Daemon: d, miner: arg[abi.ActorID](a, 0, "abi.ActorID")}
	proof := arg[abi.RegisteredPoStProof](a, 1, "abi.RegisteredPoStProof")
	sectors := arg[[]extendedSector](a, 2, "[]builtin.ExtendedSectorInfo")
	c.strict, c.stateCheck = arg[bool](a, 3, "bool"), arg[bool](a, 4, "bool")
	if a.err != nil {
		return nil, a.err
	}
	if _, err := proof.SectorSize(); err != nil {
		return nil, fmt.Errorf("get sector size: %w", err)
	}
	var err error
	if c.addr, err = address.NewIDAddress(uint64(c.miner)); err != nil {
		return nil, err
	}
	if c.strict && c.stateCheck && d.Chain == nil {
		return nil, errNoChain("the state cannot be held against the chain")
	}
	reasons := make([]string, len(sectors))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxChecks)
	for i, s := range sectors {
		g.Go(func() error {
			if err := c.turn(ctx); err != nil {
				return err
			}
			defer func() { <-d.checks }()
			if err := c.one(ctx, s); err != nil {
				reasons[i] = err.Error()
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	bad := map[abi.SectorNumber]string{}
	for i, reason := range reasons {
		if reason != "" {
			bad[sectors[i].SectorNumber] = reason
		}
	}
	return bad, nil
}

func (c *checking) turn(ctx context.Context) error {
	select {
	case c.checks <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// one says why the sector cannot be proven; nil where it can.
func (c *checking) one(ctx context.Context, s extendedSector) error {
	id := sector.ID{Miner: c.miner, Number: s.SectorNumber}
	size, err := s.SealProof.SectorSize()
	if err != nil {
		return fmt.Errorf("get sector size: %w", err)
	}
	upgrade := s.SectorKey != nil
	at, err := c.privateInfo(ctx, id, upgrade)
	if err != nil {
		return fmt.Errorf("get private info: %w", err)
	}
	if _, err := look(ctx, c.looks, func() (none struct{}, _ error) { return none, c.stat(at, size) }); err != nil || !c.strict {
		return err
	}
	sealed := s.SealedCID
	if c.Chain != nil {
		on, err := c.Chain.SectorInfo(ctx, c.addr, id.Number)
		if err != nil {
			return err
		}
		if on == nil { // at which the original crashes
			return fmt.Errorf("sector %s is not on chain", id)
		}
		if sealed = on.SealedCID; c.stateCheck {
			if err := c.agrees(ctx, id, on, upgrade); err != nil {
				return err
			}
		}
	}
	return c.prove(ctx, id, size, at, sealed)
}

// stat looks whether the files are there.
func (c *checking) stat(at private, size abi.SectorSize) error {
	const replica, cache = "sealed file", "cache dir"
	info, err := os.Stat(at.SealedSectorPath)
	if err != nil {
		return fmt.Errorf("stat object %s for %s: %w", at.SealedSectorURI, replica, err)
	}
	if c.strict && info.Size() != int64(size) {
		return fmt.Errorf("%s for %s with wrong size (got %d, expect %d)", at.SealedSectorURI, replica, info.Size(), int64(size))
	}
	for _, name := range sector.CacheNames(size) {
		if _, err := os.Stat(at.CacheDirPath + "/" + name); err != nil {
			return fmt.Errorf("stat object %s/%s for %s: %w", at.CacheDirURI, name, cache, err)
		}
	}
	return nil
}

// agrees holds the record against the chain, and crashes at none that lacks something.
func (c *checking) agrees(ctx context.Context, id sector.ID, on *chain.Sector, upgrade bool) error {
	_, s, err := c.load(ctx, damocles.Offline, id)
	switch {
	case err != nil:
		return fmt.Errorf("not exist in Offline, maybe in Online: %w", err)
	case s.Pre == nil:
		return errors.New("the local state has no Pre")
	case !upgrade && !s.Pre.CommR.Equals(on.SealedCID):
		return errors.New("the SealedCID on the local and the chain is inconsistent")
	case !upgrade:
		return nil
	case on.SectorKeyCID == nil || !on.SectorKeyCID.Equals(s.Pre.CommR):
		return errors.New("the SectorKeyCID on the local and the chain is inconsistent")
	case s.UpgradedInfo == nil:
		return errors.New("the local state has no UpgradedInfo")
	case s.UpgradedInfo.SealedCID.Defined() && !s.UpgradedInfo.SealedCID.Equals(on.SealedCID):
		return errors.New("the SealedCID on the local and the chain is inconsistent")
	}
	return nil
}

// prove challenges the sector as a window PoSt of a random epoch would.
func (c *checking) prove(ctx context.Context, id sector.ID, size abi.SectorSize, at private, sealed cid.Cid) error {
	if !sealed.Defined() {
		return errors.New("its CommR is unknown: no SealedCID is given, and there is no chain node")
	}
	commR, err := post.CommRFromCID(sealed)
	if err != nil {
		return err
	}
	shape, err := post.ShapeOf(size)
	if err != nil {
		return err
	}
	var drawn post.Randomness
	if _, err := rand.Read(drawn[:]); err != nil {
		return err
	}
	report, err := c.checker.Check(ctx, post.Sector{
		Number: id.Number, Shape: shape, Replica: at.SealedSectorPath, Cache: at.CacheDirPath, CommR: commR,
	}, post.Plan{Leaves: shape.Window(post.WindowV1_1, drawn, id.Number, 0)})
	if err != nil {
		return err
	}
	var texts []string
	for _, f := range report.Findings {
		if f.Name.Verdict() != post.Provable {
			texts = append(texts, f.String())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return fmt.Errorf("generate vanilla proof of %s failed: %s", id, strings.Join(texts, "; "))
}
