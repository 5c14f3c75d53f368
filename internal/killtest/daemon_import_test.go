package killtest

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// throughDaemon is an import that goes through a daemon.
func throughDaemon(d *served, dir string) []string {
	return []string{"--home", d.home, "util", "--listen", d.addr, "sealer", "sectors", "import", "--override",
		"--repo", filepath.Join(dir, "source")}
}

// TestKillDaemonImport imports through a daemon, of which now the daemon is killed
// and now the client. The same command finishes the rest, and a rollback of the
// home takes everything back, also what the killed ones have written.
func TestKillDaemonImport(t *testing.T) {
	t.Parallel()
	before, want := expect(t, "import --override").before.home, expect(t, "import --override").after.home
	states := func(all records) records {
		out := records{}
		for key, value := range all {
			if !strings.HasPrefix(key, "meta/sector-number/") { // which no daemon lets write
				out[key] = value
			}
		}
		return out
	}
	random := rand.New(rand.NewPCG(seed(), 2))
	for round := range max(1, kills()/20) {
		dir := filepath.Join(t.TempDir(), "world")
		clone(t, mixedWorld(t), dir)
		home := filepath.Join(dir, "home")
		written := 0
		for kill := range 2 {
			d := serveHome(t, home)
			c := start(t, nil, throughDaemon(d, dir)...)
			victim := d.command
			if (round+kill)%2 == 1 {
				victim = c
			}
			time.Sleep(50*time.Millisecond + time.Duration(random.Int64N(int64(400*time.Millisecond))))
			must(t, ignoreDone(victim.cmd.Process.Signal(syscall.SIGKILL)))
			if c.wait(); !c.killed() && strings.Contains(c.stderr.String(), "goroutine ") {
				t.Fatal(c.report())
			}
			if victim == c {
				d.stops()
			} else {
				d.wait()
			}
			written = eachOldOrNew(t, "the home after a kill", states(copiedHome(t, home, mended)), states(before), states(want))
		}
		d := serveHome(t, home)
		c := start(t, nil, throughDaemon(d, dir)...).wait().exits(expect(t, "import --override").code)
		d.stops()
		same(t, "the home after the same import again", states(homeRecords(t, home, readOnly)), states(want))
		run(t, importRollback(dir)...).exits(0)
		same(t, "the home after a rollback", homeRecords(t, home, readOnly), before)
		t.Logf("round %d: %d records were written when the rest began, which took %v", round, written, c.took.Round(time.Millisecond))
	}
}

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
