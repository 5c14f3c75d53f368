package killtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"damocles-manager/internal/testkit"
)

const shortKills = 1

// kills is how many runs there are in all.
func kills() int {
	n, err := strconv.Atoi(os.Getenv("DM_KILLS"))
	if err != nil || n < 1 {
		return shortKills
	}
	return n
}

// long says whether there is time for everything.
func long() bool { return kills() > shortKills }

// scenario is a command that is killed and run again.
type scenario struct {
	from func(testing.TB) string   // the world to start in
	args func(dir string) []string // the command
	undo func(dir string) []string // what takes it back; nil for a rollback
	// into is what it writes into, home or dest.
	into string
	// share is its part of all runs, in hundredths.
	share int
}

var scenarios = map[string]scenario{
	"import":            {from: freshWorld, args: importFresh, undo: importRollback, into: "home", share: 20},
	"import --override": {from: mixedWorld, args: importOver, undo: importRollback, into: "home", share: 20},
	"export":            {from: leavingWorld, args: export, undo: exportRollback, into: "dest", share: 15},
	"export --override": {from: returningWorld, args: exportOver, undo: exportRollback, into: "dest", share: 15},
	"import rollback":   {from: importedWorld, args: importRollback, into: "home", share: 15},
	"export rollback":   {from: exportedWorld, args: exportRollback, into: "dest", share: 15},
}

func TestKillImport(t *testing.T)         { killed(t, "import") }
func TestKillImportOverride(t *testing.T) { killed(t, "import --override") }
func TestKillExport(t *testing.T)         { killed(t, "export") }
func TestKillExportOverride(t *testing.T) { killed(t, "export --override") }
func TestKillImportRollback(t *testing.T) { killed(t, "import rollback") }
func TestKillExportRollback(t *testing.T) { killed(t, "export rollback") }

// look is what there is in a world.
type look struct{ home, repo records }

// takeLook reads the databases of a world as their own programs do.
func takeLook(t testing.TB, dir string) look {
	t.Helper()
	var l look
	home, dest := filepath.Join(dir, "home"), filepath.Join(dir, "dest")
	l.home = homeRecords(t, home, readOnly)
	same(t, "a home opened to read, and as damocles opens it", l.home, homeRecords(t, home, asDamocles))
	l.repo = records{}
	if _, err := os.Stat(dest); err == nil {
		l.repo = repoRecords(t, dest, true)
		same(t, "a repo opened to read, and as lotus-miner opens it", l.repo, repoRecords(t, dest, false))
	}
	decodes(t, l.home, l.repo)
	return l
}

// expected is what an undisturbed run does.
type expected struct {
	before, after look
	code          int
	took          time.Duration
}

// undisturbed are the scenarios that were measured already.
var undisturbed struct {
	mu  sync.Mutex
	got map[string]expected
}

// expect runs the scenario's command to its end, and takes the time. If there is
// time, twice, because it must always come to the same.
func expect(t *testing.T, name string) expected {
	t.Helper()
	undisturbed.mu.Lock()
	defer undisturbed.mu.Unlock()
	if e, ok := undisturbed.got[name]; ok {
		return e
	}
	s := scenarios[name]
	e := s.measure(t)
	if long() {
		again := s.measure(t)
		same(t, "the home after a second undisturbed run", again.after.home, e.after.home)
		same(t, "the repo after a second undisturbed run", again.after.repo, e.after.repo)
		e.took = min(e.took, again.took)
	}
	if undisturbed.got == nil {
		undisturbed.got = map[string]expected{}
	}
	undisturbed.got[name] = e
	return e
}

func (s scenario) measure(t *testing.T) expected {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "world")
	clone(t, s.from(t), dir)
	before := takeLook(t, dir)
	c := run(t, s.args(dir)...)
	if c.code != 0 && c.code != 3 {
		t.Fatalf("undisturbed: exit code %d\n%s", c.code, c.report())
	}
	after := takeLook(t, dir)
	s.clean(t, dir)
	must(t, os.RemoveAll(dir))
	changed := 0
	for _, look := range [][2]records{{before.home, after.home}, {before.repo, after.repo}} {
		changed += eachOldOrNew(t, "", look[1], look[0], look[1])
	}
	if changed < sectorCount()/3 {
		t.Fatalf("undisturbed, it changes only %d records", changed)
	}
	return expected{before, after, c.code, c.took}
}

// tally counts what the kills met with.
type tally struct {
	runs, kills, landed, torn, nothing, part, all, undone int
	// last is how long a whole run took lately: others work on this machine, too.
	last time.Duration
}

