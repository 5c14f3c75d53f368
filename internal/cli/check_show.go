package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"damocles-manager/internal/audit"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// checkShown shows a check: as it goes what needs the user, at the end the table of
// deadlines and the sums. It is called by one goroutine at a time.
type checkShown struct {
	*app
	notes     map[post.Name]*checkNote
	deadlines []audit.DeadlineReport
	differs   map[audit.Code]int
}

// checkNote is a remark that keeps no sector from being proven.
type checkNote struct {
	n    int
	text string // of the first
}

// width is that of the terminal for which the text is made.
const width = 80

// checkedLine is a sector in --json output.
type checkedLine struct {
	Type      string         `json:"type"` // always "sector"
	Miner     string         `json:"miner"`
	Number    uint64         `json:"number"`
	Verdict   string         `json:"verdict"`
	Upgraded  bool           `json:"upgraded"`
	CommR     string         `json:"commR,omitempty"`
	CommRFrom string         `json:"commRFrom"`
	Deadline  *uint64        `json:"deadline,omitempty"`
	Partition *uint64        `json:"partition,omitempty"`
	Replica   string         `json:"replica,omitempty"`
	Cache     string         `json:"cache,omitempty"`
	Reused    bool           `json:"reused"`
	Findings  []post.Finding `json:"findings"`
	Omitted   int            `json:"omitted,omitempty"`
}

var _ audit.Observer = (*checkShown)(nil)

// verdictWord is a verdict in --json output.
func verdictWord(v post.Verdict) string { return strings.ReplaceAll(v.String(), " ", "-") }

// Sector shows a sector of which something was found, and with --verbose every one.
func (c *checkShown) Sector(r audit.SectorReport) {
	if c.json {
		line := checkedLine{
			Type: "sector", Miner: sector.MinerString(r.ID.Miner), Number: uint64(r.ID.Number), Verdict: verdictWord(r.Verdict),
			Upgraded: r.Upgraded, CommRFrom: cmp.Or(r.CommRFrom, "unknown"), Replica: r.Replica, Cache: r.Cache,
			Reused: r.Reused, Findings: append([]post.Finding{}, r.Findings...), Omitted: r.Omitted,
		}
		if !r.CommR.IsZero() {
			line.CommR = post.CommRToCID(r.CommR).String()
		}
		if r.Slot != nil {
			line.Deadline, line.Partition = &r.Slot.Deadline, &r.Slot.Partition
		}
		_ = c.ui.Object(line) // a broken stdout shows at Flush
		return
	}
	if r.Verdict != post.Provable || c.verbose {
		c.ui.Printf("%s: %s%s\n", r.ID, r.Verdict, of(r))
	}
	for _, f := range r.Findings {
		if f.Name.Verdict() == post.Provable && !c.verbose {
			c.note(f)
			continue
		}
		c.finding(f)
	}
	if r.Omitted > 0 {
		c.ui.Printf("  … and %d more findings like these\n", r.Omitted)
	}
}

// of says what the sector was held against.
func of(r audit.SectorReport) string {
	out := " (its CommR is unknown"
	if r.CommRFrom != "" {
		out = " (CommR from the " + r.CommRFrom
	}
	if r.Slot != nil {
		out += fmt.Sprintf(", deadline %d, partition %d", r.Slot.Deadline, r.Slot.Partition)
	}
	if r.Upgraded {
		out += ", upgraded"
	}
	return out + ")"
}

// finding shows what, where, and what it means, a path always on one line.
func (c *checkShown) finding(f post.Finding) {
	at := ""
	if f.Offset >= 0 {
		at = fmt.Sprintf(", offset %d", f.Offset)
	}
	c.ui.Printf("  %s%s\n    %s\n", f.Name, at, f.File)
	c.wrapped("    ", f.Text)
}

// wrapped prints a text in lines of the terminal's width; a word is never broken.
func (a *app) wrapped(indent, text string) {
	line := indent
	for _, word := range strings.Fields(text) {
		switch {
		case len(line) == len(indent):
			line += word
		case len([]rune(line))+1+len([]rune(word)) > width:
			a.ui.Printf("%s\n", line)
			line = indent + word
		default:
			line += " " + word
		}
	}
	a.ui.Printf("%s\n", line)
}

