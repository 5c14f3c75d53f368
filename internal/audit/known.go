package audit

import (
	"context"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// known is what the metadata says of a sector; 32,000 of them take 4 MiB.
type known struct {
	id       sector.ID
	proof    abi.RegisteredSealProof
	status   sector.Status
	upgraded bool
	state    string
	// commR is that of the original replica, updated that of the update; zero where
	// the metadata does not know it.
	commR, updated post.Node
}

// live is the CommR that the sector is proven with.
func (k *known) live() post.Node {
	if k.upgraded {
		return k.updated
	}
	return k.commR
}

// read takes the metadata in.
func (a *auditor) read(ctx context.Context) error {
	if a.Metadata == nil {
		return nil
	}
	states := map[string]string{} // each word once
	err := a.Metadata.Each(ctx, a.Numbers, func(id sector.ID, key string, rec *sector.Record, err error) error {
		if key == "" && !a.selected(id) {
			return nil
		}
		if rec == nil {
			a.broken(id, key, err)
			if key == "" { // it is there, and has to be proven for all that is known
				a.known = append(a.known, known{id: id, proof: -1, status: sector.Unknown, state: "unreadable"})
			}
			return nil
		}
		word, ok := states[rec.State]
		if !ok {
			word = rec.State
			states[word] = word
		}
		k := known{id: rec.ID, proof: rec.SealProof, status: rec.Status, upgraded: rec.Upgraded, state: word}
		k.commR = a.commR(&k, rec.Original.CommR)
		if rec.Update != nil {
			k.updated = a.commR(&k, rec.Update.CommR)
		}
		a.known = append(a.known, k)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(a.known, func(x, y known) int { return compareIDs(x.id, y.id) })
	a.dedupe()
	return nil
}

// dedupe keeps one of a sector that damocles is just finalizing, and so is in both
// workspaces: the finished one.
func (a *auditor) dedupe() {
	out := a.known[:0]
	for _, k := range a.known {
		last := len(out) - 1
		switch {
		case last < 0 || out[last].id != k.id:
			out = append(out, k)
		case k.status == sector.Finished:
			out[last] = k
		}
	}
	a.known = out
}

func (a *auditor) broken(id sector.ID, key string, err error) {
	d := Difference{Code: RecordBroken, Path: key, Text: err.Error(), Hint: fault.HintOf(err)}
	if key == "" {
		d.ID = &id
	}
	a.differ(d)
}

func (a *auditor) commR(k *known, c cid.Cid) post.Node {
	if !c.Defined() {
		return post.Node{}
	}
	n, err := post.CommRFromCID(c)
	if err != nil {
		id := k.id
		a.differ(Difference{Code: RecordBroken, ID: &id, Text: "the CommR of its metadata: " + err.Error(),
			Hint: "give a chain node with --chain, which knows the right one"})
	}
	return n
}
