package post

import "fmt"

// Name names what was found, for people and for programs.
type Name string

// What keeps a sector from being proven.
const (
	MissingReplica  Name = "missing-replica"
	MissingCache    Name = "missing-cache"
	MissingPAux     Name = "missing-p_aux"
	MissingTree     Name = "missing-tree"
	NotAFile        Name = "not-a-file"      // a directory or a device stands there
	NotADirectory   Name = "not-a-directory" // a file stands where the cache belongs
	ReplicaSize     Name = "replica-size"
	PAuxShort       Name = "p_aux-short"
	TreeSize        Name = "tree-size"
	CommRMismatch   Name = "commr-mismatch"
	CommRInvalid    Name = "commr-invalid" // the CommR asked for is zero or no element
	RootsMismatch   Name = "roots-mismatch"
	SegmentMismatch Name = "segment-mismatch"
	PathMismatch    Name = "path-mismatch"
	NonCanonical    Name = "noncanonical-node"
	ReadError       Name = "read-error"
)

// What leaves the question open.
const (
	CommRUnknown Name = "commr-unknown"
	Timeout      Name = "timeout"
	NoPermission Name = "no-permission" // the user of the check may not read it; the prover's may
)

// What is worth knowing, but keeps nobody from proving.
const (
	PAuxLong      Name = "p_aux-long"
	TAuxAbsent    Name = "t_aux-absent"
	RowsDiscarded Name = "rows-discarded"
)

// Verdict is the answer for a sector.
type Verdict int

// The verdicts, the worst last.
const (
	Provable    Verdict = iota // nothing was found, or notes only
	Undecided                  // consistent in itself, but not known to be the right sector, or not read in time
	NotProvable                // a prover would fail here, or the chain would not accept its proof
)

// String is the verdict in words.
func (v Verdict) String() string {
	switch v {
	case Provable:
		return "provable"
	case Undecided:
		return "undecided"
	case NotProvable:
		return "not provable"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// Verdict is what a finding of this name makes of the sector.
func (n Name) Verdict() Verdict {
	switch n {
	case CommRUnknown, Timeout, NoPermission:
		return Undecided
	case PAuxLong, TAuxAbsent, RowsDiscarded:
		return Provable
	default:
		return NotProvable
	}
}

// Finding is one thing found.
type Finding struct {
	Name Name `json:"name"`
	// File is the path that it is about.
	File string `json:"file"`
	// Offset is the place in the file in bytes; -1 where the whole file is meant.
	Offset int64 `json:"offset"`
	// Text is a sentence: what is there, and what that means for the user.
	Text string `json:"text"`
	// Err is the error behind a read-error, or that of no-permission.
	Err error `json:"-"`
}

// String is the finding in one line.
func (f Finding) String() string {
	if f.Offset < 0 {
		return fmt.Sprintf("%s: %s: %s", f.Name, f.File, f.Text)
	}
	return fmt.Sprintf("%s: %s, offset %d: %s", f.Name, f.File, f.Offset, f.Text)
}

// Report is what a check found, and what it cost.
type Report struct {
	// Findings are in the order of the check; those of a full check by place.
	Findings []Finding
	// Omitted counts findings beyond the first perFile of one name and file.
	Omitted int
	// CommR is the commitment that p_aux belongs to; zero where it could not be read.
	CommR Node
	// Segments is the number of parts of the replica that were hashed up to the
	// root; Hashes, Reads and Bytes are what that took, the roots included.
	Segments, Hashes, Reads, Bytes int64
}

// Verdict is the worst that any finding says.
func (r Report) Verdict() Verdict {
	v := Provable
	for _, f := range r.Findings {
		v = max(v, f.Name.Verdict())
	}
	return v
}

// Has says whether something of that name was found.
func (r Report) Has(name Name) bool {
	for _, f := range r.Findings {
		if f.Name == name {
			return true
		}
	}
	return false
}

// perFile is how many findings of one name a file gets: a replica of another sector
// would give one for each of its segments.
const perFile = 10

func (r *Report) add(f Finding) {
	n := 0
	for _, g := range r.Findings {
		if g.Name == f.Name && g.File == f.File {
			n++
		}
	}
	if n >= perFile {
		r.Omitted++
		return
	}
	r.Findings = append(r.Findings, f)
}
