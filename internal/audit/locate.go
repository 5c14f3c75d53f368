package audit

import (
	"context"
	"fmt"

	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// place is where one of a sector's two objects is.
type place struct {
	kind  sector.FileKind
	store int // index of the store; -1 where it is in none
	path  string
}

// located is where both are, or why nobody can tell.
type located struct {
	replica, cache place
	// unknown is why they cannot be looked at; the sector is undecided then.
	unknown *post.Finding
	differs []Difference
	// copies are further ones, where several stores have them and no index says which
	// is meant: lotus-miner may take any. Each holds no more than two places.
	copies []located
}

func kindsOf(upgraded bool) [2]sector.FileKind {
	if upgraded {
		return [2]sector.FileKind{sector.Update, sector.UpdateCache}
	}
	return [2]sector.FileKind{sector.Sealed, sector.Cache}
}

// locate finds the sector's files: where the index says, else in whatever store
// has them.
func (a *auditor) locate(ctx context.Context, s *subject, upgraded bool) (located, error) {
	kinds := kindsOf(upgraded)
	var out located
	var names [2]string
	booked := false
	if a.Locator != nil {
		var err error
		names[0], names[1], booked, err = a.Locator.Locate(ctx, s.id, upgraded)
		if err != nil {
			return out, fmt.Errorf("look %s up in the index: %w", s.id, err)
		}
	}
	at := [2]place{}
	for i, kind := range kinds {
		if booked {
			at[i] = a.booked(s, kind, names[i], &out)
		} else {
			at[i] = a.search(s, kind, &out)
		}
	}
	out.replica, out.cache = at[0], at[1]
	there := at[0].store >= 0 || at[1].store >= 0
	if a.Locator != nil && !booked && there && s.known != nil && s.known.status == sector.Finished {
		out.differs = append(out.differs, Difference{Code: NotInIndex,
			Text: "damocles's index does not know where its files are, so damocles cannot prove it",
			Hint: "enter the store that has them with `util storage attach`"})
	}
	// A half that is nowhere is reported as missing beside the other.
	for i := range at {
		other := at[1-i]
		if at[i].store < 0 && other.store >= 0 {
			at[i].path = a.Stores[other.store].Path(kinds[i], s.id)
		}
	}
	out.replica.path, out.cache.path = at[0].path, at[1].path
	if !booked && out.unknown == nil {
		out.copies = a.copies(s, kinds, at)
	}
	return out, nil
}

// copies are pairs that have in them every replica and every cache directory of the
// sector but the first ones.
func (a *auditor) copies(s *subject, kinds [2]sector.FileKind, first [2]place) (out []located) {
	var all [2][]place
	for _, o := range s.objects {
		for i, kind := range kinds {
			if o.kind == kind && !a.twins[int(o.store)] {
				all[i] = append(all[i], place{kind, int(o.store), a.Stores[o.store].Path(kind, s.id)})
			}
		}
	}
	for n := 1; n < max(len(all[0]), len(all[1])); n++ {
		at := first
		for i := range at {
			if len(all[i]) > 0 {
				at[i] = all[i][min(n, len(all[i])-1)]
			}
		}
		out = append(out, located{replica: at[0], cache: at[1]})
	}
	return out
}

// booked is the place that the index names.
func (a *auditor) booked(s *subject, kind sector.FileKind, name string, out *located) place {
	if why, ok := a.Unreachable[name]; ok {
		out.unknown = &post.Finding{Name: StoreUnreachable, File: name, Offset: -1, Text: why}
		return place{kind, -1, ""}
	}
	i, ok := a.storeFor[name]
	if !ok {
		out.differs = append(out.differs, Difference{Code: StoreUnknown,
			Text: fmt.Sprintf("damocles's index says its %s is in the store %q, which the configuration does not have", kind, name),
			Hint: "enter that store in sector-manager.cfg again, or attach the store that has the sector with `util storage attach`"})
		return a.search(s, kind, out)
	}
	p := place{kind, i, a.Stores[i].Path(kind, s.id)}
	if f, bad := a.failed[i]; bad {
		out.unknown = &f
		return p
	}
	if other := a.holding(s, kind); other >= 0 && !a.holds(s, kind, i) {
		out.differs = append(out.differs, Difference{Code: Elsewhere, Path: a.Stores[other].Path(kind, s.id),
			Text: fmt.Sprintf("damocles's index says its %s is in the store %q, but it lies in %q", kind, name, a.Stores[other].Name),
			Hint: "correct the index with `util storage attach`, or move the files to where it says"})
	}
	return p
}

// search takes the first store that has the object. Where none has it and one
// could not be listed, nothing is certain.
func (a *auditor) search(s *subject, kind sector.FileKind, out *located) place {
	if i := a.holding(s, kind); i >= 0 {
		return place{kind, i, a.Stores[i].Path(kind, s.id)}
	}
	for i := range a.Stores {
		if f, bad := a.failed[i]; bad {
			out.unknown = &f
			break
		}
	}
	return place{kind, -1, ""}
}

// holding is the first store that has the object, -1 for none.
func (a *auditor) holding(s *subject, kind sector.FileKind) int {
	for _, o := range s.objects {
		if o.kind == kind {
			return int(o.store)
		}
	}
	return -1
}

func (a *auditor) holds(s *subject, kind sector.FileKind, store int) bool {
	for _, o := range s.objects {
		if o.kind == kind && int(o.store) == store {
			return true
		}
	}
	return false
}

// otherCaches are the sector's cache directories in all stores but for the one that
// is checked: the right p_aux may be in one of them.
func (a *auditor) otherCaches(s *subject, but string) []string {
	var out []string
	for _, o := range s.objects {
		if path := a.Stores[o.store].Path(o.kind, s.id); o.kind.IsDir() && path != but {
			out = append(out, path)
		}
	}
	return out
}

// nowhere is the finding where no store has anything of the pair.
func nowhere(s *subject, upgraded bool) post.Finding {
	kinds := kindsOf(upgraded)
	text := fmt.Sprintf("neither its replica (%s) nor its cache directory (%s) is in any store: it cannot be proven until both are put back from a copy",
		kinds[0], kinds[1])
	if len(s.objects) > 0 {
		text += "; what is there belongs to its other replica (before or after the snap upgrade)"
	}
	return post.Finding{Name: post.MissingReplica, File: kinds[0].String() + "/" + s.id.String(), Offset: -1, Text: text}
}
