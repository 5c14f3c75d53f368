package killtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestInterruptImport(t *testing.T)         { interrupted(t, "import") }
func TestInterruptImportOverride(t *testing.T) { interrupted(t, "import --override") }
func TestInterruptExport(t *testing.T)         { interrupted(t, "export --override") }
func TestInterruptRollback(t *testing.T)       { interrupted(t, "import rollback") }

// interrupted sends a command SIGINT, as Ctrl-C does, at moments all over its
// time, until it was caught working.
func interrupted(t *testing.T, name string) {
	t.Parallel()
	seed := seed()
	early, late := time.Duration(0), expect(t, name).took
	for n, end := 0, time.Now().Add(3*time.Minute); time.Now().Before(end); n++ {
		r := newKillRun(t, name, seed, uint64(n))
		delay := early + time.Duration(r.rand.Int64N(int64(late-early)))
		c := start(t, nil, sectorsCmd(r.args(r.dir))...).after(delay, os.Interrupt)
		r.tell("SIGINT after %v: %d", delay.Round(time.Millisecond), c.code)
		switch c.code {
		case r.code: // it was done
			late = delay
		case signalled: // it had not begun
			early = delay
		default:
			r.wasInterrupted(c)
			return
		}
		r.done()
		// Beside others it is at times faster, and at times slower, than it was just
		// now: bounds that have met are wrong, and the search begins anew.
		if late-early < late/8+time.Millisecond {
			early, late = 0, max(r.took, c.took)*3/2
		}
	}
	t.Fatal("no SIGINT came while it worked")
}

// wasInterrupted looks at what a command that was interrupted says and leaves.
func (r *killRun) wasInterrupted(c *command) {
	r.Helper()
	c.exits(130).says("error: interrupted", "run the same command again: it finishes the rest")
	r.between()
	if r.into == "dest" {
		same(r, "the repo after an interrupted export", repoRecords(r, filepath.Join(r.dir, "dest"), true), r.before.repo)
	}
	r.settled()
	r.finish()
	r.done()
}

// settled looks at what a command has left behind that could close what it had
// open: databases that damocles and lotus-miner can use as they are, and nothing
// temporary.
func (r *killRun) settled() {
	r.Helper()
	home, dest := filepath.Join(r.dir, "home"), filepath.Join(r.dir, "dest")
	copiedHome(r, home, asDamocles)
	if _, err := os.Stat(dest); err == nil {
		copiedRepo(r, dest)
		if _, err := os.Stat(filepath.Join(dest, "repo.lock")); err == nil {
			r.Fatal("repo.lock was left behind")
		}
	}
	expectedFiles(r, home, homeFilesMeanwhile)
	expectedFiles(r, dest, repoFilesMeanwhile)
}
