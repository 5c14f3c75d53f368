package killtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"
	"golang.org/x/sys/unix"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

// filesScenario is a move or a copy of files that is killed and run again.
type filesScenario struct {
	name string
	// across has the target on another file system.
	across bool
	// keep copies.
	keep bool
	// known has the target in damocles's configuration.
	known bool
	share int
}

func TestKillFilesRename(t *testing.T) {
	killedFiles(t, filesScenario{name: "rename", share: 10})
}

func TestKillFilesRenameToAStore(t *testing.T) {
	killedFiles(t, filesScenario{name: "rename to a store", known: true, share: 10})
}

func TestKillFilesMoveAcross(t *testing.T) {
	killedFiles(t, filesScenario{name: "move across", across: true, known: true, share: 35})
}

func TestKillFilesMoveAcrossUnknown(t *testing.T) {
	killedFiles(t, filesScenario{name: "move across, to no store", across: true, share: 15})
}

func TestKillFilesCopy(t *testing.T) {
	killedFiles(t, filesScenario{name: "copy", across: true, keep: true, share: 20})
}

// filesWorld is a home, its stores, and a target.
type filesWorld struct {
	testing.TB
	filesScenario
	dir    string
	target string
	// files has the SHA-256 of each file by its path below its store, and stores
	// the store that each sector is in.
	files  map[string]string
	stores map[sector.ID]string
	index  records
}

// otherDisk is a directory on another file system than the temporary files.
func otherDisk(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(testkit.DiskDir, "killtest") //nolint:usetesting // TempDir is on that of the temporary files
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var here, there unix.Stat_t
	must(t, unix.Stat(dir, &there), unix.Stat(t.TempDir(), &here))
	if here.Dev == there.Dev {
		t.Skipf("no second file system: %s is on that of the temporary files", dir)
	}
	return dir
}

// filesSizes are the sizes of the sectors: many of 2 KiB, and some that take long
// enough to be killed within.
func filesSizes(large bool) []abi.SectorSize {
	count := 40
	if long() {
		count = 300
	}
	sizes := slices.Repeat([]abi.SectorSize{2 << 10}, count)
	for i := 7; i < count; i += 100 {
		sizes[i] = 8 << 20
	}
	if large {
		sizes = append(sizes, 512<<20)
	}
	return sizes
}

func newFilesWorld(t testing.TB, s filesScenario, large bool) *filesWorld {
	t.Helper()
	w := &filesWorld{TB: t, filesScenario: s, dir: t.TempDir(), files: map[string]string{}, stores: map[sector.ID]string{}}
	w.target = filepath.Join(w.dir, "target")
	if s.across {
		w.target = filepath.Join(otherDisk(t), "target")
	}
	config := "[Common]\n"
	for _, name := range []string{"s0", "s1"} {
		config += fmt.Sprintf("[[Common.PersistStores]]\nName = %q\nPath = %q\n", name, filepath.Join(w.dir, name))
	}
	if s.known {
		config += fmt.Sprintf("[[Common.PersistStores]]\nName = \"new\"\nPath = %q\n", w.target)
		must(t, os.Mkdir(w.target, 0o755))
	}
	must(t, os.Mkdir(w.home(), 0o700), os.WriteFile(filepath.Join(w.home(), "sector-manager.cfg"), []byte(config), 0o600))
	w.fill(filesSizes(large))
	w.index = collection(t, filepath.Join(w.home(), "sector-index"), asDamocles)
	return w
}

func (w *filesWorld) home() string { return filepath.Join(w.dir, "home") }

func (w *filesWorld) source(id sector.ID) string { return filepath.Join(w.dir, w.stores[id]) }

// fill makes the sectors, their files and their entries in the index.
func (w *filesWorld) fill(sizes []abi.SectorSize) {
	w.Helper()
	raw, err := os.ReadFile(testkit.Fixture(w, "damocles-states/100-offline-cc.json"))
	must(w, err)
	state, err := damocles.DecodeState(raw)
	must(w, err)
	defer noChildren()()
	home, err := damocles.OpenHome(w.Context(), w.home(), damocles.Config{}, damocles.Options{Write: true, Create: true})
	must(w, err)
	var states, index []damocles.Change
	for i, size := range sizes {
		id := sector.ID{Miner: 1000, Number: abi.SectorNumber(i)}
		state.ID, state.SectorType = abi.SectorID(id), proofOf(size)
		value, err := damocles.EncodeState(state)
		must(w, err)
		w.stores[id] = fmt.Sprintf("s%d", i%2)
		states = append(states, damocles.Change{
			Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, id.Miner, id.Number), After: value,
		})
		sealed, cache := damocles.IndexKeys(id.Miner, id.Number, false)
		for _, key := range []string{sealed, cache} {
			index = append(index, damocles.Change{Store: damocles.CollectionIndex, Key: key, After: []byte(w.stores[id])})
		}
		w.make(id, size)
	}
	must(w, home.Apply(w.Context(), append(states, index...)), home.Close())
}