func killed(t *testing.T, name string) {
	t.Parallel()
	s := scenarios[name]
	sum := &tally{}
	seed := seed()
	runs := max(1, kills()*s.share/100)
	for n := range runs {
		r := newKillRun(t, name, seed, uint64(n))
		r.sum = sum
		r.run()
		r.done()
	}
	t.Logf("%d sectors, undisturbed %v; runs %d, signals %d, killed %d, torn %d; then nothing was written %d times, a part %d, all %d; undone in place of finished %d",
		sectorCount(), expect(t, name).took.Round(time.Millisecond), sum.runs, sum.kills, sum.landed, sum.torn, sum.nothing, sum.part, sum.all, sum.undone)
	if sum.runs >= 40 && (sum.landed < sum.kills/4 || sum.nothing == 0 || sum.all == 0 || (s.into == "home" && sum.part*sum.torn == 0)) {
		t.Errorf("the kills did not come at all moments")
	}
}

func seed() uint64 {
	if given, err := strconv.ParseUint(os.Getenv("DM_SEED"), 10, 64); err == nil {
		return given
	}
	return uint64(time.Now().UnixNano())
}

// killRun is one command that is killed, and then finished or undone.
type killRun struct {
	*testing.T
	scenario
	expected
	dir   string
	rand  *rand.Rand
	sum   *tally
	story []string
	over  bool
}

func newKillRun(t *testing.T, name string, seed, n uint64) *killRun {
	t.Helper()
	r := &killRun{
		T: t, scenario: scenarios[name], expected: expect(t, name), sum: &tally{},
		dir: filepath.Join(t.TempDir(), "world"), rand: rand.New(rand.NewPCG(seed, n)),
	}
	clone(r, r.from(r), r.dir)
	t.Cleanup(func() {
		if !r.over {
			t.Logf("run %d of DM_SEED=%d, an undisturbed one takes %v: %s", n, seed, r.took, strings.Join(r.story, ", "))
			r.keep()
		}
	})
	return r
}

func (r *killRun) done() {
	r.over = true
	must(r, os.RemoveAll(r.dir))
}

func (r *killRun) tell(format string, args ...any) {
	r.story = append(r.story, fmt.Sprintf(format, args...))
}

// keep saves the world of a run that failed, if DM_KEEP names a place.
func (r *killRun) keep() {
	if to := os.Getenv("DM_KEEP"); to != "" {
		to = filepath.Join(to, r.Name())
		r.Logf("kept in %s: %v", to, os.CopyFS(to, os.DirFS(r.dir)))
	}
}

func (r *killRun) run() {
	r.Helper()
	source := r.sourceDigest()
	r.sum.runs++
	times := 1
	if r.rand.IntN(2) == 0 {
		times += 1 + r.rand.IntN(3)
	}
	finished := false
	for range times {
		finished = r.kill() || finished
	}
	if r.undo != nil && !finished && r.rand.IntN(4) == 0 && open(r, filepath.Join(r.dir, r.into)) {
		r.rollback(r.undo(r.dir))
		r.sum.undone++
		r.tell("undone")
	}
	r.finish()
	if r.sourceDigest() != source {
		r.Fatal("the lotus-miner that was only read from has changed")
	}
}

// finish runs the same command again, which does the rest, and takes it all back.
func (r *killRun) finish() {
	r.Helper()
	r.tell("run again")
	c := run(r, r.args(r.dir)...).exits(r.code)
	r.sum.last = (r.sum.last + c.took) / 2
	if strings.Contains(c.stderr.String(), "error:") {
		r.Fatalf("the run after an interruption complains:\n%s", c.report())
	}
	r.arrived()
	if r.undo == nil {
		return
	}
	if backup := printed(c, "backup: "); backup != "" {
		run(r, append(r.undo(r.dir), "--dry-run", "--backup", backup)...).exits(0)
	}
	// As the command itself says, or as one remembers it.
	undo := r.undo(r.dir)
	if said := printed(c, "undo with: damocles-manager util sealer sectors "); said != "" && r.rand.IntN(2) == 0 {
		undo = strings.Fields(said)
	}
	r.tell("%s", strings.Join(undo, " "))
	r.rollback(undo)
	r.clean(r, r.dir)
}

