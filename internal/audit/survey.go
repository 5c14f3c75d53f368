package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// object is a replica file or a cache directory in a store, by its name alone.
type object struct {
	id    sector.ID
	kind  sector.FileKind
	store uint16
}

// provenKinds are the kinds of files that a proof needs.
var provenKinds = []sector.FileKind{sector.Sealed, sector.Cache, sector.Update, sector.UpdateCache}

func compareIDs(a, b sector.ID) int {
	return cmp.Or(cmp.Compare(a.Miner, b.Miner), cmp.Compare(a.Number, b.Number))
}

// listing is what a store holds.
type listing struct {
	objects []object // of the selected sectors
	info    fs.FileInfo
	miners  map[abi.ActorID]bool // of all sectors; empty where there is none
}

// survey lists what the stores hold, all of them at once.
func (a *auditor) survey(ctx context.Context) error {
	found := make([]listing, len(a.Stores))
	errs := make([]error, len(a.Stores))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i, s := range a.Stores {
		g.Go(func() error {
			found[i], errs[i] = within(ctx, a, func(ctx context.Context, alive func()) (listing, error) {
				return a.list(ctx, s, uint16(i), alive)
			})
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, err := range errs {
		if err != nil {
			a.unusable(i, err)
		}
	}
	for i, l := range found {
		a.disk = append(a.disk, l.objects...)
		if l.info != nil {
			a.twins[i] = slices.ContainsFunc(found[:i], func(o listing) bool { return o.info != nil && os.SameFile(o.info, l.info) })
		}
		maps.Copy(a.named, l.miners)
		if l.info != nil && len(l.miners) == 0 && a.Metadata == nil {
			a.differ(Difference{Code: StoreEmpty, Path: a.Stores[i].Dir, Text: fmt.Sprintf("there is no sector in %s", a.Stores[i].Dir),
				Hint: "see that its disk is mounted; if there is nothing to check in it, leave it out"})
		}
	}
	slices.SortFunc(a.disk, func(x, y object) int {
		return cmp.Or(compareIDs(x.id, y.id), cmp.Compare(x.kind, y.kind), cmp.Compare(x.store, y.store))
	})
	return nil
}

func (a *auditor) list(ctx context.Context, s store.Store, at uint16, alive func()) (listing, error) {
	info, err := os.Stat(s.Dir)
	if err != nil {
		return listing{}, err
	}
	if !info.IsDir() {
		return listing{}, fmt.Errorf("%s is no directory", s.Dir)
	}
	out := listing{info: info, miners: map[abi.ActorID]bool{}}
	for _, kind := range provenKinds {
		err := s.Each(ctx, kind, func(e store.Entry) error {
			alive()
			if e.Err == nil {
				out.miners[e.ID.Miner] = true
				if a.selected(e.ID) {
					out.objects = append(out.objects, object{e.ID, kind, at})
				}
			}
			return nil
		})
		if err != nil {
			return listing{}, err
		}
	}
	return out, nil
}

// unusable notes a store that could not be listed. One that is not there has no
// files, which is certain; of what hangs nothing is.
func (a *auditor) unusable(i int, err error) {
	dir := a.Stores[i].Dir
	if errors.Is(err, fs.ErrNotExist) {
		a.differ(Difference{Code: StoreMissing, Path: dir, Text: fmt.Sprintf("the store %s is not there", dir),
			Hint: "see that its disk is mounted, then run this again"})
		return
	}
	f := post.Finding{Name: StoreUnreachable, File: dir, Offset: -1, Err: err,
		Text: fmt.Sprintf("the store cannot be listed (%v), so nothing is known of what lies in it", err)}
	hint := cmp.Or(fault.HintOf(err), "see to the disk, then run this again")
	if errors.Is(err, errHangs) {
		f.Name = post.Timeout
		f.Text = fmt.Sprintf("the store gave no answer within %s: its disk or network file system hangs, and nothing is known of what lies in it", a.Timeout)
		hint = "see to the mount, or give it longer with --timeout, then run this again"
	}
	a.failed[i] = f
	a.differ(Difference{Code: StoreUnreadable, Path: dir, Text: dir + ": " + f.Text, Hint: hint})
}

// objects are those of a sector, from a.disk, which is sorted.
func (a *auditor) objects(id sector.ID, from int) (of []object, next int) {
	next = from
	for next < len(a.disk) && a.disk[next].id == id {
		next++
	}
	return a.disk[from:next], next
}
