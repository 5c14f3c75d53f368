package sector

// Status says what can be done with a sector in a switch, whatever the word
// that its system uses.
type Status uint8

const (
	// Unknown is the zero value; no sector has it.
	Unknown Status = iota
	// Finished: on chain, to be proven daily, nothing left to do.
	Finished
	// Lost: on chain like Finished, but its files are lost; the metadata is what
	// a rebuild needs.
	Lost
	// InDoubt: on chain for certain or perhaps, with something under way that the
	// metadata alone cannot tell the end of. The chain decides.
	InDoubt
	// Committing: the last message of its sealing may have reached the chain. The
	// chain decides; where the chain does not have it, it is still being sealed.
	Committing
	// Sealing: never on chain so far, work is going on.
	Sealing
	// Failed: gave up before it reached the chain.
	Failed
	// Terminated: the chain has ended it, and that is final.
	Terminated
	// Removed: its files are deleted, or are being deleted.
	Removed
)

// String gives the word used in reports and in JSON output.
func (s Status) String() string {
	switch s {
	case Finished:
		return "finished"
	case Lost:
		return "lost"
	case InDoubt:
		return "in-doubt"
	case Committing:
		return "committing"
	case Sealing:
		return "sealing"
	case Failed:
		return "failed"
	case Terminated:
		return "terminated"
	case Removed:
		return "removed"
	default:
		return "unknown"
	}
}
