package post

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"damocles-manager/internal/sector"
)

func (v *visit) readPAux(ctx context.Context, path string) error {
	info, err := v.stat(ctx, path, Finding{Name: MissingPAux,
		Text: "p_aux is not there: it holds comm_c, which nothing else has; put it back from a copy of this sector's cache"}, false)
	if err != nil {
		return goOn(err)
	}
	if got := info.Size(); got < PAuxSize {
		v.found(Finding{PAuxShort, path, -1, sizeText(got, PAuxSize) + "; put p_aux back from a copy of this sector's cache", nil})
		return nil
	} else if got > PAuxSize {
		v.found(Finding{PAuxLong, path, PAuxSize, sizeText(got, PAuxSize) +
			"; the provers ignore the rest, but lotus and curio refuse to send such a sector", nil})
	}
	p, err := v.loadPAux(ctx, path)
	if bad := (*NonCanonicalError)(nil); errors.As(err, &bad) {
		half := []string{"comm_c", "comm_r_last"}[bad.Index]
		v.found(Finding{NonCanonical, path, int64(bad.Index) * NodeSize,
			half + " is no element of the field: p_aux is damaged; put it back from a copy of this sector's cache", nil})
		return nil
	}
	if err != nil {
		return goOn(err)
	}
	v.pAux = &p
	return nil
}

func (v *visit) loadPAux(ctx context.Context, path string) (PAux, error) {
	f, err := v.open(ctx, path)
	if err != nil {
		return PAux{}, err
	}
	defer f.file.Close()
	raw, err := v.read(ctx, f, 0, PAuxSize)
	if err != nil {
		return PAux{}, err
	}
	return ParsePAux(raw)
}

func (v *visit) openTree(ctx context.Context, i int, path string) error {
	info, err := v.stat(ctx, path, Finding{Name: MissingTree,
		Text: "this part of the tree is not there; it can be rebuilt from the replica. Do not start a prover " +
			"before: it would leave an empty placeholder here"}, false)
	if err != nil {
		return goOn(err)
	}
	discarded, text := v.treeSize(i, info.Size())
	if text != "" {
		v.found(Finding{TreeSize, path, -1, text, nil})
		return nil
	}
	if want := v.sector.Shape.Discards(); i == 0 && discarded != want {
		v.found(Finding{RowsDiscarded, path, -1, fmt.Sprintf("the tree was made with %d rows discarded, not %d: the prover "+
			"needs FIL_PROOFS_ROWS_TO_DISCARD=%[1]d", discarded, want), nil})
	}
	f, err := v.open(ctx, path)
	if err != nil {
		return goOn(err)
	}
	v.trees[i] = tree{opened: f, layout: layout{v.sector.Shape.Height, discarded}}
	return nil
}

// treeSize finds the number of discarded rows from the size, or says what is wrong
// with it.
func (v *visit) treeSize(i int, got int64) (int, string) {
	shape := v.sector.Shape
	want := shape.FileSize(shape.Discards())
	d, ok := shape.Discarded(got)
	switch {
	case got == shape.placeholder():
		return 0, fmt.Sprintf("a placeholder of %d bytes that a prover left when the tree file was missing; "+
			"put the real file of %d bytes back, or rebuild it from the replica", got, want)
	case !ok:
		return 0, sizeText(got, want) + "; put it back from a copy, or rebuild it from the replica"
	case d > 2:
		return 0, fmt.Sprintf("%d bytes: the tree was made with %d rows discarded, and the provers open at most 2; "+
			"rebuild it from the replica", got, d)
	case shape.Height == 2 && d != 1:
		return 0, sizeText(got, want) + "; a tree of three rows is always opened with one discarded"
	}
	for _, t := range v.trees[:i] {
		if t.opened != nil && t.discarded != d {
			return 0, fmt.Sprintf("made with %d rows discarded, and %s with %d: the prover has one setting for all; "+
				"rebuild one of them", d, filepath.Base(t.path), t.discarded)
		}
	}
	return d, ""
}

func (v *visit) readRoots(ctx context.Context) error {
	for i := range v.trees {
		t := &v.trees[i]
		if t.opened == nil {
			continue
		}
		raw, err := v.read(ctx, t.opened, t.offset(t.height, 0), NodeSize)
		if errors.Is(err, errBad) {
			t.drop()
			continue
		}
		if err != nil {
			return err
		}
		if t.root = Node(raw); !t.root.Canonical() {
			v.found(Finding{NonCanonical, t.path, t.offset(t.height, 0), nonCanonicalNode, nil})
			t.drop()
		}
	}
	return nil
}

const nonCanonicalNode = "this node of the tree is no element of the field: the provers stop here; " +
	"put the file back from a copy, or rebuild it from the replica"

// drop leaves a tree out of the rest of the check.
func (t *tree) drop() {
	t.file.Close()
	t.opened = nil
}

// siblings are the directories in which the right p_aux may be.
func (s Sector) siblings() []string {
	out := append([]string(nil), s.Others...)
	kind, name := filepath.Split(filepath.Clean(s.Cache))
	kind = filepath.Clean(kind)
	other := map[string]sector.FileKind{
		sector.Cache.String(): sector.UpdateCache, sector.UpdateCache.String(): sector.Cache,
	}
	if k, ok := other[filepath.Base(kind)]; ok {
		out = append(out, filepath.Join(filepath.Dir(kind), k.String(), name))
	}
	return out
}
