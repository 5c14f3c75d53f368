package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"damocles-manager/internal/daemon"
	"damocles-manager/internal/damocles"
	"damocles-manager/internal/migrate"
)

// What a daemon was told to replace comes back with its journal, where that is named;
// without a name an older journal of an import is never mistaken for it.
func TestRollbackOfDaemon(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	state := func(h *damocles.Home) []byte {
		raw, found, err := h.Get(t.Context(), damocles.Offline, 1000, 100)
		if err != nil || !found {
			t.Fatalf("sector 100: %t, %v", found, err)
		}
		return raw
	}
	open := func() *damocles.Home {
		h, err := damocles.OpenHome(t.Context(), home, damocles.Config{}, damocles.Options{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := open()
	before := state(h)
	d, err := daemon.New(daemon.Options{Home: h, Dir: home})
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(before, []byte(`"Imported":false`), []byte(`"Imported":true`), 1)
	if bytes.Equal(changed, before) {
		t.Fatal("nothing is changed")
	}
	result, err := d.Methods()["Venus.ImportSector"].Call(t.Context(), []json.RawMessage{json.RawMessage(`"offline"`), changed, json.RawMessage("true")})
	if err != nil || result != true {
		t.Fatalf("got %v, %v", result, err)
	}
	if !bytes.Equal(state(h), changed) {
		t.Fatal("it was not replaced")
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(migrate.JournalDir(home))
	if err != nil || len(files) != 1 {
		t.Fatalf("the journals are %v, %v", files, err)
	}
	w.sectorsCmd(home, "import", "rollback").exits(1).says("there is nothing to undo")
	w.sectorsCmd(home, "import", "rollback", "--backup", migrate.JournalDir(home)+"/"+files[0].Name()).exits(0).says("1 restored")
	h = open()
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !bytes.Equal(state(h), before) {
		t.Error("it did not come back")
	}
}