func (c *checkShown) note(f post.Finding) {
	if c.notes == nil {
		c.notes = map[post.Name]*checkNote{}
	}
	n := c.notes[f.Name]
	if n == nil {
		n = &checkNote{text: f.File + ": " + f.Text}
		c.notes[f.Name] = n
	}
	n.n++
}

// differenceLine is a difference in --json output.
type differenceLine struct {
	Type      string  `json:"type"` // always "difference"
	Code      string  `json:"code"`
	Miner     string  `json:"miner,omitempty"`
	Number    *uint64 `json:"number,omitempty"`
	Deadline  *uint64 `json:"deadline,omitempty"`
	Partition *uint64 `json:"partition,omitempty"`
	Path      string  `json:"path,omitempty"`
	Text      string  `json:"text"`
	Hint      string  `json:"hint,omitempty"`
}

// sameDifferences is how many differences of one code are shown without --verbose.
const sameDifferences = 20

// Difference shows a difference.
func (c *checkShown) Difference(d audit.Difference) {
	if c.json {
		line := differenceLine{Type: "difference", Code: string(d.Code), Path: d.Path, Text: d.Text, Hint: d.Hint}
		if d.ID != nil {
			n := uint64(d.ID.Number)
			line.Miner, line.Number = sector.MinerString(d.ID.Miner), &n
		}
		if d.Slot != nil {
			line.Deadline, line.Partition = &d.Slot.Deadline, &d.Slot.Partition
		}
		_ = c.ui.Object(line) // a broken stdout shows at Flush
		return
	}
	if c.differs == nil {
		c.differs = map[audit.Code]int{}
	}
	c.differs[d.Code]++
	switch n := c.differs[d.Code]; {
	case n == sameDifferences+1 && !c.verbose:
		c.ui.Printf("… more %s are counted below; --verbose shows them all\n", d.Code)
		fallthrough
	case n > sameDifferences && !c.verbose:
		return
	}
	switch {
	case d.ID != nil && d.Slot != nil:
		c.ui.Printf("%s: %s (deadline %d, partition %d)\n", d.ID, d.Code, d.Slot.Deadline, d.Slot.Partition)
	case d.ID != nil:
		c.ui.Printf("%s: %s\n", d.ID, d.Code)
	default:
		c.ui.Printf("%s\n", d.Code)
	}
	if d.Path != "" {
		c.ui.Printf("    %s\n", d.Path)
	}
	c.wrapped("    ", d.Text)
	if d.Hint != "" && c.differs[d.Code] == 1 {
		c.wrapped("    ", "hint: "+d.Hint)
	}
}

// deadlineLine is a partition in --json output.
type deadlineLine struct {
	Type        string `json:"type"` // always "deadline"
	Miner       string `json:"miner"`
	Deadline    uint64 `json:"deadline"`
	Partition   uint64 `json:"partition"`
	Sectors     int    `json:"sectors"`
	Faulty      int    `json:"faulty"`
	Recovering  int    `json:"recovering"`
	Provable    int    `json:"provable"`
	Undecided   int    `json:"undecided"`
	NotProvable int    `json:"notProvable"`
	Differences int    `json:"differences"`
	Opens       int64  `json:"opens"`
	Epoch       int64  `json:"epoch"`
	Open        bool   `json:"open"`
	OpensIn     int64  `json:"opensIn"`
}

// epochSeconds is the length of an epoch on every public network.
const epochSeconds = 30

// Deadline keeps a partition for the table.
func (c *checkShown) Deadline(d audit.DeadlineReport) {
	if !c.json {
		c.deadlines = append(c.deadlines, d)
		return
	}
	_ = c.ui.Object(deadlineLine{ // a broken stdout shows at Flush
		Type: "deadline", Miner: sector.MinerString(d.ID.Miner), Deadline: d.Slot.Deadline, Partition: d.Slot.Partition,
		Sectors: d.Sectors, Faulty: d.Faulty, Recovering: d.Recovering, Provable: d.Provable, Undecided: d.Undecided,
		NotProvable: d.NotProvable, Differences: d.Differences, Opens: d.Opens, Epoch: d.Epoch, Open: d.Open,
		OpensIn: max(0, d.Opens-d.Epoch) * epochSeconds,
	})
}