// printed is the rest of a line that the command printed, "" if it did not.
func printed(c *command, begin string) string {
	for line := range strings.Lines(c.out.String()) {
		if rest, ok := strings.CutPrefix(line, begin); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// sourceDigest sums up the files of what is only read from.
func (r *killRun) sourceDigest() string {
	source := filepath.Join(r.dir, "source")
	if _, err := os.Stat(source); err != nil {
		return ""
	}
	return testkit.Digest(r, metadataDir(source), "*")
}

// kill runs the command and kills it at any moment; it says whether the command
// was faster.
func (r *killRun) kill() (finished bool) {
	r.Helper()
	delay := time.Duration(r.rand.Int64N(int64(max(r.took, r.sum.last)) * 6 / 5))
	c := start(r, nil, sectorsCmd(r.args(r.dir))...).after(delay, os.Kill)
	r.sum.kills++
	if c.killed() {
		r.sum.landed++
		r.tell("killed after %v", delay.Round(time.Millisecond))
		if r.into == "home" && r.rand.IntN(4) == 0 {
			r.tear()
		}
		if r.rand.IntN(4) == 0 {
			r.tearOrigins()
		}
	} else {
		r.tell("finished before %v", delay.Round(time.Millisecond))
		c.exits(r.code)
	}
	r.between()
	return !c.killed()
}

// tear adds to the value log what a kill in the middle of a write leaves, which
// is a moment too short to be met by chance: the beginning of an entry.
func (r *killRun) tear() {
	r.Helper()
	logs, err := filepath.Glob(filepath.Join(r.dir, "home", "offline_meta", "*.vlog"))
	must(r, err)
	if len(logs) == 0 {
		return
	}
	first, err := os.ReadFile(logs[0])
	must(r, err)
	const header = 20
	if len(first) < header+2000 {
		return
	}
	r.add(logs[len(logs)-1], first[header:header+1+r.rand.IntN(1000)])
}

// tearOrigins is the same for the store of origins: half a record of its journal.
func (r *killRun) tearOrigins() {
	r.Helper()
	logs, err := filepath.Glob(filepath.Join(r.dir, "home", "switching", "origins", "*.log"))
	must(r, err)
	if len(logs) == 0 {
		return
	}
	const length, full = 1000, 1
	chunk := append([]byte{1, 2, 3, 4, length & 0xff, length >> 8, full}, make([]byte, length)...)
	r.add(logs[len(logs)-1], chunk[:1+r.rand.IntN(len(chunk)-1)])
}

func (r *killRun) add(path string, torn []byte) {
	r.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(r, err)
	_, err = f.Write(torn)
	must(r, err, f.Close())
	r.sum.torn++
	r.tell("torn: %s", filepath.Base(path))
}

// between looks at what a kill has left behind.
func (r *killRun) between() {
	r.Helper()
	home, dest := filepath.Join(r.dir, "home"), filepath.Join(r.dir, "dest")
	got := look{home: copiedHome(r, home, mended), repo: records{}}
	if _, err := os.Stat(dest); err == nil {
		got.repo = copiedRepo(r, dest)
		lockFree(r, dest)
	}
	decodes(r, got.home, got.repo)
	numbersHold(r, got.home, r.before.home)
	numbersHold(r, got.repo, r.before.repo)
	numbersCover(r, got.home, r.before.home)
	changed := eachOldOrNew(r, "the home after a kill", got.home, r.before.home, r.after.home)
	noted(r, home, got.home, r.before.home)
	all := changed == eachOldOrNew(r, "", r.after.home, r.before.home, r.after.home)
	if r.into == "dest" {
		same(r, "the home that is only read from", got.home, r.before.home)
		changed = eachOldOrNew(r, "the repo after a kill", got.repo, r.before.repo, r.after.repo)
		if all = changed > 0; all {
			same(r, "the repo after a kill, as it is not untouched", got.repo, r.after.repo)
		}
	}
	switch {
	case changed == 0:
		r.sum.nothing++
	case all:
		r.sum.all++
	default:
		r.sum.part++
	}
}

// arrived looks at what the last run has made of it: what an undisturbed run
// makes.
func (r *killRun) arrived() {
	r.Helper()
	got := takeLook(r, r.dir)
	same(r, "the home in the end", got.home, r.after.home)
	same(r, "the repo in the end", got.repo, r.after.repo)
	r.clean(r, r.dir)
}

// rollback takes back what all runs have written.
func (r *killRun) rollback(undo []string) {
	r.Helper()
	run(r, undo...).exits(0)
	got := takeLook(r, r.dir)
	numbersHold(r, got.home, r.before.home)
	numbersHold(r, got.repo, r.before.repo)
	eachOldOrNew(r, "numbers", numbersOnly(union(got.home, got.repo)),
		numbersOnly(union(r.before.home, r.before.repo)), numbersOnly(union(r.after.home, r.after.repo)))
	same(r, "the home after the rollback", got.home, undone(r.before.home, got.home))
	same(r, "the repo after the rollback", got.repo, undone(r.before.repo, got.repo))
}

func numbersOnly(all records) records { return undone(records{}, all) }

// clean fails where a command that finished has left something behind.
func (s scenario) clean(t testing.TB, dir string) {
	t.Helper()
	noLeftovers(t, filepath.Join(dir, "home"), homeFiles)
	noLeftovers(t, filepath.Join(dir, "dest"), repoFiles)
}
