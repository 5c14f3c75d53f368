package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/post"
	"damocles-manager/internal/store"
)

// proveOne checks a sector, in which the sides have these differences so far.
func (a *auditor) proveOne(ctx context.Context, s subject, differs []Difference, turn int) error {
	r := SectorReport{ID: s.id, Upgraded: s.upgraded()}
	r.CommR, r.CommRFrom = s.commR()
	if s.chain != nil {
		r.Slot = &Slot{s.chain.slot.Deadline, s.chain.slot.Partition}
	}
	at, err := a.locate(ctx, &s, r.Upgraded)
	if err != nil {
		return err
	}
	r.Replica, r.Cache = at.replica.path, at.cache.path
	if err := a.examine(ctx, &s, at, &r); err != nil {
		return err
	}
	for _, at := range at.copies {
		other := r
		other.Replica, other.Cache, other.Findings, other.Omitted, other.Reused = at.replica.path, at.cache.path, nil, 0, false
		if err := a.examine(ctx, &s, at, &other); err != nil {
			return err
		}
		r.add(other)
	}
	if len(at.copies) > 0 {
		r.oneOfSeveral()
	}
	r.Verdict = verdictOf(r.Findings)
	a.inTurn(turn, func() { a.done(&s, r, append(differs, at.differs...)) })
	return nil
}

// examine fills in the findings.
func (a *auditor) examine(ctx context.Context, s *subject, at located, r *SectorReport) error {
	switch {
	case at.unknown != nil:
		r.Findings = []post.Finding{*at.unknown}
		return nil
	case at.replica.store < 0 && at.cache.store < 0:
		r.Findings = []post.Finding{nowhere(s, r.Upgraded)}
		return nil
	}
	if f := a.givenUp(at); f != nil {
		r.Findings = []post.Finding{*f}
		return nil
	}
	shape, bad, err := a.shape(ctx, s, r.Replica)
	if err != nil {
		return err
	}
	if bad != nil {
		r.Findings = []post.Finding{*bad}
	} else if err := a.check(ctx, s, shape, r); err != nil {
		return err
	}
	a.notice(at, r)
	return nil
}

// check takes the result of an earlier run, or reads the files.
func (a *auditor) check(ctx context.Context, s *subject, shape post.Shape, r *SectorReport) error {
	var id key
	if a.Resume != nil {
		var err error
		id, err = a.fingerprint(ctx, shape, r)
		if errors.Is(err, errHangs) {
			r.Findings = []post.Finding{a.timeout(r.Replica)}
			return nil
		}
		if err != nil {
			return err
		}
		if old, ok := a.Resume.find(id); ok {
			r.Findings, r.Omitted, r.Reused = old.findings, old.omitted, true
			return nil
		}
	}
	report, err := a.checker.Check(ctx, post.Sector{
		Number: s.id.Number, Shape: shape, Replica: r.Replica, Cache: r.Cache, CommR: r.CommR, Others: a.otherCaches(s, r.Cache),
	}, a.Plan.of(shape, s.id.Number))
	if err != nil {
		return err
	}
	r.Findings, r.Omitted = report.Findings, report.Omitted
	if a.Resume != nil && lasting(r.Findings) {
		return a.Resume.add(id, a.Plan, r)
	}
	return nil
}

// lasting says whether the findings are of the files alone: what hung, or could not
// be read, may do better the next time.
func lasting(findings []post.Finding) bool {
	for _, f := range findings {
		if f.Name == post.Timeout || f.Name == post.ReadError || f.Name == post.NoPermission {
			return false
		}
	}
	return true
}

// shape is that of the sector's size, which its seal proof tells, or else its
// replica; a finding where neither does.
func (a *auditor) shape(ctx context.Context, s *subject, replica string) (post.Shape, *post.Finding, error) {
	proof := abi.RegisteredSealProof(-1)
	switch {
	case s.chain != nil:
		proof = s.chain.proof
	case s.known != nil:
		proof = s.known.proof
	}
	if size, err := proof.SectorSize(); err == nil {
		shape, err := post.ShapeOf(size)
		return shape, nil, err
	}
	info, err := within(ctx, a, func(context.Context, func()) (fs.FileInfo, error) { return a.FS.Stat(replica) })
	f := &post.Finding{File: replica, Offset: -1, Err: err}
	switch {
	case ctx.Err() != nil:
		return post.Shape{}, nil, ctx.Err()
	case errors.Is(err, errHangs):
		*f = a.timeout(replica)
	case errors.Is(err, fs.ErrNotExist):
		f.Name, f.Text = post.MissingReplica, "the replica is not there: the sector cannot be proven until it is put back from a copy"
	case errors.Is(err, fs.ErrPermission):
		*f = post.Forbidden(replica, err)
	case err != nil:
		f.Name, f.Text = post.ReadError, fmt.Sprintf("cannot be read: %v", err)
	case !info.Mode().IsRegular():
		f.Name, f.Text = post.NotAFile, "the replica is no file; restore it from a copy"
	case !store.KnownSize(info.Size()):
		f.Name, f.Text = post.ReplicaSize, fmt.Sprintf("%d bytes are the size of no sector; copy the replica again", info.Size())
	default:
		shape, err := post.ShapeOf(abi.SectorSize(info.Size()))
		return shape, nil, err
	}
	return post.Shape{}, f, nil
}

func (a *auditor) timeout(path string) post.Finding {
	return post.Finding{Name: post.Timeout, File: path, Offset: -1,
		Text: fmt.Sprintf("no answer within %s: the disk or the network file system hangs, and a prover would wait as well", a.Timeout)}
}

// enough timeouts in a row, and a store is given up: thirty thousand sectors on a
// dead mount would take a week otherwise.
const enough = 3

func (a *auditor) givenUp(at located) *post.Finding {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range []place{at.replica, at.cache} {
		if p.store >= 0 && a.hung[p.store] >= enough {
			f := a.timeout(p.path)
			f.Text = fmt.Sprintf("not read: %d sectors in a row got no answer from this store within %s", enough, a.Timeout)
			return &f
		}
	}
	return nil
}

// notice counts the timeouts of the stores that a sector is in.
func (a *auditor) notice(at located, r *SectorReport) {
	if r.Reused {
		return
	}
	file := ""
	for _, f := range r.Findings {
		if f.Name == post.Timeout {
			file = f.File
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range []place{at.replica, at.cache} {
		switch {
		case p.store < 0:
		case file == "":
			a.hung[p.store] = 0
		case strings.HasPrefix(file, a.Stores[p.store].Dir+"/"):
			a.hung[p.store]++
			if at.replica.store == at.cache.store {
				return // one sector, one timeout
			}
		}
	}
}

// done counts the sector, and tells of it; a.mu is held.
func (a *auditor) done(s *subject, r SectorReport, differs []Difference) {
	for _, d := range differs {
		a.tell(s, d)
	}
	sum := &a.summary
	sum.Sectors++
	switch r.Verdict {
	case post.Provable:
		sum.Provable++
	case post.Undecided:
		sum.Undecided++
	default:
		sum.NotProvable++
	}
	if r.Reused {
		sum.Reused++
	}
	if r.Verdict == post.Provable {
		a.rows[r.rows()]++
	}
	who := r.CommRFrom
	if who == "" {
		who = "unknown"
	}
	sum.CommR[who]++
	if s.chain != nil {
		a.count(s.chain, r.Verdict, len(differs))
	}
	a.Observer.Sector(r)
	if a.Done != nil {
		a.Done()
	}
}
