package audit

import (
	"slices"

	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// StoreUnreachable is a finding of this room: the sector's files lie where nobody
// here can look, so that nothing is known of them.
const StoreUnreachable post.Name = "store-unreachable"

// SectorReport is what a check says of a sector.
type SectorReport struct {
	ID       sector.ID
	Verdict  post.Verdict
	Upgraded bool
	// CommR is what the sector was held against, zero where nobody knows it, and
	// CommRFrom who said so: "chain", "metadata" or "".
	CommR     post.Node
	CommRFrom string
	// Slot is where the chain proves it, nil where it was not asked or has it not.
	Slot *Slot
	// Replica and Cache are the paths; empty where neither is anywhere.
	Replica, Cache string
	// Reused: the files have not changed since an earlier run, of which this is the
	// result.
	Reused   bool
	Findings []post.Finding
	// Omitted counts findings beyond the first ones of a name and file.
	Omitted int
}

// add takes in what was found with another copy of the sector's files.
func (r *SectorReport) add(other SectorReport) {
	same := func(f post.Finding) bool {
		return slices.ContainsFunc(r.Findings, func(g post.Finding) bool {
			return f.Name == g.Name && f.File == g.File && f.Offset == g.Offset
		})
	}
	r.Findings = append(slices.Clone(r.Findings), slices.DeleteFunc(slices.Clone(other.Findings), same)...)
	r.Omitted += other.Omitted
	r.Reused = r.Reused && other.Reused
}

// oneOfSeveral says of what is bad that there are more copies.
func (r *SectorReport) oneOfSeveral() {
	r.Findings = slices.Clone(r.Findings) // they may be those of the file of results
	for i, f := range r.Findings {
		if verdictOf(r.Findings[i:i+1]) != post.Provable {
			r.Findings[i].Text = f.Text + "; its files lie in more than one store, and nothing says which of them a prover takes"
		}
	}
}

// Slot is a deadline and a partition of it, both counted from 0.
type Slot struct{ Deadline, Partition uint64 }

func verdictOf(findings []post.Finding) post.Verdict {
	v := post.Provable
	for _, f := range findings {
		if f.Name == StoreUnreachable {
			v = max(v, post.Undecided)
			continue
		}
		v = max(v, f.Name.Verdict())
	}
	return v
}

// Code names a difference between the sides.
type Code string

// What differs between chain, metadata and disk.
const (
	NotInMetadata  Code = "not-in-metadata" // on chain, and the metadata does not have it
	NotFinished    Code = "not-finished"    // on chain, and the metadata has it in a state in which it is not proven
	NotOnChain     Code = "not-on-chain"    // finished by the metadata, or on the disks alone, and not on chain
	CommRDiffers   Code = "commr-differs"
	ProofDiffers   Code = "seal-proof-differs"
	UpgradeDiffers Code = "upgrade-differs"
	FaultyOnChain  Code = "faulty-on-chain"
	UnknownFiles   Code = "unknown-files" // of a sector that neither chain nor metadata has
	NotInIndex     Code = "not-in-index"  // damocles's index does not know where its files are
	StoreUnknown   Code = "store-unknown" // the index names a store that is not configured
	Elsewhere      Code = "elsewhere"     // its files are not where the index says
	StoreMissing   Code = "store-missing" // a store's directory is not there
	RowsDiffer     Code = "rows-differ"   // no prover's setting fits the trees of all sectors
)

// What could not be decided.
const (
	StoreUnreadable Code = "store-unreadable"
	StoreEmpty      Code = "store-empty" // a store that was named to be checked holds no sector
	RecordBroken    Code = "record-broken"
	NumberNotFound  Code = "number-not-found"
	ChainBehind     Code = "chain-behind" // the chain node is not in sync
)

// Verdict is what a difference means for the run: something disagrees
// (NotProvable), or could not be decided.
func (c Code) Verdict() post.Verdict {
	switch c {
	case StoreUnreadable, StoreEmpty, RecordBroken, NumberNotFound, ChainBehind:
		return post.Undecided
	default:
		return post.NotProvable
	}
}

// Difference is something in which the sides do not agree.
type Difference struct {
	Code Code
	// ID is nil where it is about no one sector.
	ID *sector.ID
	// Slot is where the chain proves the sector, nil where it does not.
	Slot *Slot
	// Path is the store, or a file; it may be empty.
	Path string
	// Text says what is where; Hint is the next step.
	Text, Hint string
}

// DeadlineReport counts the sectors of a partition.
type DeadlineReport struct {
	ID   sector.ID // of which the miner alone is set
	Slot Slot
	// Sectors are those of the partition that were selected, Faulty and Recovering
	// what the chain says of them.
	Sectors, Faulty, Recovering      int
	Provable, Undecided, NotProvable int
	Differences                      int
	Opens, Epoch                     int64 // epochs: when it opens next, and now
	Open                             bool  // it is open now
}

// Summary counts a run.
type Summary struct {
	Sectors, Provable, Undecided, NotProvable int
	// Reused are results of an earlier run.
	Reused int
	// Skipped are sectors that need no proof, by the status of their metadata.
	Skipped     map[string]int
	Differences map[Code]int
	// CommR counts who named the CommR: "chain", "metadata" or "unknown".
	CommR map[string]int
	Plan  Plan
	Asked bool // a chain node was asked
}

func newSummary(o Options) Summary {
	return Summary{Differences: map[Code]int{}, CommR: map[string]int{}, Plan: o.Plan, Asked: o.Chain != nil}
}

// Verdict is the worst that was found. Where nothing was checked, nothing is decided.
func (s *Summary) Verdict() post.Verdict {
	v := post.Provable
	if s.Undecided > 0 || s.Provable+s.NotProvable == 0 {
		v = post.Undecided
	}
	if s.NotProvable > 0 {
		v = post.NotProvable
	}
	for code := range s.Differences {
		v = max(v, code.Verdict())
	}
	return v
}
