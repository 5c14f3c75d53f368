package ui

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/transfer"
)

// Transfer shows a run of the file engine: a line for every file on stdout, as
// the guide prints them, and the progress on stderr.
type Transfer struct {
	ui *UI
	// Verb is one of Moving, Copying, MovingBack and Checking.
	Verb string
	// DryRun says that nothing is done.
	DryRun   bool
	Progress *transfer.Progress
	every    time.Duration
	start    time.Time
}

// NewTransfer makes one for a run that goes by this verb.
func (u *UI) NewTransfer(verb string) *Transfer {
	return &Transfer{ui: u, Verb: verb, Progress: &transfer.Progress{}, start: time.Now(), every: 10 * time.Second}
}

// fileLine is a line of --json output for one file.
type fileLine struct {
	Type   string `json:"type"` // always "file"
	Miner  string `json:"miner"`
	Number uint64 `json:"number"`
	Kind   string `json:"kind"`
	Action string `json:"action"`
	From   string `json:"from,omitempty"`
	To     string `json:"to"`
	Bytes  int64  `json:"bytes"`
	Reason string `json:"reason,omitempty"`
}

// carriedLine is a line of --json output for a sector whose files were carried.
type carriedLine struct {
	Type    string   `json:"type"` // always "sector"
	Miner   string   `json:"miner"`
	Number  uint64   `json:"number"`
	Action  string   `json:"action"`
	Bytes   int64    `json:"bytes"`
	Renamed bool     `json:"renamed,omitempty"`
	Left    []string `json:"left,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	Hint    string   `json:"hint,omitempty"`
}

// Observe shows one event.
func (t *Transfer) Observe(e transfer.Event) {
	if t.ui.JSON {
		t.object(e)
		return
	}
	u := t.ui
	u.mu.Lock()
	defer u.mu.Unlock()
	switch e.Type {
	case transfer.SectorStart:
		if !u.Quiet {
			fmt.Fprintf(u.out, "%s sector %d file...\n", t.header(), e.Sector.ID.Number)
		}
	case transfer.FileEvent:
		t.file(e)
	case transfer.SectorFailed:
		fmt.Fprintf(u.out, "%s: failed: %v\n", e.Sector.ID, e.Err)
		u.hint(fault.HintOf(e.Err))
	case transfer.SectorDone:
		for _, path := range e.Left {
			fmt.Fprintf(u.out, "%s: left behind: %s\n", e.Sector.ID, path)
		}
		u.some(u.Verbose, string(e.Type), "%s: done\n", e.Sector.ID)
	}
}

// header is the guide's word, which it uses for copies, too.
func (t *Transfer) header() string {
	if t.Verb == Checking {
		return "check"
	}
	return "move"
}

// What a run of the file engine does.
const (
	Moving     = "moving"
	Copying    = "copying"
	MovingBack = "moving back"
	Checking   = "checking" // what is there against the manifest
)

func (t *Transfer) file(e transfer.Event) {
	u := t.ui
	switch e.Action {
	case transfer.ActionSkip:
		u.some(!u.Quiet && u.Verbose, "skip", "skip file %s, it is there and equal\n", e.To)
	case transfer.ActionGood:
		u.some(u.Verbose, "good", "good file %s\n", e.To)
	case transfer.ActionBad:
		fmt.Fprintf(u.out, "bad file %s: %v\n", e.To, e.Err)
		u.hint(fault.HintOf(e.Err))
	case transfer.ActionUnknown:
		u.some(true, "unknown", "unknown file %s: the manifest does not have it\n", e.To)
	default:
		if !u.Quiet {
			fmt.Fprintf(u.out, "%s file from %s to %s\n", e.Action, e.From, e.To)
		}
	}
}

func (t *Transfer) object(e transfer.Event) {
	id := e.Sector.ID
	var line any
	switch e.Type {
	case transfer.FileEvent:
		line = fileLine{
			Type: "file", Miner: sector.MinerString(id.Miner), Number: uint64(id.Number),
			Kind: e.Kind.String(), Action: dashed(e.Action), From: e.From, To: e.To, Bytes: e.Bytes, Reason: reason(e.Err),
		}
	case transfer.SectorDone, transfer.SectorFailed:
		line = carriedLine{
			Type: "sector", Miner: sector.MinerString(id.Miner), Number: uint64(id.Number), Action: t.outcome(e),
			Bytes: e.Bytes, Renamed: e.Renamed, Left: e.Left, Reason: reason(e.Err), Hint: fault.HintOf(e.Err),
		}
	default:
		return
	}
	_ = t.ui.Object(line) // a broken stdout shows at Flush
}

func dashed(a transfer.Action) string {
	switch a {
	case transfer.ActionWouldCopy:
		return "would-copy"
	case transfer.ActionWouldMove:
		return "would-move"
	}
	return string(a)
}

func (t *Transfer) outcome(e transfer.Event) string {
	switch {
	case e.Type == transfer.SectorFailed:
		return "failed"
	case e.There:
		return "unchanged"
	case t.DryRun:
		return map[string]string{Copying: "would-copy", Moving: "would-move", MovingBack: "would-move"}[t.Verb]
	default:
		return map[string]string{Copying: "copied", Moving: "moved", MovingBack: "moved", Checking: "checked"}[t.Verb]
	}
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// While runs work and shows how far it is: on a terminal twice a second, with a
// line for each sector that is being copied; elsewhere a plain line every ten
// seconds, or an event with --json.
func (t *Transfer) While(ctx context.Context, work func(context.Context) error) error {
	u := t.ui
	if u.Quiet && !u.JSON {
		return work(ctx)
	}
	every, show := t.every, t.plain
	switch {
	case u.JSON:
		show = t.event
	case u.Terminal:
		every, show = 500*time.Millisecond, t.draw
	}
	stop := make(chan struct{})
	var g errgroup.Group
	g.Go(func() error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				u.setStatus("")
				return nil
			case <-tick.C:
				show(t.Progress.Snapshot())
			}
		}
	})
	err := work(ctx)
	close(stop)
	_ = g.Wait() // the drawing cannot fail
	return err
}

// line is the progress of the whole run: sectors, bytes, rate and time left.
func (t *Transfer) line(s transfer.Snapshot, elapsed time.Duration) string {
	line := fmt.Sprintf("%s %d of %d sectors", t.Verb, s.Sectors, s.SectorsTotal)
	if s.BytesTotal == 0 {
		return line + ", " + timeLeft(s.Sectors, s.SectorsTotal, elapsed) + " left"
	}
	rate := int64(float64(s.Bytes) / max(elapsed.Seconds(), 0.001))
	return fmt.Sprintf("%s, %s of %s, %s/s, %s left", line, Bytes(s.Bytes), Bytes(s.BytesTotal), Bytes(rate),
		timeLeft(s.Bytes, s.BytesTotal, elapsed))
}

const maxRunningLines = 12

func (t *Transfer) draw(s transfer.Snapshot) {
	text := t.line(s, time.Since(t.start))
	for i, r := range s.Running {
		if i == maxRunningLines {
			text += fmt.Sprintf("\n  and %d more", len(s.Running)-i)
			break
		}
		percent := int64(100)
		if r.Total > 0 {
			percent = min(100, 100*r.Bytes/r.Total)
		}
		text += fmt.Sprintf("\n  %-22s %3d%%  %s of %s", r.ID, percent, Bytes(r.Bytes), Bytes(r.Total))
	}
	t.ui.setStatus(text)
}

func (t *Transfer) plain(s transfer.Snapshot) { t.ui.Notice(t.line(s, time.Since(t.start))) }

// progressLine is a line of --json output every ten seconds.
type progressLine struct {
	Type         string  `json:"type"` // always "progress"
	Sectors      int64   `json:"sectors"`
	SectorsTotal int64   `json:"sectorsTotal"`
	Bytes        int64   `json:"bytes"`
	BytesTotal   int64   `json:"bytesTotal"`
	Seconds      float64 `json:"seconds"`
}

func (t *Transfer) event(s transfer.Snapshot) {
	_ = t.ui.Object(progressLine{ // a broken stdout shows at Flush
		Type: "progress", Sectors: s.Sectors, SectorsTotal: s.SectorsTotal, Bytes: s.Bytes, BytesTotal: s.BytesTotal,
		Seconds: time.Since(t.start).Round(time.Millisecond).Seconds(),
	})
	_ = t.ui.Flush()
}

// FilesSummary is the closing line of --json output of an export of files.
type FilesSummary struct {
	Type   string `json:"type"` // always "summary"
	DryRun bool   `json:"dryRun"`
	// Moved were renamed or copied and removed at the source, Copied were kept
	// there, and Unchanged were at the target before. Unknown sectors are not in the
	// manifest (of --verify-only, where Good ones are those that are as they were).
	Moved     int `json:"moved"`
	Copied    int `json:"copied"`
	Good      int `json:"good"`
	Unchanged int `json:"unchanged"`
	Failed    int `json:"failed"`
	Unknown   int `json:"unknown"`
	// Unhashed of the good ones have files of which the manifest has no hash.
	Unhashed int `json:"unhashed,omitempty"`
	// Unfinished, Skipped and Missing sectors were not to be carried.
	Unfinished int            `json:"unfinished"`
	Skipped    map[string]int `json:"skipped,omitempty"`
	Missing    int            `json:"missing"`
	// Renamed of the moved ones needed no copy.
	Renamed  int    `json:"renamed"`
	Files    int64  `json:"files"`
	Bytes    int64  `json:"bytes"`
	Left     int    `json:"left"`
	Manifest string `json:"manifest,omitempty"`
	Journal  string `json:"journal,omitempty"`
}

// Total is how many sectors were to be carried.
func (s *FilesSummary) Total() int {
	return s.Moved + s.Copied + s.Good + s.Unchanged + s.Failed + s.Unknown
}

// NewFilesSummary joins what the choice of sectors and what the engine counted.
func NewFilesSummary(chosen *migrate.Report, r *transfer.Report) *FilesSummary {
	return &FilesSummary{
		Type: "summary", DryRun: r.DryRun, Unchanged: r.There, Failed: r.Failed + chosen.Failed, Unknown: r.Unknown, Unhashed: r.Unhashed,
		Unfinished: chosen.Unfinished, Skipped: chosen.Skipped, Missing: chosen.Missing,
		Renamed: r.Renamed, Files: r.Files, Bytes: r.Bytes, Left: r.LeftCount,
	}
}

// FilesSummary shows the count of a run of files; the last line is the guide's.
func (u *UI) FilesSummary(s *FilesSummary) {
	if u.JSON {
		_ = u.Object(s) // a broken stdout shows at Flush
		return
	}
	u.mu.Lock()
	if !u.Quiet {
		u.showNotes()
		fmt.Fprintf(u.out, "files: %s\n", s.counts())
		if s.Manifest != "" {
			fmt.Fprintf(u.out, "manifest: %s\n", s.Manifest)
		}
	}
	fmt.Fprintf(u.out, "export failure number: %d, total: %d\n", s.Failed, s.Total())
	u.mu.Unlock()
}

func (s *FilesSummary) counts() string {
	would := ""
	if s.DryRun {
		would = "would be "
	}
	text := ""
	for _, part := range []struct {
		n    int
		what string
	}{{s.Moved, would + "moved"}, {s.Copied, would + "copied"}, {s.Good, "as in the manifest"}} {
		if part.n > 0 {
			text += fmt.Sprintf("%d sectors %s, ", part.n, part.what)
		}
	}
	if s.Unhashed > 0 {
		text += fmt.Sprintf("%d of them by size and time alone, ", s.Unhashed)
	}
	if s.Renamed > 0 {
		text += fmt.Sprintf("%d of them by renaming, ", s.Renamed)
	}
	text += fmt.Sprintf("%d there already, %d failed, %d unfinished", s.Unchanged, s.Failed, s.Unfinished)
	skipped := 0
	for _, n := range s.Skipped {
		skipped += n
	}
	text += fmt.Sprintf(", %d skipped%s", skipped, counts(s.Skipped))
	if s.Unknown > 0 {
		text += fmt.Sprintf(", %d not in the manifest", s.Unknown)
	}
	if s.Missing > 0 {
		text += fmt.Sprintf(", %d missing", s.Missing)
	}
	return text + fmt.Sprintf("; %d files, %s", s.Files, s.volume())
}

// volume is how much was read or copied. Where files were renamed it is not that of
// all of them, so it says what it is.
func (s *FilesSummary) volume() string {
	of := "copied"
	if s.DryRun {
		of = "to copy"
	}
	switch {
	case s.Renamed == 0:
		return Bytes(s.Bytes)
	case s.Bytes == 0:
		return "nothing " + of
	default:
		return Bytes(s.Bytes) + " " + of
	}
}
