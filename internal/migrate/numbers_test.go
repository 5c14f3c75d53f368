package migrate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

// chainThatKnows is a chain that has allocated a number, and has no sector.
type chainThatKnows uint64

func (c chainThatKnows) Sector(context.Context, sector.ID) (sector.OnChain, error) {
	return sector.OnChain{Absent: true}, nil
}
func (c chainThatKnows) Deal(context.Context, abi.DealID) (*market.DealProposal, error) {
	return nil, nil
}
func (c chainThatKnows) LookupID(_ context.Context, a address.Address) (address.Address, error) {
	return a, nil
}
func (c chainThatKnows) HighestAllocated(context.Context, abi.ActorID) (uint64, bool, error) {
	return uint64(c), c > 0, nil
}

func uvarint(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// lotusRecord is the fixture's sector 0 in a repo.
func lotusRecord(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(testkit.Fixture(t, "lotus-sectorinfo/000-Proving.cbor"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// stateOf makes a state of a sector of a miner.
func stateOf(t *testing.T, of abi.ActorID, number uint64) json.RawMessage {
	t.Helper()
	raw, err := damocles.EncodeState(&damocles.SectorState{ID: abi.SectorID{Miner: of, Number: abi.SectorNumber(number)}, SectorType: 5})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// inHome puts a state where a home keeps it.
func inHome(t *testing.T, ws damocles.Workspace, of abi.ActorID, number uint64) map[string]kv {
	t.Helper()
	return map[string]kv{ws.Collection(): {damocles.StateKey(ws, of, abi.SectorNumber(number)): stateOf(t, of, number)}}
}

// knower is somebody who knows a number, in the way that each system keeps it.
type knower struct {
	name  string
	repo  kv
	home  map[string]kv
	chain uint64
	want  uint64 // the highest number that anybody knows
	// unseen says that a running damocles-manager does not show it.
	unseen bool
}

// knowers know, each in a way of its own, of a number above 0, the only sector
// that is carried.
func knowers(t *testing.T) []knower {
	t.Helper()
	broken := "/sectors/50" // it counts, though it cannot be decoded
	return []knower{
		{name: "nobody", want: 0},
		{name: "a sector of lotus-miner", repo: kv{broken: []byte("?")}, want: 50},
		{name: "lotus-miner's counter", repo: kv{"/storage/nextid": uvarint(60)}, want: 60},
		{name: "its allocated bits", repo: kv{"/storage/sectorsids/allocated": bits(t, 0, 1, 70), "/storage/nextid": uvarint(9)}, want: 70},
		{name: "its reserved bits", repo: kv{"/storage/sectorsids/reserved": bits(t, 80)}, want: 80},
		{name: "a reservation", repo: kv{"/storage/sectorsids/reserved/mine": bits(t, 90)}, want: 90},
		{name: "the chain", chain: 300, want: 300},
		{name: "damocles online", home: inHome(t, damocles.Online, miner, 110), want: 110},
		{name: "damocles offline", home: inHome(t, damocles.Offline, miner, 120), want: 120},
		{name: "damocles's allocator", home: map[string]kv{"meta": {damocles.NumberKey(miner): uvarint(400)}}, want: 400, unseen: true},
		{name: "another miner's sector", home: inHome(t, damocles.Offline, 1001, 900), want: 0},
	}
}

// server is a damocles-manager with the same states as the home.
func (k knower) server(t *testing.T) *testkit.DamoclesServer {
	t.Helper()
	opts := testkit.DamoclesOptions{Empty: true}
	for collection, keys := range k.home {
		for key, value := range keys {
			switch {
			case !strings.HasPrefix(key, "sector-states"):
			case collection == damocles.CollectionMeta:
				opts.Online = append(opts.Online, value)
			default:
				opts.Offline = append(opts.Offline, value)
			}
		}
	}
	return testkit.Damocles(t, opts)
}

func (k knower) node() Chain {
	if k.chain == 0 {
		return nil
	}
	return chainThatKnows(k.chain)
}

// lotusAPI tells what the repo of the knower says, as a running lotus-miner does.
func (k knower) lotusAPI(t *testing.T) *LotusAPI {
	t.Helper()
	meta := map[string][]uint64{"Reserved": {0}, "Allocated": {0}, "InUse": {0}}
	opts := testkit.LotusOptions{Empty: true, Generated: 1}
	switch k.want {
	case 50:
		opts.Sectors = map[uint64]json.RawMessage{50: json.RawMessage(`7`)}
	case 60, 70:
		meta["Allocated"] = []uint64{k.want, 1} // run lengths, the first of those not in it
	case 80, 90:
		meta["Reserved"] = []uint64{k.want, 1}
	}
	raw, err := json.Marshal(meta)
	if err != nil {
		t.Fatal(err)
	}
	opts.Results = map[string]json.RawMessage{"Filecoin.SectorNumAssignerMeta": fmt.Appendf(nil, `%s,"Next":1}`, raw[:len(raw)-1])}
	return openLotusAPI(t, opts)
}

// importSources are both ways to a lotus-miner.
func (k knower) importSources(t *testing.T) map[string]ImportSource {
	t.Helper()
	puts := kv{"/sectors/0": lotusRecord(t)}
	for key, value := range k.repo {
		puts[key] = value
	}
	repo, _ := openRepo(t, repoDir(t, true, puts), false)
	return map[string]ImportSource{"Repo": repo, "LotusAPI": k.lotusAPI(t)}
}

// Whoever knows the highest number: damocles's allocator ends up there, and is
// never lowered.
func TestImportNumbers(t *testing.T) {
	for _, k := range knowers(t) {
		for name, source := range k.importSources(t) {
			t.Run(k.name+" from "+name+" to Home", func(t *testing.T) { importsIntoHome(t, k, source) })
			t.Run(k.name+" from "+name+" to Daemon", func(t *testing.T) { importsIntoDaemon(t, k, source) })
		}
	}
}

func (k knower) run(t *testing.T, source ImportSource, target ImportTarget, dryRun bool) *Report {
	t.Helper()
	im := Import{Options: Options{Miner: miner, DryRun: dryRun, Numbers: mustParse(t, "0")}, Source: source, Target: target, Chain: k.node()}
	report, err := im.Run(t.Context())
	if err != nil || report.Written != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	return report
}

func mustParse(t *testing.T, numbers ...string) sector.Numbers {
	t.Helper()
	n, err := sector.ParseNumbers(numbers)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func importsIntoHome(t *testing.T, k knower, source ImportSource) {
	home, _ := openHome(t, homeDir(t, true, k.home), true)
	was, known, err := home.home.LastNumber(t.Context(), miner)
	if err != nil {
		t.Fatal(err)
	}
	if r := k.run(t, source, home, true); r.Numbers.Last == nil || *r.Numbers.Last != k.want {
		t.Errorf("dry run: %+v", r.Numbers)
	}
	if now, knownNow, err := home.home.LastNumber(t.Context(), miner); now != was || known != knownNow || err != nil {
		t.Errorf("the dry run set %d", now)
	}
	report := k.run(t, source, home, false)
	now, _, err := home.home.LastNumber(t.Context(), miner)
	if err != nil || now != k.want || *report.Numbers.Last != k.want {
		t.Errorf("the allocator is %d (%v), the report says %+v, want %d", now, err, report.Numbers, k.want)
	}
	if raised := !known || was < k.want; report.Numbers.Written != raised || (report.Numbers.Was != nil) != (known && raised) {
		t.Errorf("%+v, was %d (%v)", report.Numbers, was, known)
	}
	if n, noted := len(entriesOf(t, report.Journal, damocles.NumberKey(miner))), report.Numbers.Written; n > 1 || (n == 1) != noted {
		t.Errorf("the journal has %d changes of the allocator", n)
	}
	if n, known, err := home.home.LastNumber(t.Context(), 1001); known || err != nil {
		t.Errorf("another miner's allocator was set to %d", n)
	}
}

func entriesOf(t *testing.T, journal, key string) (of []durable.Entry) {
	t.Helper()
	j, err := durable.OpenJournal(journal)
	if err == nil {
		err = j.EachNewestRunFirst(t.Context(), func(e durable.Entry) error {
			if e.Key == key {
				of = append(of, e)
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return of
}

func importsIntoDaemon(t *testing.T, k knower, source ImportSource) {
	report := k.run(t, source, openDaemon(t, k.server(t), ""), false)
	want := k.want
	if k.unseen {
		want = 0
	}
	lines := fmt.Sprintf("[[Miners]]\nActor = 1000\n[Miners.Sector]\nMinNumber = %d\n", want)
	if *report.Numbers.Last != want || report.Numbers.ConfigLines != lines || report.Numbers.Written {
		t.Errorf("%+v, want %d", report.Numbers, want)
	}
}

// The same the other way: lotus-miner's counter, and its bits where it has any.
func TestExportNumbers(t *testing.T) {
	for _, k := range knowers(t) {
		for _, from := range []string{"Home", "Daemon"} {
			t.Run(k.name+" from "+from, func(t *testing.T) { exportsIntoRepo(t, k, from) })
		}
	}
}

func exportsIntoRepo(t *testing.T, k knower, from string) {
	puts := map[string]kv{"offline_meta": {}}
	for collection, keys := range k.home {
		puts[collection] = keys
	}
	var source ExportSource
	if from == "Home" {
		source, _ = openHome(t, homeDir(t, true, puts), false)
	} else {
		source = openDaemon(t, k.server(t), "")
	}
	dir := repoDir(t, true, k.repo)
	repo, _ := openRepo(t, dir, true)
	before, err := repo.Numbers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ex := Export{Options: Options{Miner: miner}, Source: source, Target: repo, Chain: k.node()}
	report, err := ex.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, err := repo.Numbers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if k.want == 0 || (k.unseen && from == "Daemon") { // there is no sector at all
		if after.NextID != nil || report.Numbers.Last != nil {
			t.Errorf("the counter was set: %+v", report.Numbers)
		}
		return
	}
	if after.NextID == nil || *after.NextID != k.want || *report.Numbers.Last != k.want {
		t.Errorf("the counter is %v, the report says %+v, want %d", after.NextID, report.Numbers, k.want)
	}
	if before.Allocated != nil {
		if n, err := after.Allocated.Count(); err != nil || n != k.want+1 {
			t.Errorf("%d bits are set, want 0 to %d", n, k.want)
		}
	}
	// to go lower is to be asked for by name, and stops at the sectors
	five := uint64(5)
	ex.Next = &five
	if _, err := ex.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err = repo.Numbers(t.Context()); err != nil || *after.NextID != k.want {
		t.Errorf("--next-number 5 lowered it to %d, %v", *after.NextID, err)
	}
}

// Every one that knows numbers knows of all its sectors, and of what it counts on from.
func TestHighestNumber(t *testing.T) {
	for _, k := range knowers(t) {
		home, _ := openHome(t, homeDir(t, true, k.home), false)
		repo, _ := openRepo(t, repoDir(t, true, k.repo), false)
		who := map[string]Numbered{"Home": home, "Daemon": openDaemon(t, k.server(t), ""), "Repo": repo, "LotusAPI": k.lotusAPI(t), "NoHome": NoHome{}}
		if k.chain > 0 {
			who["chain"] = chainNumbers{chainThatKnows(k.chain)}
		}
		highest, anybody := uint64(0), false
		for name, w := range who {
			n, known, err := w.HighestNumber(t.Context(), miner)
			if err != nil {
				t.Errorf("%s: %s: %v", k.name, name, err)
			}
			if known && n > k.want {
				t.Errorf("%s: %s says %d, want at most %d", k.name, name, n, k.want)
			}
			highest, anybody = max(highest, n), anybody || known
		}
		if highest != k.want || !anybody {
			t.Errorf("%s: the highest is %d, want %d", k.name, highest, k.want)
		}
	}
	for _, s := range sources(t) {
		source := s.open(t, false)
		var highest uint64
		err := source.Each(t.Context(), sector.Numbers{}, func(r Raw) error {
			if r.ID.Miner == miner {
				highest = max(highest, uint64(r.ID.Number))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n, known, err := source.(Numbered).HighestNumber(t.Context(), miner); !known || n < highest || err != nil {
			t.Errorf("%s: the highest is %d (%v), a sector has %d", s.name, n, err, highest)
		}
	}
}

// A number that cannot be read is never guessed.
func TestNumbersThatCannotBeRead(t *testing.T) {
	for _, key := range []string{"/storage/nextid", "/storage/sectorsids/allocated", "/storage/sectorsids/reserved", "/storage/sectorsids/reserved/x"} {
		repo, _ := openRepo(t, repoDir(t, true, kv{key: []byte("\xff\xff")}), false)
		if _, _, err := repo.HighestNumber(t.Context(), miner); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	home, _ := openHome(t, homeDir(t, true, map[string]kv{"meta": {damocles.NumberKey(miner): []byte("\xff")}}), true)
	if _, _, err := home.HighestNumber(t.Context(), miner); err == nil {
		t.Error("damocles's allocator cannot be read, but was")
	}
	if c, _, err := home.NumberChange(t.Context(), miner, 7); err == nil {
		t.Errorf("it would be set: %+v", c)
	}
}

// A record under a number that no sector can have is reported, and counts for
// nothing: above it, damocles would begin at 0 again.
func TestNumbersAboveAnySectors(t *testing.T) {
	for _, n := range []uint64{abi.MaxSectorNumber + 1, math.MaxUint64} {
		puts := inHome(t, damocles.Offline, miner, 120)
		puts["offline_meta"][fmt.Sprintf("sector-states-offline/m-1000-n-%d", n)] = []byte("{}")
		home, _ := openHome(t, homeDir(t, true, puts), true)
		if got, known, err := home.HighestNumber(t.Context(), miner); got != 120 || !known || err != nil {
			t.Errorf("got %d, %v, %v", got, known, err)
		}
		repo, _ := openRepo(t, repoDir(t, true, nil), true)
		ex := Export{Options: Options{Miner: miner}, Source: home, Target: repo}
		if r, err := ex.Run(t.Context()); err != nil || r.Failed != 1 || r.SkippedTotal() != 1 || *r.Numbers.Last != 120 {
			t.Errorf("%d: %+v, %v", n, r, err)
		}
		server := testkit.Damocles(t, testkit.DamoclesOptions{Empty: true, Offline: []json.RawMessage{fmt.Appendf(nil, `{"ID":{"Miner":1000,"Number":%d}}`, n)}})
		if got, known, err := openDaemon(t, server, "").HighestNumber(t.Context(), miner); known || err != nil {
			t.Errorf("a daemon: got %d, %v", got, err)
		}
		if _, err := highestOf(t.Context(), miner, chainNumbers{chainThatKnows(n)}); fault.KindOf(err) != fault.Refused {
			t.Errorf("a chain node: %v", err)
		}
		allocator, _ := openHome(t, homeDir(t, true, map[string]kv{"meta": {damocles.NumberKey(miner): uvarint(n)}}), true)
		if _, _, err := allocator.HighestNumber(t.Context(), miner); err == nil || fault.HintOf(err) == "" {
			t.Errorf("the allocator: %v", err)
		}
	}
}
