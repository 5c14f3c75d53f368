package transfer

import "damocles-manager/internal/sector"

// EventType says what an Event tells.
type EventType string

// The events of one sector come in this order. The start and the files come
// together, never mixed with those of another sector: when it is known what
// will happen to each file, and before it happens. So a text that prints them
// as they come reads like the guide's, and says what is being worked on. The
// end, done or failed, comes on its own, later; a sector that cannot be carried
// at all has a start and a failure without files.
const (
	SectorStart  EventType = "sector-start"
	FileEvent    EventType = "file"
	SectorDone   EventType = "sector-done"
	SectorFailed EventType = "sector-failed"
)

// Action is what happens to a file.
type Action string

// The actions of files. The would-actions are those of a dry run; the last
// three those of VerifyOnly.
const (
	ActionCopy      Action = "copy"
	ActionMove      Action = "move"
	ActionSkip      Action = "skip" // at the target already
	ActionWouldCopy Action = "would copy"
	ActionWouldMove Action = "would move"
	ActionGood      Action = "good"
	ActionBad       Action = "bad"
	ActionUnknown   Action = "unknown" // the manifest does not know it
)

// Event is a step of one sector.
type Event struct {
	Type   EventType
	Sector Sector
	// The rest is of files: a replica, or one file of a cache directory.
	Action   Action
	Kind     sector.FileKind
	From, To string
	// Bytes is a file's size; of SectorDone, how many were copied.
	Bytes int64
	// Renamed, of SectorDone: nothing had to be copied. There: nothing had to be
	// done at all.
	Renamed, There bool
	// Left are the paths, of SectorDone, that were left behind at the source
	// because they were not carried.
	Left []string
	// Err is set with SectorFailed and ActionBad; it may carry a hint.
	Err error
}
