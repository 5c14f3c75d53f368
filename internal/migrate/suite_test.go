package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v2"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

const miner = abi.ActorID(1000)

// kv are keys of a database; nil deletes one.
type kv map[string][]byte

// repoDir is a copy of the fixture repo, or an empty one of the same miner.
func repoDir(t *testing.T, empty bool, puts kv) string {
	t.Helper()
	if !empty {
		dir := testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/lotusminer"))
		putRepo(t, dir, puts)
		return dir
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "datastore", "metadata"), 0o755); err != nil {
		t.Fatal(err)
	}
	putRepo(t, dir, kv{"/miner-address": {0x00, 0xe8, 0x07}})
	putRepo(t, dir, puts)
	return dir
}

func putRepo(t *testing.T, dir string, puts kv) {
	t.Helper()
	db, err := leveldb.OpenFile(filepath.Join(dir, "datastore", "metadata"), &opt.Options{Compression: opt.NoCompression})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range puts {
		if value == nil {
			err = errors.Join(err, db.Delete([]byte(key), nil))
		} else {
			err = errors.Join(err, db.Put([]byte(key), value, nil))
		}
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// homeDir is a copy of the fixture home, or an empty one.
func homeDir(t *testing.T, empty bool, puts map[string]kv) string {
	t.Helper()
	dir := t.TempDir()
	if !empty {
		dir = testkit.CopyDir(t, testkit.Fixture(t, "switch-2k/damocles-home"))
	}
	for collection, keys := range puts {
		db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, collection)).WithMaxTableSize(1 << 20).WithLogger(nil))
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(txn *badger.Txn) error {
			for key, value := range keys {
				if err := txn.Set([]byte(key), value); err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type closer interface{ Close() error }

// closeAtEnd closes something when the test ends, or before by the func.
func closeAtEnd(t *testing.T, c closer) func() {
	closed := false
	end := func() {
		if closed {
			return
		}
		closed = true
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	return end
}

func openRepo(t *testing.T, dir string, write bool) (*Repo, func()) {
	t.Helper()
	repo, err := lotus.OpenRepo(t.Context(), dir, lotus.Options{Write: write})
	if err != nil {
		t.Fatal(err)
	}
	return NewRepo(repo, dir, "export", miner, durable.FS{}), closeAtEnd(t, repo)
}

func openHome(t *testing.T, dir string, write bool) (*Home, func()) {
	t.Helper()
	home, err := damocles.OpenHome(t.Context(), dir, damocles.Config{}, damocles.Options{Write: write, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return NewHome(home, dir, "import", miner, durable.FS{}), closeAtEnd(t, home)
}

func openDaemon(t *testing.T, server *testkit.DamoclesServer, journals string) *Daemon {
	t.Helper()
	at, err := damocles.ParseEndpoint(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return NewDaemon(damocles.Dial(at, rpcOptions()), 4, journals, at.String(), "import", miner, durable.FS{})
}

func openLotusAPI(t *testing.T, opts testkit.LotusOptions) *LotusAPI {
	t.Helper()
	at, err := lotus.ParseEndpoint(testkit.Lotus(t, opts).URL)
	if err != nil {
		t.Fatal(err)
	}
	return NewLotusAPI(lotus.Dial(at, rpcOptions()), miner, 4)
}

// sourceUnderTest is one implementation of Source.
type sourceUnderTest struct {
	name string
	// open opens it with the sectors of the fixtures, and with a record or two
	// more that cannot be read, if so.
	open func(t *testing.T, broken bool) Source
	want []string // the sectors in their order, as names() writes them
	// selection and what it selects of want, by number.
	selection string
	selected  []uint64
}

func sources(t *testing.T) []sourceUnderTest {
	t.Helper()
	var fromLotus []string
	for n := range 32 {
		fromLotus = append(fromLotus, fmt.Sprintf("s-t01000-%d", n))
	}
	slices.Sort(fromLotus) // decimal text
	var offline, online []string
	for n := 100; n <= 123; n++ {
		switch n {
		case 117, 118:
			online = append(online, fmt.Sprintf("online s-t01000-%d", n))
		case 120:
		default:
			offline = append(offline, fmt.Sprintf("s-t01000-%d", n))
		}
	}
	offline = append(offline, "s-t01001-120")
	return []sourceUnderTest{
		{
			name: "Repo", want: fromLotus, selection: "2,9-11,99", selected: []uint64{10, 11, 2, 9},
			open: func(t *testing.T, broken bool) Source {
				puts := kv{}
				if broken {
					puts = kv{"/sectors/10x": []byte("?"), "/sectors/": []byte("?")}
				}
				repo, _ := openRepo(t, repoDir(t, false, puts), false)
				return repo
			},
		},
		{
			name: "LotusAPI", want: fromLotus, selection: "2,9-11,99", selected: []uint64{10, 11, 2, 9},
			open: func(t *testing.T, broken bool) Source {
				opts := testkit.LotusOptions{FromRepoJSON: true}
				if broken {
					opts.Sectors = map[uint64]json.RawMessage{100: json.RawMessage(`{"SectorID":"?"}`), 20000: json.RawMessage(`7`)}
				}
				return openLotusAPI(t, opts)
			},
		},
		{
			name: "Home", want: slices.Concat(offline, online), selection: "100,117-120,999", selected: []uint64{100, 119, 120, 117, 118},
			open: func(t *testing.T, broken bool) Source {
				puts := map[string]kv{}
				if broken {
					puts = map[string]kv{"offline_meta": {"sector-states-offline/m-1000-n-10x": []byte("{}")}, "meta": {"sector-states/x": []byte("{}")}}
				}
				home, _ := openHome(t, homeDir(t, false, puts), false)
				return home
			},
		},
		{
			name: "Daemon", want: slices.Concat(online, offline), selection: "100,117-120,999", selected: []uint64{117, 118, 100, 119, 120},
			open: func(t *testing.T, broken bool) Source {
				if !broken {
					return openDaemon(t, testkit.Damocles(t, testkit.DamoclesOptions{}), "")
				}
				all, err := os.ReadFile(testkit.Glob(t, "damocles-states/100-*.json")[0])
				if err != nil {
					t.Fatal(err)
				}
				list := fmt.Appendf(nil, `[{"ID":"?"},%s,7]`, all)
				return openDaemon(t, testkit.Damocles(t, testkit.DamoclesOptions{Options: testkit.Options{Results: map[string]json.RawMessage{"Venus.ListSectors": list}}}), "")
			},
		},
	}
}

func nameOf(r Raw) string {
	if r.Online {
		return "online " + r.ID.String()
	}
	return r.ID.String()
}

// TestSources is what every Source has to keep.
func TestSources(t *testing.T) {
	for _, s := range sources(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Run("all, in order", func(t *testing.T) { sourceGivesAll(t, s) })
			t.Run("a selection", func(t *testing.T) { sourceSelects(t, s) })
			t.Run("bad records", func(t *testing.T) { sourceGivesBadRecords(t, s) })
			t.Run("an error of fn", func(t *testing.T) { sourceStopsAtError(t, s) })
			t.Run("cancelled", func(t *testing.T) { sourceIsCancelled(t, s) })
		})
	}
}

func sourceGivesAll(t *testing.T, s sourceUnderTest) {
	var got []string
	var values [][]byte
	var texts []string
	err := s.open(t, false).Each(t.Context(), sector.Numbers{}, func(r Raw) error {
		if r.Err != nil || len(r.Value) == 0 {
			t.Errorf("%s: %d bytes, %v", r.ID, len(r.Value), r.Err)
		}
		got = append(got, nameOf(r))
		values, texts = append(values, r.Value), append(texts, string(r.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, s.want) {
		t.Errorf("got  %v\nwant %v", got, s.want)
	}
	for i := range values { // they belong to the receiver
		if string(values[i]) != texts[i] {
			t.Errorf("the value of %s was changed after it was given", got[i])
		}
	}
}

func sourceSelects(t *testing.T, s sourceUnderTest) {
	numbers, err := sector.ParseNumbers([]string{s.selection})
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	err = s.open(t, false).Each(t.Context(), numbers, func(r Raw) error {
		got = append(got, uint64(r.ID.Number))
		return nil
	})
	if err != nil || !slices.Equal(got, s.selected) {
		t.Errorf("%v: got %v, want %v", err, got, s.selected)
	}
}

func sourceGivesBadRecords(t *testing.T, s sourceUnderTest) {
	good, bad := 0, 0
	err := s.open(t, true).Each(t.Context(), sector.Numbers{}, func(r Raw) error {
		if r.Err == nil {
			good++
			return nil
		}
		if bad++; r.Err.Error() == "" {
			t.Error("an error that says nothing")
		}
		return nil
	})
	wantGood, wantBad := len(s.want), 2
	if s.name == "Daemon" { // the list of both workspaces is the same there
		wantGood, wantBad = 2, 4
	}
	if err != nil || bad != wantBad || good != wantGood {
		t.Errorf("%v: %d good and %d bad, want %d and %d", err, good, bad, wantGood, wantBad)
	}
}

var errOfFn = errors.New("the receiver has had enough")

func sourceStopsAtError(t *testing.T, s sourceUnderTest) {
	calls := 0
	err := s.open(t, false).Each(t.Context(), sector.Numbers{}, func(Raw) error {
		if calls++; calls == 3 {
			return errOfFn
		}
		return nil
	})
	if !errors.Is(err, errOfFn) || calls != 3 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func sourceIsCancelled(t *testing.T, s sourceUnderTest) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	start := time.Now()
	err := s.open(t, false).Each(ctx, sector.Numbers{}, func(Raw) error {
		if calls++; calls == 2 {
			cancel()
		}
		return nil
	})
	cancel()
	if !errors.Is(err, context.Canceled) || calls > 2+4 { // so many as were asked for at once
		t.Errorf("%v after %d calls", err, calls)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	err = s.open(t, false).Each(ctx, sector.Numbers{}, func(Raw) error {
		t.Error("called, although cancelled before")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}

// targetUnderTest is one implementation of Target. A test opens it, writes,
// closes it, and opens it again to see what has lasted.
type targetUnderTest struct {
	name string
	open func(t *testing.T) Target
	// step writes a new sector, from the record that is there if any.
	step func(t *testing.T, target Target, number uint64) *Step
	// number is a change that concerns no sector; nil where it can do none.
	number *Change
	// again closes the target and opens it anew, as the next run would.
	again func(t *testing.T) Target
	// lasts says that what Write wrote is there without Finish.
	lasts bool
	// journals is where they are kept.
	journals string
}

func targets(t *testing.T) []targetUnderTest {
	t.Helper()
	var list []targetUnderTest

	home, journals, shut := homeDir(t, false, nil), "", func() {}
	openTheHome := func(t *testing.T) Target {
		shut()
		var h *Home
		h, shut = openHome(t, home, true)
		return h
	}
	list = append(list, targetUnderTest{
		name: "Home", open: openTheHome, again: openTheHome, lasts: true, journals: JournalDir(home), step: stateStep,
		number: &Change{Store: damocles.CollectionMeta, Key: damocles.NumberKey(miner), After: damocles.EncodeNumber(777)},
	})

	server := testkit.Damocles(t, testkit.DamoclesOptions{})
	journals = t.TempDir()
	openTheDaemon := func(t *testing.T) Target { return openDaemon(t, server, journals) }
	list = append(list, targetUnderTest{name: "Daemon", open: openTheDaemon, again: openTheDaemon, lasts: true, journals: journals, step: stateStep})

	repo, shutRepo := repoDir(t, false, nil), func() {}
	openTheRepo := func(t *testing.T) Target {
		shutRepo()
		var r *Repo
		r, shutRepo = openRepo(t, repo, true)
		return r
	}
	return append(list, targetUnderTest{
		name: "Repo", open: openTheRepo, again: openTheRepo, journals: BackupDir(repo), step: repoStep,
		number: &Change{Store: metadataStore, Key: "/storage/nextid", Before: []byte{31}, After: []byte{77}},
	})
}

// stateStep writes a state that damocles has not got, or writes over one.
func stateStep(t *testing.T, target Target, number uint64) *Step {
	t.Helper()
	id := sector.ID{Miner: miner, Number: abi.SectorNumber(number)}
	held, err := target.Holds(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	after, err := damocles.EncodeState(&damocles.SectorState{
		ID: abi.SectorID(id), SectorType: 5, Finalized: true, Imported: true, AbortReason: time.Now().String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &Step{ID: id}
	s.write(Change{Store: damocles.CollectionOffline, Key: offlineKey(id), Before: held.Offline, After: after}, nil)
	return s
}

func repoStep(t *testing.T, target Target, number uint64) *Step {
	t.Helper()
	id := sector.ID{Miner: miner, Number: abi.SectorNumber(number)}
	held, err := target.Holds(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	s := &Step{ID: id}
	s.write(Change{Store: metadataStore, Key: lotus.SectorKey(uint64(id.Number)), Before: held.Offline, After: []byte(time.Now().String())}, nil)
	return s
}

func holds(t *testing.T, target Holder, s *Step) bool {
	t.Helper()
	held, err := target.Holds(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	return string(held.Offline) == string(s.Changes[0].After)
}

// TestTargets is what every Target has to keep.
func TestTargets(t *testing.T) {
	for _, tt := range targets(t) {
		t.Run(tt.name, func(t *testing.T) {
			t.Run("nothing to do leaves nothing", func(t *testing.T) { targetDoesNothing(t, tt) })
			t.Run("holds", func(t *testing.T) { targetHolds(t, tt) })
			t.Run("write and finish", func(t *testing.T) { targetFinishes(t, tt) })
			t.Run("write and abandon", func(t *testing.T) { targetAbandons(t, tt) })
			t.Run("cancelled", func(t *testing.T) { targetIsCancelled(t, tt) })
		})
	}
}

func targetDoesNothing(t *testing.T, tt targetUnderTest) {
	target := tt.open(t)
	if target.BatchSize() < 1 {
		t.Errorf("batches of %d", target.BatchSize())
	}
	undo, err := target.Finish(t.Context(), nil)
	if err != nil || undo != (Undo{}) {
		t.Errorf("%+v, %v", undo, err)
	}
	if err := target.Abandon(); err != nil {
		t.Error(err)
	}
	if found, _ := filepath.Glob(filepath.Join(tt.journals, "*")); len(found) > 0 {
		t.Errorf("left: %v", found)
	}
}

// Holds finds what is there, knows what is not, and is called by many at once.
func targetHolds(t *testing.T, tt targetUnderTest) {
	target := tt.open(t)
	there, missing := uint64(100), uint64(4711)
	if tt.name == "Repo" {
		there = 10
	}
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			for n, want := range map[uint64]bool{there: true, missing: false} {
				held, err := target.Holds(t.Context(), sector.ID{Miner: miner, Number: abi.SectorNumber(n)})
				if err != nil || (held.Offline != nil) != want || held.Online != nil {
					t.Errorf("%d: %d and %d bytes, %v", n, len(held.Online), len(held.Offline), err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if tt.name == "Repo" {
		return // has one workspace
	}
	held, err := target.Holds(t.Context(), sector.ID{Miner: miner, Number: 117})
	if err != nil || held.Online == nil || held.Offline != nil {
		t.Errorf("117 is online: %d and %d bytes, %v", len(held.Online), len(held.Offline), err)
	}
}

func targetFinishes(t *testing.T, tt targetUnderTest) {
	target := tt.open(t)
	var steps []*Step
	for n := uint64(5000); n < 5010; n++ {
		steps = append(steps, tt.step(t, target, n))
	}
	for _, half := range [][]*Step{steps[:5], steps[5:]} {
		if err := target.Write(t.Context(), half); err != nil {
			t.Fatal(err)
		}
		for _, s := range half {
			if s.Action != Write || (tt.lasts && !holds(t, target, s)) {
				t.Errorf("%s: %s (%s), held %v", s.ID, s.Action, s.Reason, holds(t, target, s))
			}
		}
	}
	var numbers []Change
	if tt.number != nil {
		numbers = []Change{*tt.number}
		if before, err := target.(Store).Value(t.Context(), tt.number.Store, tt.number.Key); err == nil {
			numbers[0].Before = before
		}
	}
	undo, err := target.Finish(t.Context(), numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Abandon(); err != nil {
		t.Errorf("abandon after finish: %v", err)
	}
	j, err := durable.OpenJournal(undo.Journal)
	if err != nil || !j.Ended || filepath.Dir(undo.Journal) != tt.journals {
		t.Errorf("the journal %s: %v", undo.Journal, err)
	}
	if (undo.Backup != "") != (tt.name == "Repo") {
		t.Errorf("the backup is %q", undo.Backup)
	}
	target = tt.again(t)
	for _, s := range steps {
		if !holds(t, target, s) {
			t.Errorf("%s has not lasted", s.ID)
		}
	}
	if tt.number == nil {
		return
	}
	if v, err := target.(Store).Value(t.Context(), tt.number.Store, tt.number.Key); err != nil || string(v) != string(tt.number.After) {
		t.Errorf("the number is %x, %v", v, err)
	}
}

// A repo is left as it was; damocles keeps what was written, and the journal open
// for the run that goes on.
func targetAbandons(t *testing.T, tt targetUnderTest) {
	target := tt.open(t)
	first := tt.step(t, target, 6000)
	over := tt.step(t, target, 5000)
	if err := target.Write(t.Context(), []*Step{first, over}); err != nil {
		t.Fatal(err)
	}
	if !tt.lasts && holds(t, target, first) {
		t.Error("it is there before Finish")
	}
	if err := target.Abandon(); err != nil {
		t.Fatal(err)
	}
	if err := target.Abandon(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	open := openJournal(t, tt.journals)
	if open == "" {
		t.Fatal("there is no open journal")
	}
	target = tt.again(t)
	if holds(t, target, first) != tt.lasts || holds(t, target, over) != tt.lasts {
		t.Errorf("after Abandon it is there: %v and %v, want %v", holds(t, target, first), holds(t, target, over), tt.lasts)
	}
	second := tt.step(t, target, 6001)
	if err := target.Write(t.Context(), []*Step{second}); err != nil {
		t.Fatal(err)
	}
	undo, err := target.Finish(t.Context(), nil)
	if err != nil || undo.Journal != open {
		t.Errorf("the next run finished %s (%v), want %s", undo.Journal, err, open)
	}
	if left := openJournal(t, tt.journals); left != "" {
		t.Errorf("%s is still open", left)
	}
	if target = tt.again(t); !holds(t, target, second) {
		t.Error("the second run wrote nothing")
	}
}

// openJournal is the newest journal that has not ended, "" if there is none.
func openJournal(t *testing.T, dir string) string {
	t.Helper()
	path, err := durable.Latest(dir, func(_ durable.Header, ended bool) bool { return !ended })
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A cancelled write ends with the context's error, and the repo as it was.
func targetIsCancelled(t *testing.T, tt targetUnderTest) {
	target := tt.open(t)
	s := tt.step(t, target, 7000)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := target.Write(ctx, []*Step{s})
	if err == nil { // a repo turns back at the last moment
		_, err = target.Finish(ctx, nil)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := target.Abandon(); err != nil {
		t.Error(err)
	}
	if target = tt.again(t); holds(t, target, s) {
		t.Error("it was written")
	}
}

// What stands for a home that is not there holds nothing and takes nothing.
func TestNoHome(t *testing.T) {
	held, err := NoHome{}.Holds(t.Context(), sector.ID{Miner: miner, Number: 1})
	if held.Online != nil || held.Offline != nil || err != nil {
		t.Errorf("it holds %+v, %v", held, err)
	}
	if _, known, err := (NoHome{}).HighestNumber(t.Context(), miner); known || err != nil {
		t.Errorf("it knows numbers: %v, %v", known, err)
	}
	if err := (NoHome{}).Write(t.Context(), []*Step{{}}); err == nil {
		t.Error("it takes steps")
	}
	if _, err := (NoHome{}).Finish(t.Context(), nil); err == nil {
		t.Error("it finishes")
	}
	if err := (NoHome{}).Abandon(); err != nil {
		t.Error(err)
	}
	if c, ok, err := (NoHome{}).NumberChange(t.Context(), miner, 7); c == nil || c.Before != nil || !ok || err != nil {
		t.Errorf("the number: %+v, %v, %v", c, ok, err)
	}
	if n := (NoHome{}).BatchSize(); n < 1 {
		t.Errorf("batches of %d", n)
	}
}

// A repo that does not hold what was written into it is found out before the
// journal is ended.
func TestRepoThatLies(t *testing.T) {
	repo, _ := openRepo(t, repoDir(t, true, nil), true)
	s := repoStep(t, repo, 1)
	if err := repo.Write(t.Context(), []*Step{s}); err != nil {
		t.Fatal(err)
	}
	// noted, but never put into the transaction
	if err := repo.journal.record(Change{Store: metadataStore, Key: "/sectors/2", After: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	repo.changes++
	undo, err := repo.Finish(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "does not hold what was written for /sectors/2") || undo.Journal == "" {
		t.Errorf("%+v, %v", undo, err)
	}
	if err := repo.Abandon(); err != nil {
		t.Error(err)
	}
}

// A home whose key has changed since the plan was made takes nothing of it.
func TestHomeThatChanged(t *testing.T) {
	home, _ := openHome(t, homeDir(t, false, nil), true)
	s := stateStep(t, home, 100)
	s.Changes[0].Before = []byte("{}")
	if err := home.Write(t.Context(), []*Step{s}); err == nil || !strings.Contains(err.Error(), "no longer holds") {
		t.Errorf("got %v", err)
	}
	if holds(t, home, s) {
		t.Error("it was written")
	}
}

func bits(t *testing.T, numbers ...uint64) []byte {
	t.Helper()
	var out strings.Builder
	field := bitfield.NewFromSet(numbers)
	if err := field.MarshalCBOR(&out); err != nil {
		t.Fatal(err)
	}
	return []byte(out.String())
}

// A record without a name, which may be of this miner, is reported and holds
// nothing up.
func TestExportReportsNamelessRecords(t *testing.T) {
	puts := map[string]kv{"offline_meta": {"sector-states-offline/m-1000-n-10x": []byte("{}")}}
	home, _ := openHome(t, homeDir(t, false, puts), false)
	repo, _ := openRepo(t, repoDir(t, true, nil), true)
	var reasons []string
	ex := Export{Source: home, Target: repo, Options: Options{Miner: miner, Observe: func(e Event) {
		if e.Action == Failed {
			reasons = append(reasons, e.Reason)
		}
	}}}
	report, err := ex.Run(t.Context())
	if err != nil || report.Written != 18 || report.Failed != 1 || *report.Numbers.Last != 123 {
		t.Fatalf("%+v, %v", report, err)
	}
	if len(reasons) != 1 || !strings.Contains(reasons[0], "m-1000-n-10x") {
		t.Errorf("reasons: %v", reasons)
	}
}
