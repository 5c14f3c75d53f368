package post

import (
	"context"
	"fmt"
	"path/filepath"

	"damocles-manager/internal/sector"
)

// checkCommR holds p_aux against the CommR that is wanted. The provers do not: they
// take CommR as given, and the chain refuses the proof.
func (v *visit) checkCommR(ctx context.Context) {
	path, want := filepath.Join(v.sector.Cache, sector.PAuxName), v.sector.CommR
	switch {
	case want.IsZero():
		v.found(Finding{CommRUnknown, path, -1, "neither the chain nor the metadata knows this sector's CommR: what is here " +
			"may fit together and still be another sector; name a chain node", nil})
	case !want.Canonical():
		v.found(Finding{CommRInvalid, path, -1, fmt.Sprintf("the CommR that the sector should have, %s, is no element of the field: "+
			"the metadata is wrong", want), nil})
	}
	if v.pAux == nil {
		return
	}
	got, err := v.pAux.CommR()
	v.hashed(1)
	if err != nil {
		return // unreachable: ParsePAux took canonical halves only
	}
	v.report.CommR = got
	if want.IsZero() || !want.Canonical() || got == want {
		return
	}
	v.found(Finding{CommRMismatch, path, -1, fmt.Sprintf("p_aux belongs to CommR %s, and %s is wanted: %s",
		CommRToCID(got), CommRToCID(want), v.blamePAux(ctx)), nil})
}

// blamePAux says what a p_aux of another CommR most likely means.
func (v *visit) blamePAux(ctx context.Context) string {
	for _, dir := range v.sector.siblings() {
		if p, err := v.quietPAux(ctx, filepath.Join(dir, sector.PAuxName)); err == nil {
			if got, err := p.CommR(); err == nil && got == v.sector.CommR {
				return fmt.Sprintf("%s has the right one; that directory and its replica are meant here", dir)
			}
		}
	}
	root, ok := v.combined()
	if !ok {
		return "p_aux is damaged, or of another sector"
	}
	repaired := PAux{CommC: v.pAux.CommC, CommRLast: root}
	if got, err := repaired.CommR(); err == nil && got == v.sector.CommR {
		return "the tree files are the right ones, so comm_r_last in p_aux is damaged; put p_aux back from a copy"
	}
	if root == v.pAux.CommRLast {
		return "the tree files go with this p_aux, so the whole cache directory is another sector's, or that of another " +
			"replica of this sector (before or after a snap upgrade), or comm_c is damaged"
	}
	return "p_aux is damaged, or of another sector"
}

// quietPAux reads a p_aux that is looked at for a hint only: no findings.
func (v *visit) quietPAux(ctx context.Context, path string) (PAux, error) {
	hint := &visit{Checker: v.Checker, perRead: v.perRead}
	return hint.loadPAux(ctx, path)
}

// combined is the root over all base trees; false where one of them is not there.
func (v *visit) combined() (Node, bool) {
	if len(v.trees) == 0 {
		return Node{}, false
	}
	root, err := v.sector.Shape.Combine(v.roots())
	return root, err == nil && v.complete()
}

func (v *visit) roots() []Node {
	roots := make([]Node, len(v.trees))
	for i, t := range v.trees {
		roots[i] = t.root
	}
	return roots
}

func (v *visit) complete() bool {
	for _, t := range v.trees {
		if t.opened == nil {
			return false
		}
	}
	return len(v.trees) > 0
}

// checkRoots joins the roots of the tree files and holds them against comm_r_last.
func (v *visit) checkRoots() {
	if v.pAux == nil || !v.complete() {
		return
	}
	got, ok := v.combined()
	v.hashed(v.sector.Shape.combineHashes())
	if !ok || got == v.pAux.CommRLast {
		return
	}
	t := v.trees[0]
	f := Finding{RootsMismatch, v.sector.Cache, -1, "the roots of the tree files do not make up comm_r_last of p_aux: ", nil}
	if i, j, ok := v.swapped(); ok {
		f.Text += fmt.Sprintf("%s and %s are swapped; give each the other's name", filepath.Base(v.trees[i].path), filepath.Base(v.trees[j].path))
	} else if len(v.trees) == 1 {
		f.File, f.Offset = t.path, t.offset(t.height, 0)
		f.Text += "the tree file or p_aux is damaged or of another sector"
	} else {
		f.Text += "one of them or p_aux is damaged or of another sector"
	}
	v.found(f)
}

// swapped finds two tree files whose roots fit with their names exchanged.
func (v *visit) swapped() (int, int, bool) {
	roots := v.roots()
	for i := range roots {
		for j := range i {
			roots[i], roots[j] = roots[j], roots[i]
			got, err := v.sector.Shape.Combine(roots)
			if err == nil && got == v.pAux.CommRLast {
				return j, i, true
			}
			roots[i], roots[j] = roots[j], roots[i]
		}
	}
	return 0, 0, false
}
