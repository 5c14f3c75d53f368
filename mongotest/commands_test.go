package mongotest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"damocles-manager/internal/damocles"
)

const written = "import: 27 written (4 upgraded), 0 unchanged"

// throughBadger switches there and back on a home in Badger.
func throughBadger(t *testing.T) map[string]string {
	t.Helper()
	w := newWorld(t, "")
	w.configure("")
	w.importing().exits(3).says(written)
	back := w.emptyRepo("back")
	w.sectors("export", "--miner", "f01000", "metadata", "--dest-repo", back).exits(0)
	return sectorsOf(t, back)
}

// The switch there and back on a home in MongoDB: what comes back is byte for
// byte what a home in Badger gives.
func TestThereAndBack(t *testing.T) {
	s := newServer(t)
	w := newWorld(t, s.dsn())
	w.sectors("list", "--offline").exits(0).says("Count: 0", "does not tell whether a damocles-manager is running")
	w.importing("--dry-run").exits(3).says("27 would be written", "may be changing what is read")
	if got := s.everything("lotus"); len(got) != 0 {
		t.Fatalf("a dry run wrote %v", got)
	}
	w.importing("--daemon-stopped").exits(3).says(written).never("may be changing")
	w.importing("--daemon-stopped").exits(3).says("import: 0 written, 27 unchanged")
	if n := w.sectors("list", "--offline", "--snapup", "--json").exits(0).lines("sector"); n != 27 {
		t.Errorf("list shows %d sectors, want 27", n)
	}
	w.sectors("state", "--offline", "f01000", "20").exits(0).says("s-t01000-20")

	back := w.emptyRepo("back")
	w.sectors("export", "--miner", "f01000", "metadata", "--dest-repo", back).exits(0).says("27 written")
	if got, want := sectorsOf(t, back), throughBadger(t); len(got) != 27 || !maps.Equal(got, want) {
		t.Errorf("%d sectors came back, and not the %d of a home in Badger byte for byte", len(got), len(want))
	}

	w.sectors("import", "rollback", "--dry-run").exits(0)
	w.sectors("import", "rollback").exits(5).says("--daemon-stopped")
	w.sectors("import", "rollback", "--daemon-stopped").exits(0)
	got := s.everything("lotus")
	delete(got, counter)
	if len(got) != 0 {
		t.Errorf("after the rollback: %d records: %v", len(got), got)
	}
	w.sectors("list", "--offline").exits(0).says("Count: 0")
}

// Without the user's word nothing is written, and nothing is asked of the server.
func TestDaemonStoppedByName(t *testing.T) {
	s := newServer(t)
	w := newWorld(t, s.dsn())
	for _, args := range [][]string{
		{"import", "--repo", w.path("lotus")},
		{"import", "rollback"},
		{"finalize", "--miner", "f01000", "--really-do-it", "--without-chain", "117"},
	} {
		w.sectors(args...).exits(5).says("stop damocles-manager on every machine", "--daemon-stopped", "--listen")
	}
	w.run("util", "storage", "attach", w.dir).exits(5).says("--daemon-stopped")
	if got := s.everything("lotus"); len(got) != 0 {
		t.Errorf("written: %v", got)
	}
	if _, err := os.Stat(filepath.Join(w.path("home"), "switching", "journal")); err == nil {
		t.Error("a journal was begun")
	}
}

// put writes as damocles does: an upsert that sets all three.
func (s *server) put(database, collection, key string, value any) {
	s.t.Helper()
	as := bson.D{{Key: "_id", Value: key}, {Key: "val", Value: value}, {Key: "raw", Value: []byte(key)}}
	_, err := s.raw(database).Collection(collection).UpdateOne(context.Background(), as[:1], bson.D{{Key: "$set", Value: as}},
		options.UpdateOne().SetUpsert(true))
	if err != nil {
		s.t.Fatal(err)
	}
}

