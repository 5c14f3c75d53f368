package demo

import (
	"context"
	"fmt"
	"strconv"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sample"
	"damocles-manager/internal/sector"
)

const (
	miner  = abi.ActorID(1000)
	stores = 3 // of the lotus-miner
)

var minerName = sector.MinerString(miner)

// parts are the story, in its order.
func parts() []part {
	return []part{
		{"A lotus-miner", lotusMiner},
		{"Look before you leap", dryRun},
		{"The switch to damocles", toDamocles},
		{"One command undoes it", undo},
		{"damocles goes on", goOn},
		{"Back to lotus-miner", back},
		{"The same into a new lotus-miner", anew},
		{"What was compared", compareAll},
	}
}

// wanted are the sectors of the lotus-miner.
func wanted() []sample.Wanted {
	var out []sample.Wanted
	for _, kind := range []struct {
		n    int
		like sample.Wanted
	}{
		{8, sample.Wanted{}},
		{6, sample.Wanted{Data: true, Deal: true}},
		{4, sample.Wanted{Data: true}},
		{3, sample.Wanted{Snap: true, Deal: true}},
		{3, sample.Wanted{Snap: true}},
	} {
		for range kind.n {
			w := kind.like
			w.Number = abi.SectorNumber(len(out))
			w.Split = len(out)%5 == 4
			out = append(out, w)
		}
	}
	return out
}

// split is a sector whose replica is in one store and its cache in another, and
// splitUpgraded is one of those that were upgraded.
const (
	split         = 9
	splitUpgraded = 19
)

func lotusMiner(ctx context.Context, s *story) (_ string, err error) {
	w := wanted()
	n := sample.Network{Dir: s.storage(), Miner: miner, Stores: stores, Sectors: w, FS: s.FS}
	if s.lotus, err = n.Build(ctx); err != nil {
		return "", err
	}
	if err := s.lotus.WriteRepo(ctx, s.repo()); err != nil {
		return "", err
	}
	if s.records, err = records(ctx, s.repo()); err != nil {
		return "", err
	}
	if s.files, err = hashes(s.storage()); err != nil {
		return "", err
	}
	count := map[string]int{}
	for _, w := range w {
		switch {
		case w.Snap:
			count["snap"]++
		case w.Deal:
			count["deal"]++
		case w.Data:
			count["ddo"]++
		default:
			count["cc"]++
		}
		if w.Split {
			count["split"]++
		}
	}
	text := fmt.Sprintf("Miner %s has %d sectors of 2 KiB, sealed a moment ago: %d without data, %d with a deal of the built-in "+
		"market, %d with direct data onboarding, and %d upgraded (snap deals). What lotus-miner knows of them is in its repo, "+
		"their %d files are in %d stores; of %d sectors the replica is in one store and the cache in another. Can all be proven "+
		"as they lie there? A sector is held against its CommR, which the metadata has and, on a real network, the chain. "+
		"(--full reads every byte, which takes hours on sectors of 32 GiB; without it some places of each are looked at.)",
		minerName, len(w), count["cc"], count["deal"], count["ddo"], count["snap"], len(s.files), stores, count["split"])
	return text, s.check(ctx, "--repo", s.repo())
}

// check wants all sectors to be provable, with the damocles home, or what args name.
func (s *story) check(ctx context.Context, args ...string) error {
	return s.sectorsCmd(ctx, nil, append([]string{"check", "--full"}, args...)...)
}

func dryRun(ctx context.Context, s *story) (string, error) {
	const text = "A dry run writes nothing, and shows what would be written. A sector that would not come along is listed with " +
		"the reason and the next step; here there is none."
	if err := s.sectorsCmd(ctx, []string{"import", "next"}, "import", "--repo", s.repo(), "--dry-run"); err != nil {
		return "", err
	}
	return text, s.notThere(Home(s.Dir))
}

func (s *story) importAll(ctx context.Context, show []string) error {
	return s.sectorsCmd(ctx, show, "import", "--repo", s.repo(), "--with-stores", "--write-config")
}

func toDamocles(ctx context.Context, s *story) (string, error) {
	const text = "The metadata of every sector goes into a new damocles home. The files stay where they are: damocles gets " +
		"lotus-miner's stores, and an index of which store has what. Then all sectors are checked again, by what damocles knows."
	if err := s.importAll(ctx, nil); err != nil {
		return "", err
	}
	if err := s.sectorsCmd(ctx, []string{"Count"}, "list", "--offline=true", "--snapup"); err != nil {
		return "", err
	}
	if err := s.command(ctx, []string{s.Dir}, "util", "storage", "find", minerName, strconv.Itoa(split)); err != nil {
		return "", err
	}
	if err := s.check(ctx); err != nil {
		return "", err
	}
	return text, s.unchanged(ctx, s.repo())
}

