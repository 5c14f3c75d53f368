package audit

import (
	"fmt"
	"strings"

	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// subject is a sector and what each side says of it; nil where a side has it not.
type subject struct {
	id      sector.ID
	known   *known
	chain   *onChain
	objects []object
}

// subjects goes through all that any side has, in the order of their IDs, until fn
// returns false. The three lists are sorted.
func (a *auditor) subjects(fn func(subject) bool) {
	var k, c, o int
	for k < len(a.known) || c < len(a.onChain) || o < len(a.disk) {
		var s subject
		first := true
		least := func(id sector.ID) {
			if first || compareIDs(id, s.id) < 0 {
				s.id, first = id, false
			}
		}
		if k < len(a.known) {
			least(a.known[k].id)
		}
		if c < len(a.onChain) {
			least(a.onChain[c].id)
		}
		if o < len(a.disk) {
			least(a.disk[o].id)
		}
		if k < len(a.known) && a.known[k].id == s.id {
			s.known = &a.known[k]
			k++
		}
		if c < len(a.onChain) && a.onChain[c].id == s.id {
			s.chain = &a.onChain[c]
			c++
		}
		s.objects, o = a.objects(s.id, o)
		if !fn(s) {
			return
		}
	}
}

// stands says whether by its metadata the sector is, or may be, proven daily.
func (k *known) stands() bool {
	switch k.status {
	case sector.Finished, sector.Lost, sector.InDoubt, sector.Unknown:
		return true
	default:
		return false
	}
}

// wanted says whether the sector has to be proven: the chain decides where it was
// asked, else the metadata, else that there are files.
func (a *auditor) wanted(s subject) bool {
	switch {
	case a.Chain != nil:
		return s.chain != nil
	case s.known != nil:
		return s.known.stands()
	default:
		return a.Metadata == nil
	}
}

// upgraded says which pair of files is meant.
func (s *subject) upgraded() bool {
	switch {
	case s.chain != nil:
		return s.chain.upgraded()
	case s.known != nil:
		return s.known.upgraded
	}
	for _, o := range s.objects {
		if o.kind == sector.Update {
			return true
		}
	}
	return false
}

// commR is what the sector has to be held against, and who says so.
func (s *subject) commR() (post.Node, string) {
	switch {
	case s.chain != nil:
		return s.chain.commR, "chain"
	case s.known != nil && !s.known.live().IsZero():
		return s.known.live(), "metadata"
	}
	return post.Node{}, ""
}

// weigh holds the sides against each other.
func (a *auditor) weigh(s subject) []Difference {
	var out []Difference
	add := func(code Code, hint, format string, args ...any) {
		out = append(out, Difference{Code: code, Text: fmt.Sprintf(format, args...), Hint: hint})
	}
	asked, meta := a.Chain != nil, a.Metadata != nil
	switch {
	case s.chain != nil && meta && s.known == nil:
		add(NotInMetadata, "carry it over, or find the system that has it: it must be proven daily", "it is on chain, and the metadata does not have it")
	case s.chain != nil && meta && !s.known.stands():
		add(NotFinished, "finish it in the system that has it (damocles: `util sealer sectors finalize`)",
			"it is on chain, and by the metadata it is %s (%s): a switch would leave it behind", s.known.status, s.known.state)
	case s.chain == nil && asked && s.known != nil && (s.known.status == sector.Finished || s.known.status == sector.Lost):
		add(NotOnChain, "it may have expired or been terminated; nothing has to be proven for it",
			"the metadata has it as finished (%s), and the chain does not have it", s.known.state)
	case s.chain == nil && s.known == nil && meta:
		out = append(out, a.unknownFiles(s, "the metadata does not have it"))
	case s.chain == nil && s.known == nil && asked:
		d := a.unknownFiles(s, "the chain does not have it")
		d.Code = NotOnChain
		out = append(out, d)
	}
	if s.chain != nil {
		s.compare(add)
	}
	return out
}

func (a *auditor) unknownFiles(s subject, who string) Difference {
	var kinds []string
	for _, o := range s.objects {
		kinds = append(kinds, o.kind.String())
	}
	first := s.objects[0]
	return Difference{
		Code: UnknownFiles, Path: a.Stores[first.store].Path(first.kind, s.id),
		Text: fmt.Sprintf("there are files of it (%s), and %s", strings.Join(kinds, ", "), who),
		Hint: "find out whose they are before you remove them",
	}
}

// compare holds the chain against the metadata of a sector that both have.
func (s *subject) compare(add func(code Code, hint, format string, args ...any)) {
	c, k := s.chain, s.known
	if c.faulty {
		what := "it is faulty on chain"
		if c.recovering {
			what += ", and declared as recovering"
		}
		add(FaultyOnChain, "if its files are whole, declare it recovered; its power is lost until it is proven again", "%s", what)
	}
	if k == nil {
		return
	}
	const hint = "find out which is true before the sector is carried anywhere"
	if c.proof != k.proof && k.proof >= 0 {
		add(ProofDiffers, hint, "its seal proof is %d on chain, and %d in the metadata", c.proof, k.proof)
	}
	original := c.commR
	if c.upgraded() {
		original = c.key
	}
	switch {
	case !k.commR.IsZero() && k.commR != original:
		add(CommRDiffers, hint, "its CommR is %s on chain, and %s in the metadata", post.CommRToCID(original), post.CommRToCID(k.commR))
	case c.upgraded() && !k.updated.IsZero() && k.updated != c.commR:
		add(CommRDiffers, hint, "the CommR of its update is %s on chain, and %s in the metadata", post.CommRToCID(c.commR), post.CommRToCID(k.updated))
	}
	if (k.status == sector.Finished || k.status == sector.Lost) && k.upgraded != c.upgraded() {
		is := map[bool]string{true: "upgraded", false: "not upgraded"}
		add(UpgradeDiffers, hint, "it is %s on chain, and %s in the metadata", is[c.upgraded()], is[k.upgraded])
	}
}
