package daemon

import (
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

// A move writes first and deletes afterwards, in both directions: a stop between the
// two leaves the sector in both workspaces.
func TestMovedOrder(t *testing.T) {
	w, home, _ := testWriter(t, durable.FS{})
	d := &Daemon{Options: Options{Home: home}, writer: w}
	for _, from := range []damocles.Workspace{damocles.Online, damocles.Offline} {
		changes, err := d.moved(t.Context(), sector.ID{Miner: 1000, Number: 1}, from, []byte("before"), []byte("after"))
		if err != nil || len(changes) != 2 {
			t.Fatalf("%+v, %v", changes, err)
		}
		first, second := changes[0], changes[1]
		if first.Store == from.Collection() || string(first.After) != "after" || first.Before != nil {
			t.Errorf("from %s: first %+v", from, first)
		}
		if second.Store != from.Collection() || second.After != nil || string(second.Before) != "before" {
			t.Errorf("from %s: then %+v", from, second)
		}
	}
}