func proofOf(size abi.SectorSize) abi.RegisteredSealProof {
	switch size {
	case 8 << 20:
		return abi.RegisteredSealProof_StackedDrg8MiBV1_1
	case 512 << 20:
		return abi.RegisteredSealProof_StackedDrg512MiBV1_1
	}
	return abi.RegisteredSealProof_StackedDrg2KiBV1_1
}

// make writes a sector's files; a large one is sparse but for its ends.
func (w *filesWorld) make(id sector.ID, size abi.SectorSize) {
	w.Helper()
	rng := rand.New(rand.NewPCG(uint64(id.Number), uint64(size)))
	cache := filepath.Join("cache", id.String())
	must(w, os.MkdirAll(filepath.Join(w.source(id), cache), 0o755), os.MkdirAll(filepath.Join(w.source(id), "sealed"), 0o755))
	for rel, n := range map[string]int64{
		filepath.Join("sealed", id.String()): int64(size), filepath.Join(cache, "p_aux"): 64,
		filepath.Join(cache, "t_aux"): 300, filepath.Join(cache, "sc-02-data-tree-r-last.dat"): 32 + rng.Int64N(4000),
	} {
		f, err := os.Create(filepath.Join(w.source(id), rel))
		must(w, err)
		part := make([]byte, min(n, 64<<10))
		for i := range part {
			part[i] = byte(rng.Uint32())
		}
		_, errBegin := f.WriteAt(part, 0)
		_, errEnd := f.WriteAt(part, n-int64(len(part)))
		must(w, errBegin, errEnd, f.Truncate(n), f.Close())
		w.files[rel] = digest(w, filepath.Join(w.source(id), rel))
	}
}

func digest(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	must(t, err)
	return hex.EncodeToString(h.Sum(nil))
}

func (w *filesWorld) args() []string {
	args := []string{
		"--home", w.home(), "util", "sealer", "sectors", "export", "--miner", "f01000", "files", "--dest-path", w.target,
	}
	if w.keep {
		args = append(args, "--reserve")
	}
	return args
}

// object is a replica or a cache directory of a sector in a store.
type object struct{ there, whole bool }

// object looks at one: whole is one with just the files that it had, unchanged.
func (w *filesWorld) object(store, kind string, id sector.ID) object {
	w.Helper()
	path := filepath.Join(store, kind, id.String())
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return object{}
	}
	must(w, err)
	if !info.IsDir() {
		return object{true, digest(w, path) == w.files[filepath.Join(kind, id.String())]}
	}
	entries, err := os.ReadDir(path)
	must(w, err)
	for _, e := range entries {
		if digest(w, filepath.Join(path, e.Name())) != w.files[filepath.Join(kind, id.String(), e.Name())] {
			return object{there: true}
		}
	}
	return object{true, len(entries) == 3}
}

// between looks at what a kill has left behind: every object is whole at one
// side, and what stands at the target under its own name is whole. It returns
// how many have arrived.
func (w *filesWorld) between() (arrived int) {
	w.Helper()
	index := map[string]string{}
	for key, value := range copiedHome(w, w.home(), mended) {
		if rest, ok := strings.CutPrefix(key, "sector-index/"); ok {
			index[rest] = value
		}
	}
	for id := range w.stores {
		for _, kind := range []string{"sealed", "cache"} {
			at, to := w.object(w.source(id), kind, id), w.object(w.target, kind, id)
			switch {
			case to.there && !to.whole:
				w.Fatalf("%s of %s stands at the target and is not whole", kind, id)
			case !at.whole && !to.whole:
				w.Fatalf("%s of %s is whole at neither side: at the source %+v, at the target %+v", kind, id, at, to)
			case w.keep && !at.whole:
				w.Fatalf("%s of %s was to be kept", kind, id)
			case !w.across && at.there && to.there:
				w.Fatalf("%s of %s is at both sides of a rename", kind, id)
			}
			if to.whole {
				arrived++
			}
			key, _ := damocles.IndexKeys(id.Miner, id.Number, false)
			if index[key] == "new" && !to.whole {
				w.Fatalf("the index says that %s is at the target, but %s is not whole there", id, kind)
			}
		}
	}
	return arrived
}