// The older form of the configuration goes before the newer one.
func TestOlderConfiguration(t *testing.T) {
	s := newServer(t)
	w := newWorld(t, s.dsn())
	w.configure(fmt.Sprintf("[Common.DB]\nDriver = \"badger\"\n[Common.DB.Mongo]\nDSN = \"mongodb://127.0.0.1:1/\"\nDatabaseName = \"no\"\n"+
		"[Common.MongoKVStore]\nEnable = true\nDSN = %q\nDatabaseName = \"old\"\n", s.dsn()))
	w.importing("--daemon-stopped").exits(3).says(written)
	if got := s.everything("old"); len(got) != 28 {
		t.Errorf("got %d records, want 27 and the counter", len(got))
	}
}

// What is written is what damocles writes, byte for byte: the key as text, and
// the value and the key as binary of the general kind. In which order they stand
// is the server's choice, so damocles's own upsert is made on it, too. What
// damocles wrote is read and changed in place.
func TestDocuments(t *testing.T) {
	s := newServer(t)
	ctx := t.Context()
	h := openHome(t, s.dsn(), "documents")
	defer h.Close() //nolint:errcheck // every write was answered
	document := func(database, collection, key string) bson.Raw {
		t.Helper()
		got, err := s.raw(database).Collection(collection).FindOne(ctx, bson.D{{Key: "_id", Value: key}}).Raw()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := func(collection, key string, value []byte) {
		t.Helper()
		s.put("theirs", collection, key, value)
		got := document("documents", collection, key)
		if theirs := document("theirs", collection, key); string(got) != string(theirs) {
			t.Errorf("%s %s: got %x, and damocles writes %x", collection, key, []byte(got), []byte(theirs))
		}
		var fields struct {
			ID  string      `bson:"_id"`
			Val bson.Binary `bson:"val"`
			Raw bson.Binary `bson:"raw"`
		}
		elements, err := got.Elements()
		if err := errors.Join(err, bson.Unmarshal(got, &fields)); err != nil {
			t.Fatal(err)
		}
		if len(elements) != 3 || fields.ID != key || fields.Val.Subtype != 0 || string(fields.Val.Data) != string(value) ||
			fields.Raw.Subtype != 0 || string(fields.Raw.Data) != key {
			t.Errorf("%s %s: got %s", collection, key, got)
		}
	}
	apply := func(collection, key string, before, after []byte) {
		t.Helper()
		err := h.Apply(ctx, []damocles.Change{{Store: collection, Key: key, Before: before, After: after}})
		if err != nil {
			t.Fatal(err)
		}
	}
	state := damocles.StateKey(damocles.Offline, 1000, 7)
	apply(damocles.CollectionOffline, state, nil, []byte(`{"ID":7}`))
	want(damocles.CollectionOffline, state, []byte(`{"ID":7}`))
	apply(damocles.CollectionOffline, state, []byte(`{"ID":7}`), []byte("\x00\xff"))
	want(damocles.CollectionOffline, state, []byte("\x00\xff"))
	apply(damocles.CollectionMeta, damocles.NumberKey(1000), nil, damocles.EncodeNumber(300))
	want(damocles.CollectionMeta, "sector-number//m-1000", []byte{0xac, 0x02})

	// An empty value that is Go's nil becomes null.
	for key, value := range map[string]any{"m-1000-n-1": []byte("store"), "empty": []byte{}, "null": nil, "number": 7} {
		s.put("documents", "sector-index", key, value)
	}
	for _, key := range []string{"empty", "null"} {
		if got, found, err := h.Value(t.Context(), "sector-index", key); len(got) != 0 || !found || err != nil {
			t.Errorf("%s: got %q, %v, %v", key, got, found, err)
		}
		apply("sector-index", key, []byte{}, []byte("x"))
		want("sector-index", key, []byte("x"))
	}
	if _, _, err := h.Value(t.Context(), "sector-index", "number"); err == nil || !strings.Contains(err.Error(), `"number"`) {
		t.Errorf("a value that is a number: got %v", err)
	}
	apply("sector-index", "m-1000-n-1", []byte("store"), nil)
	if got := s.everything("documents"); len(got) != 5 {
		t.Errorf("left: %q", slices.Sorted(maps.Keys(got)))
	}
}
