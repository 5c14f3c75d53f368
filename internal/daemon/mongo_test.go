package daemon_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"damocles-manager/internal/daemon"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

// inMongo puts what the fixture home holds into a stand-in of MongoDB, and a
// number of further sectors, and lets the daemon work on that.
func inMongo(t *testing.T, more int) (*testkit.Mongo, func(*daemon.Options)) {
	m := testkit.NewMongo(t, true)
	return m, func(o *daemon.Options) {
		cfg := damocles.Config{Common: damocles.CommonConfig{DB: damocles.DBConfig{
			Driver: "mongo", Mongo: damocles.MongoConfig{DSN: rpc.Token("mongodb://" + m.Addr), DatabaseName: "db"},
		}}}
		home, err := damocles.OpenHome(t.Context(), t.TempDir(), cfg, damocles.Options{Write: true, DaemonStopped: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = home.Close() })
		var changes []damocles.Change
		for _, name := range []string{"meta", "offline_meta", "sector-index", "common"} {
			err := o.Home.Scan(t.Context(), name, "", func(key string, value []byte) error {
				changes = append(changes, damocles.Change{Store: name, Key: key, After: append([]byte{}, value...)})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for n := range more {
			changes = append(changes, damocles.Change{
				Store: "offline_meta", Key: fmt.Sprintf("sector-states-offline/m-1000-n-%d", 2000+n), After: []byte(numbered(2000 + n)),
			})
		}
		if err := home.Apply(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
		o.Home = home
	}
}

func numbered(n int) string {
	return strings.Replace(byTheOriginal, `"Number":5`, fmt.Sprintf(`"Number":%d`, n), 1)
}

// The methods that change a sector do it in a MongoDB as in a Badger.
func TestMongo(t *testing.T) {
	_, change := inMongo(t, 0)
	w := newWorld(t, worldOptions{chain: goneChain(t, 103), change: change})
	if got, want := w.census(), "online sealing 2, offline failed 1, offline finished 18, offline lost 1, offline removed 1, offline terminated 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.is("void", "FinalizeSector", sid(117))
	w.is("void", "RemoveSector", sid(103))
	w.is("null", "RestoreSector", sid(114), false)
	w.is("true", "ImportSector", "offline", json.RawMessage(byTheOriginal), false)
	w.is("false", "ImportSector", "offline", json.RawMessage(byTheOriginal), false)
	w.is(byTheOriginal, "FindSectorInAllStates", sid(5))
	if got, want := w.census(), "online sealing 2, offline finished 19, offline lost 1, offline removed 2, offline terminated 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A MongoDB gives no snapshot: what is written between two pages of the first
// count may be on the second one, and is counted once all the same.
func TestMongoCensusDuringWrites(t *testing.T) {
	m, change := inMongo(t, 400)
	var w *world
	started := make(chan struct{})
	pages := 0
	m.Answer(func(c testkit.MongoCommand) bson.D {
		limit, err := c.Body.LookupErr("limit")
		if c.Name != "find" || err != nil || limit.AsInt64() != 256 || c.Body.Lookup("find").StringValue() != "offline_meta" {
			return nil
		}
		if pages++; pages != 2 {
			return nil
		}
		<-started
		for _, n := range []int{1, 9999} { // passed; still to come, and new
			w.is("true", "ImportSector", "offline", json.RawMessage(numbered(n)), false)
		}
		for _, n := range []int{2000, 2399, 9999} { // passed; still to come; and new, a second time
			w.is("true", "ImportSector", "offline", json.RawMessage(strings.Replace(numbered(n), `"NeedRebuild":false`, `"NeedRebuild":true`, 1)), true)
		}
		return nil
	})
	w = newWorld(t, worldOptions{change: change})
	close(started)
	if got, want := w.census(), "offline finished 417, offline lost 4,"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if pages != 2 {
		t.Errorf("the count took %d pages, want 2", pages)
	}
}

// A count that fails is tried again, without a restart.
func TestMongoCensusAgain(t *testing.T) {
	m, change := inMongo(t, 0)
	var failures atomic.Int32
	m.Answer(func(c testkit.MongoCommand) bson.D {
		if c.Name == "find" && c.Body.Lookup("find").StringValue() == "offline_meta" && failures.Add(-1) >= 0 {
			return testkit.MongoError(8, "not now")
		}
		return nil
	})
	w := newWorld(t, worldOptions{change: func(o *daemon.Options) { change(o); failures.Store(1) }})
	if got := w.census(); !strings.Contains(got, "offline finished 18,") {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(w.log.String(), "not now") {
		t.Errorf("the log says nothing of it: %s", w.log.String())
	}
}
