package daemon_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

// Many callers who read and write at once, some of them the same sectors, lose nothing:
// each sector is in exactly one workspace afterwards, every answered import is there,
// and the census agrees with a new count.
func TestManyCallers(t *testing.T) {
	const callers, each = 20, 8
	commR := "bagboea4b5abcairceirceirceirceirceirceirceirceirceirceirceirceirc"
	o := worldOptions{chain: testkit.Chain(t, testkit.ChainOptions{Sector: func(_, n uint64) (json.RawMessage, bool) {
		return testkit.OnChain(n, commR, ""), n >= 2000
	}})}
	w := newWorld(t, o)
	state := func(n int, offline bool) json.RawMessage {
		raw := strings.NewReplacer(`"Number":117`, fmt.Sprintf(`"Number":%d`, n), `"Finalized":false`, fmt.Sprintf(`"Finalized":%t`, offline)).
			Replace(string(fixtureState(t, "117-online-online-on-chain")))
		before, after, _ := strings.Cut(raw, `"Pre":{"CommR":{"/":"`)
		_, after, _ = strings.Cut(after, `"`)
		return json.RawMessage(before + `"Pre":{"CommR":{"/":"` + commR + `"` + after)
	}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				own, shared := 3000+c*each+i, 2000+i
				w.is("true", "ImportSector", "offline", state(own, true), false)
				w.call("ImportSector", "online", state(shared, false), false)
				w.call("FinalizeSector", sid(shared))
				w.call("RestoreSector", sid(shared), true)
				if got := w.call("FindSectorInAllStates", sid(shared)); got.err != nil {
					t.Errorf("%d is nowhere: %v", shared, got.err)
				}
				if got := w.call("FindSector", "offline", sid(own)); got.err != nil {
					t.Errorf("%d was imported and is not there: %v", own, got.err)
				}
			}
			w.call("ListSectors", "offline", 0)
		})
	}
	wg.Wait()
	for i := range each {
		on, off := w.stored(damocles.Online, sid(2000+i).Number), w.stored(damocles.Offline, sid(2000+i).Number)
		if (on == nil) == (off == nil) {
			t.Errorf("%d: online %t, offline %t", 2000+i, on != nil, off != nil)
		}
	}
	if got := w.call("ListSectors", "offline", 0); count(got.result) < 22+callers*each {
		t.Errorf("only %d are offline", count(got.result))
	}
	got := w.census()
	w.close()
	w.open(o)
	if again := w.census(); again != got {
		t.Errorf("kept    %s\ncounted %s", got, again)
	}
}
