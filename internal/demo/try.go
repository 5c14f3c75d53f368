package demo

import (
	"path/filepath"
	"strconv"
	"strings"

	"damocles-manager/internal/sector"
)

// TryLine is a command to be tried in what a story has left, with its exit code.
type TryLine struct {
	Words []string // the first is the program
	Exit  int
}

// Try are commands that can be tried, one after the other, in the directory of a
// story that went well.
func Try(dir string) []TryLine {
	s := &story{Options: Options{Dir: dir}}
	line := func(exit int, words string, more ...string) TryLine {
		return TryLine{append(append([]string{"damocles-manager", "util"}, strings.Fields(words)...), more...), exit}
	}
	damaged := filepath.Join(s.storage(), "store-1", sector.Sealed.String(), sector.ID{Miner: miner, Number: 0}.String())
	return []TryLine{
		line(0, "sealer sectors list --offline=true --snapup"),
		line(0, "sealer sectors state "+minerName+" "+strconv.Itoa(split)),
		line(0, "storage list"),
		line(0, "sealer sectors import --dry-run --repo", s.repo()),
		line(0, "sealer sectors export --miner "+minerName+" rollback --dry-run --dest-repo", s.newRepo()),
		{[]string{"truncate", "--size=1000", damaged}, 0},
		line(4, "sealer sectors check"),
		{[]string{"rm", "-r", dir}, 0},
	}
}