func undo(ctx context.Context, s *story) (string, error) {
	const text = "What the import wrote is taken back key by key, where nobody has changed it since. (Only the counter of sector " +
		"numbers never goes back, so that none is used twice.) Then the import again: every command can be repeated."
	if err := s.sectorsCmd(ctx, []string{"rollback"}, "import", "rollback"); err != nil {
		return "", err
	}
	if n, err := s.inHome(ctx); err != nil || n != 0 {
		return "", wrong(err, "damocles still has %d sectors", n)
	}
	if err := s.importAll(ctx, []string{"import", "index"}); err != nil {
		return "", err
	}
	if n, err := s.inHome(ctx); err != nil || n != len(s.lotus.Members) {
		return "", wrong(err, "damocles has %d sectors, and not %d", n, len(s.lotus.Members))
	}
	return text, s.unchanged(ctx, s.repo())
}

func goOn(ctx context.Context, s *story) (string, error) {
	next, err := s.nextOfHome(ctx)
	if err != nil {
		return "", err
	}
	if want := abi.SectorNumber(len(s.lotus.Members)); next != want {
		return "", wrong(nil, "damocles would go on with sector %d, and not %d", next, want)
	}
	n := sample.Network{Dir: s.storage(), FirstStore: stores + 1, Miner: miner, FS: s.FS, Sectors: []sample.Wanted{
		{Number: next}, {Number: next + 1, Data: true},
	}}
	if s.own, err = n.Build(ctx); err != nil {
		return "", err
	}
	if err := s.noteOwn(); err != nil {
		return "", err
	}
	if err := s.own.AddToHome(ctx, Home(s.Dir)); err != nil {
		return "", err
	}
	text := fmt.Sprintf("Weeks later damocles has sealed sectors %d and %d into a store of its own, store-%d. (The demo did that, as "+
		"damocles would: the commands do not seal.) Sectors %d and %d, each in two stores so far, are moved there, too.",
		next, next+1, stores+1, split, splitUpgraded)
	numbers := fmt.Sprintf("%d,%d", split, splitUpgraded)
	if err := s.sectorsCmd(ctx, []string{"files:", "undo"}, "export", "--miner", minerName, "files", "--dest-path", s.own.Stores[0], "--numbers", numbers); err != nil {
		return "", err
	}
	if err := s.command(ctx, []string{s.Dir}, "util", "storage", "find", minerName, strconv.Itoa(split)); err != nil {
		return "", err
	}
	return text, s.check(ctx)
}

// export runs both exports into a repo, and checks all sectors from lotus-miner's
// side. The lists say what is shown of the exports, see command.
func (s *story) export(ctx context.Context, repo string, metadata, stores []string) error {
	if err := s.sectorsCmd(ctx, metadata, "export", "--miner", minerName, "metadata", "--dest-repo", repo); err != nil {
		return err
	}
	if err := s.sectorsCmd(ctx, stores, "export", "--miner", minerName, "stores", "--dest-repo", repo); err != nil {
		return err
	}
	return s.check(ctx, "--repo", repo)
}

func back(ctx context.Context, s *story) (string, error) {
	const text = "lotus-miner is stopped, and its repo has what it had. It gets what is new: the sectors, the store, and a number to " +
		"go on from that is above all. Before that the repo is backed up, in lotus-miner's own format. Then the last check."
	if err := s.export(ctx, s.repo(), nil, nil); err != nil {
		return "", err
	}
	if err := s.unchanged(ctx, s.repo()); err != nil {
		return "", err
	}
	return text, s.numberOf(ctx, s.repo())
}

func anew(ctx context.Context, s *story) (string, error) {
	const text = "The repo still had most of it. So the same once more into an empty repo, as on another machine: all that it has " +
		"afterwards came out of damocles."
	if err := (&sample.Built{Miner: miner}).WriteRepo(ctx, s.newRepo()); err != nil {
		return "", err
	}
	if err := s.export(ctx, s.newRepo(), []string{"export:", "update next"}, []string{"export stores:"}); err != nil {
		return "", err
	}
	if err := s.unchanged(ctx, s.newRepo()); err != nil {
		return "", err
	}
	return text, s.numberOf(ctx, s.newRepo())
}

func compareAll(ctx context.Context, s *story) (string, error) {
	s.step.Compared = nil
	for _, repo := range []string{s.repo(), s.newRepo()} {
		if err := s.unchanged(ctx, repo); err != nil {
			return "", err
		}
	}
	return "", s.sameFiles()
}
