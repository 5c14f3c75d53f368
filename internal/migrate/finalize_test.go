package migrate

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

func numberID(n uint64) sector.ID { return sector.ID{Miner: miner, Number: abi.SectorNumber(n)} }

func ids(ids ...sector.ID) []sector.ID { return ids }

// finalizing is a target that notes the order of what is done to it.
type finalizing struct {
	*Home
	writes   [][]string
	finishes []Change
	fail     error
}

func (f *finalizing) Write(ctx context.Context, steps []*Step) error {
	var keys []string
	for _, s := range steps {
		for _, c := range s.Changes {
			keys = append(keys, c.Store)
		}
	}
	f.writes = append(f.writes, keys)
	if f.fail != nil {
		return f.fail
	}
	return f.Home.Write(ctx, steps)
}

func (f *finalizing) Finish(ctx context.Context, changes []Change) (Undo, error) {
	f.finishes = changes
	return f.Home.Finish(ctx, changes)
}

// Offline comes first, then the online record goes, and last of all the room
// that was reserved for it.
func TestFinalizeOrder(t *testing.T) {
	summary := []byte(`{"Stats":{"s":{"ReservedSize":5,"Reserved":{"s-t01000-117":{"By":"s-t01000-117","Size":5,"At":1}}}}}`)
	home, _ := openHome(t, homeDir(t, false, map[string]kv{"common": {damocles.ReserveKey: summary}}), true)
	target := &finalizing{Home: home}
	var seen []Action
	f := Finalize{Target: target, Observe: func(e Event) { seen = append(seen, e.Action) }}
	report, err := f.Run(t.Context(), ids(numberID(999), numberID(117), numberID(118), numberID(100)))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Action{Missing, Write, Failed, Unchanged}; !slices.Equal(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
	if report.Written != 1 || report.Missing != 1 || report.Failed != 1 || report.Unchanged != 1 || report.Journal == "" {
		t.Errorf("%+v", report)
	}
	if len(target.writes) != 1 || !slices.Equal(target.writes[0], []string{"offline_meta", "meta"}) {
		t.Errorf("written: %v", target.writes)
	}
	if len(target.finishes) != 1 || target.finishes[0].Key != damocles.ReserveKey || string(target.finishes[0].Before) != string(summary) {
		t.Errorf("at the end: %+v", target.finishes)
	}
	if v, err := home.Value(t.Context(), "common", damocles.ReserveKey); err != nil || string(v) != `{"Stats":{"s":{"ReservedSize":0,"Reserved":{}}}}` {
		t.Errorf("reserved is %s, %v", v, err)
	}
}

// A run that fails keeps the journal open; the next one finishes the rest in it.
func TestFinalizeInterrupted(t *testing.T) {
	dir := homeDir(t, false, nil)
	home, _ := openHome(t, dir, true)
	f := Finalize{Target: &finalizing{Home: home, fail: errOfFn}, Observe: func(Event) {}}
	if _, err := f.Run(t.Context(), ids(numberID(117))); !errors.Is(err, errOfFn) {
		t.Fatalf("got %v", err)
	}
	if held, err := home.Holds(t.Context(), numberID(117)); err != nil || held.Online == nil || held.Offline != nil {
		t.Errorf("117: %d and %d bytes, %v", len(held.Online), len(held.Offline), err)
	}
	// as a stop between the two commits leaves it
	whole := &Finalize{Target: home, Observe: func(Event) {}}
	s, err := whole.step(t.Context(), numberID(117))
	if err != nil {
		t.Fatal(err)
	}
	if err := home.apply(t.Context(), s.Changes[:1]); err != nil {
		t.Fatal(err)
	}
	if err := home.Abandon(); err != nil {
		t.Fatal(err)
	}
	open := openJournal(t, JournalDir(dir))
	if open == "" {
		t.Fatal("no open journal")
	}
	report, err := whole.Run(t.Context(), ids(numberID(117)))
	if err != nil || report.Written != 1 || report.Journal != open {
		t.Fatalf("%+v, %v; want the journal %s", report, err, open)
	}
	held, err := home.Holds(t.Context(), numberID(117))
	if err != nil || held.Online != nil || held.Offline == nil {
		t.Errorf("117: %d and %d bytes, %v", len(held.Online), len(held.Offline), err)
	}
	// and one command undoes both runs
	rb := Rollback{Store: home, Journal: report.Journal, Keep: KeepHomeKeys}
	if _, err := rb.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, err := home.Holds(t.Context(), numberID(117)); err != nil || held.Online == nil || held.Offline != nil {
		t.Errorf("undone: %d and %d bytes, %v", len(held.Online), len(held.Offline), err)
	}
}

// The daemon does the same to its sectors as the direct way does to a home's.
func TestFinalizeBothWaysAgree(t *testing.T) {
	home, _ := openHome(t, homeDir(t, false, nil), true)
	daemon := openDaemon(t, testkit.Damocles(t, testkit.DamoclesOptions{}), "")
	actions := map[string]map[sector.ID]Action{}
	values := map[string]string{}
	for name, target := range map[string]FinalizeTarget{"home": home, "daemon": Finalizing{daemon}} {
		actions[name] = map[sector.ID]Action{}
		f := Finalize{Target: target, Observe: func(e Event) { actions[name][numberID(e.Number)] = e.Action }}
		if _, err := f.Run(t.Context(), ids(numberID(100), numberID(117), numberID(118), numberID(999))); err != nil {
			t.Fatal(err)
		}
		held, err := target.Holds(t.Context(), numberID(117))
		if err != nil {
			t.Fatal(err)
		}
		values[name] = string(held.Offline) + string(held.Online)
	}
	if !maps.Equal(actions["home"], actions["daemon"]) || values["home"] != values["daemon"] || values["home"] == "" {
		t.Errorf("the home: %v\nthe daemon: %v", actions["home"], actions["daemon"])
	}
}