// end looks at what a run that finished has made of it.
func (w *filesWorld) end() {
	w.Helper()
	for id := range w.stores {
		for _, kind := range []string{"sealed", "cache"} {
			if to := w.object(w.target, kind, id); !to.whole {
				w.Fatalf("%s of %s has not arrived: %+v", kind, id, to)
			}
			if at := w.object(w.source(id), kind, id); at.there != w.keep {
				w.Fatalf("%s of %s at the source: %+v", kind, id, at)
			}
		}
	}
	w.noLeftovers(w.target)
	for _, name := range []string{"s0", "s1"} {
		w.noLeftovers(filepath.Join(w.dir, name))
	}
	w.checkIndex(map[bool]string{true: "new", false: ""}[w.known])
	for _, path := range journals(w, w.home()) {
		if !readJournal(w, path).Ended {
			w.Fatalf("the journal %s has not ended", path)
		}
	}
}

func (w *filesWorld) checkIndex(name string) {
	w.Helper()
	got := collection(w, filepath.Join(w.home(), "sector-index"), asDamocles)
	want := records{}
	switch {
	case w.keep:
		want = w.index
	case name != "":
		for key := range w.index {
			want[key] = name
		}
	}
	same(w, "the index", got, want)
}

// noLeftovers fails where a store holds more than sectors and the manifest.
func (w *filesWorld) noLeftovers(store string) {
	w.Helper()
	must(w, filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(store, path)
		if err != nil || d.IsDir() && rel != "sealed/fetching" && rel != "cache/fetching" {
			return err
		}
		if _, ours := w.files[rel]; !ours && rel != "damocles-manager.sha256" {
			w.Errorf("left behind: %s", path)
		}
		return nil
	}))
}

// back undoes the move, and expects everything to be as it was.
func (w *filesWorld) back(said string) {
	w.Helper()
	undo := []string{"util", "sealer", "sectors"}
	run := start(w, nil, append(undo, strings.Fields(said)...)...).wait()
	run.exits(0)
	for id := range w.stores {
		for _, kind := range []string{"sealed", "cache"} {
			at, to := w.object(w.source(id), kind, id), w.object(w.target, kind, id)
			if !at.whole || to.there {
				w.Fatalf("%s of %s after the undoing: at the source %+v, at the target %+v\n%s", kind, id, at, to, run.report())
			}
		}
	}
	same(w, "the index after the undoing", collection(w, filepath.Join(w.home(), "sector-index"), asDamocles), w.index)
	w.noLeftovers(w.target)
}

func killedFiles(t *testing.T, s filesScenario) {
	t.Parallel()
	seed := seed()
	runs := max(1, kills()*s.share/100)
	w := newFilesWorld(t, s, false)
	took := start(t, nil, w.args()...).wait().exits(0).took
	w.end()
	landed, part := 0, 0
	for n := range runs {
		// Few of those with a large sector: they are for what is gone on with.
		large := long() && s.across && n%10 == 3
		w, rng := newFilesWorld(t, s, large), rand.New(rand.NewPCG(seed, uint64(n)))
		story := []string{}
		for range 1 + rng.IntN(3) {
			most := took
			if large {
				most += 2 * time.Second
			}
			delay := time.Duration(rng.Int64N(int64(most) * 6 / 5))
			c := start(t, nil, w.args()...).after(delay, os.Kill)
			if c.killed() {
				landed++
			}
			arrived := w.between()
			if arrived > 0 && arrived < 2*len(w.stores) {
				part++
			}
			story = append(story, fmt.Sprintf("%v: %d", delay.Round(time.Millisecond), arrived))
		}
		c := start(t, nil, w.args()...).wait()
		if c.code != 0 {
			t.Fatalf("DM_SEED=%d run %d (%s): exit code %d\n%s", seed, n, strings.Join(story, ", "), c.code, c.report())
		}
		w.end()
		if said := printed(c, "undo with: damocles-manager util sealer sectors "); said != "" && rng.IntN(3) == 0 {
			w.back(said)
		}
		if t.Failed() {
			t.Fatalf("DM_SEED=%d run %d: %s", seed, n, strings.Join(story, ", "))
		}
		must(t, os.RemoveAll(w.dir), os.RemoveAll(w.target))
	}
	t.Logf("undisturbed %v; %d runs, %d killed, %d of them in the middle of the files", took.Round(time.Millisecond), runs, landed, part)
	if runs >= 40 && (landed < runs/4 || s.across && part == 0) {
		t.Error("the kills did not come at all moments")
	}
}