func (c *checkShown) table() {
	var miner sector.ID
	for i, d := range c.deadlines {
		if i == 0 || d.ID != miner {
			miner = d.ID
			c.ui.Printf("\nsectors of %s by deadline and partition, the next to open first\n", sector.MinerString(miner.Miner))
			c.ui.Printf("%8s %9s %7s %8s %9s %5s %6s %7s  %s\n",
				"deadline", "partition", "sectors", "provable", "undecided", "bad", "faulty", "differ", "opens")
		}
		c.ui.Printf("%8d %9d %7d %8d %9d %5d %6d %7d  %s\n", d.Slot.Deadline, d.Slot.Partition,
			d.Sectors, d.Provable, d.Undecided, d.NotProvable, d.Faulty, d.Differences, opens(d))
	}
	if len(c.deadlines) > 0 {
		c.ui.Printf("\n")
	}
}

// opens is when a deadline opens, as in 3h30m.
func opens(d audit.DeadlineReport) string {
	if d.Open {
		return "now"
	}
	in := time.Duration(d.Opens-d.Epoch) * epochSeconds * time.Second
	return strings.TrimSuffix(in.Round(time.Minute).String(), "0s")
}

// checkSummary is the last line of --json output.
type checkSummary struct {
	Type        string         `json:"type"` // always "summary"
	Plan        string         `json:"plan"`
	Verdict     string         `json:"verdict"`
	Sectors     int            `json:"sectors"`
	Provable    int            `json:"provable"`
	Undecided   int            `json:"undecided"`
	NotProvable int            `json:"notProvable"`
	Reused      int            `json:"reused"`
	Skipped     map[string]int `json:"skipped,omitempty"`
	Differences map[string]int `json:"differences,omitempty"`
	CommR       map[string]int `json:"commR"`
	Randomness  string         `json:"randomness,omitempty"`
}

// end shows the sums, and returns the error that the exit code is made of.
func (c *checkShown) end(s *audit.Summary) error {
	differs := map[string]int{}
	for code, n := range s.Differences {
		differs[string(code)] = n
	}
	if c.json {
		line := checkSummary{
			Type: "summary", Plan: s.Plan.String(), Verdict: verdictWord(s.Verdict()), Sectors: s.Sectors, Provable: s.Provable,
			Undecided: s.Undecided, NotProvable: s.NotProvable, Reused: s.Reused, Skipped: s.Skipped, Differences: differs, CommR: s.CommR,
		}
		if s.Plan.Kind == audit.Window || s.Plan.Kind == audit.Winning {
			line.Randomness = fmt.Sprintf("%x", s.Plan.Randomness)
		}
		if err := c.ui.Object(line); err != nil {
			return err
		}
		return verdictError(s.Verdict())
	}
	c.table()
	if !c.quiet {
		for _, name := range slices.Sorted(maps.Keys(c.notes)) {
			n := c.notes[name]
			c.wrapped("", fmt.Sprintf("note: %s (%d): as %s", name, n.n, n.text))
		}
	}
	c.wrapped("", fmt.Sprintf("check (%s): %d sectors: %d provable, %d undecided, %d not provable",
		s.Plan, s.Sectors, s.Provable, s.Undecided, s.NotProvable))
	for _, part := range []struct {
		what   string
		counts map[string]int
	}{{"CommR from", s.CommR}, {"differences", differs}, {"not to be proven", s.Skipped}} {
		if text := countList(part.counts); text != "" {
			c.wrapped("  ", part.what+": "+text)
		}
	}
	if s.Sectors == 0 {
		c.ui.Printf("  nothing was checked: no sector that has to be proven is known\n")
	}
	if s.Reused > 0 {
		c.ui.Printf("  unchanged since an earlier run, and not read again: %d\n", s.Reused)
	}
	if err := c.ui.Flush(); err != nil { // the result before the remarks about it
		return err
	}
	if n := s.Skipped[sector.Sealing.String()] + s.Skipped[sector.Committing.String()]; n > 0 && !s.Asked {
		c.ui.Info(fmt.Sprintf("%d sectors are still being sealed; whether they are on chain, only a chain node knows (--chain)", n))
	}
	if s.Sectors > 0 && s.Plan.Kind != audit.Full {
		c.ui.Info("challenges find missing, truncated, swapped and zeroed files and large damage, but no flipped bit; --full reads everything")
	}
	return verdictError(s.Verdict())
}

func countList(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(parts, ", ")
}
