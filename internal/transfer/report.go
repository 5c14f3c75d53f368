package transfer

import (
	"sync"
)

// maxListed bounds the lists of a report; its counts go on.
const maxListed = 1000

// Report is the count of a run.
type Report struct {
	DryRun bool
	// Total sectors: Done, There before and Failed. A run that ended with an
	// error may have left some out.
	Total, Done, There, Failed int
	// Unknown, of VerifyOnly: sectors of which the manifest does not know an object.
	Unknown int
	// Unhashed, of VerifyOnly: sectors among the Done of which the manifest has a
	// file without a hash. Its size and time were looked at, and not its content.
	Unhashed int
	// Renamed of the Done sectors needed no copy.
	Renamed int
	// Files that were carried (of VerifyOnly: checked), and Bytes of those copied
	// (of VerifyOnly: read).
	Files, Bytes int64
	// Failures are the first thousand of the Failed.
	Failures []Failure
	// Left are the first thousand of LeftCount paths that stay at the source
	// because they were not carried, such as .json files in a cache directory.
	Left      []string
	LeftCount int
}

// Failure is a sector that was not carried, and why. Err may carry a hint.
type Failure struct {
	Sector Sector
	Err    error
}

// events keeps the count and tells the observer, one event at a time.
type events struct {
	mu      sync.Mutex
	report  *Report
	observe func(Event)
}

// block tells the observer of what belongs together.
func (e *events) block(list []Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range list {
		e.observe(ev)
	}
}

func (e *events) fail(s Sector, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report.Total++
	e.report.Failed++
	if len(e.report.Failures) < maxListed {
		e.report.Failures = append(e.report.Failures, Failure{Sector: s, Err: err})
	}
	e.observe(Event{Type: SectorFailed, Sector: s, Err: err})
}

func (e *events) done(ev Event, files int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.report
	r.Total++
	switch {
	case ev.There:
		r.There++
	default:
		r.Done++
		r.Files += files
		r.Bytes += ev.Bytes
	}
	if ev.Renamed {
		r.Renamed++
	}
	r.LeftCount += len(ev.Left)
	r.Left = append(r.Left, ev.Left[:min(len(ev.Left), maxListed-len(r.Left))]...)
	ev.Type = SectorDone
	e.observe(ev)
}
