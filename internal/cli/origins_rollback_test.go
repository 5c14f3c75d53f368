package cli

import (
	"bytes"
	"maps"
	"testing"
)

// An import that writes over a sector writes over its origin, too. Its rollback
// brings both back, so that the way back to lotus-miner is byte for byte again.
func TestRollbackBringsOriginsBack(t *testing.T) {
	w := newWorld(t)
	repo, home := w.repo("lotus"), w.path("home")
	originals := sectors(w.metadata("lotus"))
	w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "0-15").exits(0)

	// a second run of the same sectors, of which 8 has changed: its ticket, and its
	// log, for which damocles has no place
	w.mutateSector("lotus", 8, func(b []byte) []byte {
		b = bytes.ReplaceAll(b, []byte("event;"), []byte("EVENT;"))
		return bytes.Replace(b, []byte("\x4c\x72\x25\x61"), []byte("\x4c\x72\x25\x62"), 1)
	})
	r := w.sectorsCmd(home, "import", "--repo", repo, "--numbers", "0-15", "--override").exits(0)
	before := w.tree()
	w.sectorsCmd(home, "import", "rollback", "--dry-run", "--backup", r.undoes()).exits(0).says("1 would be restored")
	w.same(before)
	w.sectorsCmd(home, "import", "rollback", "--backup", r.undoes()).exits(0).says("1 restored")

	w.emptyRepo("back")
	w.export(home, w.path("back"), "--keep-states").exits(0).says("16 written")
	back := sectors(w.metadata("back"))
	maps.DeleteFunc(originals, func(key, _ string) bool { _, ok := back[key]; return !ok })
	if len(back) != 16 || !maps.Equal(back, originals) {
		t.Errorf("%d sectors came back, not all as they were", len(back))
	}
}

// The same the other way round: an export that writes over the repo's sectors.
func TestExportRollbackBringsOriginsBack(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	w.emptyRepo("lotus")
	w.export(home, w.path("lotus")).exits(3)
	state := w.get(home, "offline_meta", offlineKey(100))
	w.changeState(home, 100, `"Epoch":4100`, `"Epoch":4101`)
	r := w.export(home, w.path("lotus"), "--override").exits(3)
	w.sectorsCmd(home, "export", "--miner", "1000", "rollback", "--dest-repo", w.path("lotus"), "--backup", r.undoes()).exits(0).says("1 restored")

	// the repo's record is the first one again, and so is its origin
	w.sectorsCmd(home, "import", "--repo", w.path("lotus"), "--numbers", "100", "--override").exits(0)
	if got := w.get(home, "offline_meta", offlineKey(100)); got != state {
		t.Errorf("it came back as %s\nwant %s", got, state)
	}
}
