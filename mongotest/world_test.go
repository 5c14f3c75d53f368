package mongotest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/syndtr/goleveldb/leveldb"

	"damocles-manager/internal/cli"
)

// fixtures are those of the module above.
const fixtures = "../testdata/fixtures/"

// world is a directory with a home whose configuration names a MongoDB, and a
// copy of the fixture lotus-miner repo.
type world struct {
	t    *testing.T
	dir  string
	addr string // where nothing listens
}

func newWorld(t *testing.T, dsn string) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := &world{t: t, dir: t.TempDir(), addr: l.Addr().String()}
	if err := os.CopyFS(w.path("lotus"), os.DirFS(fixtures+"switch-2k/lotusminer")); err != nil {
		t.Fatal(err)
	}
	w.configure(mongoConfig(dsn))
	return w
}

func mongoConfig(dsn string) string {
	return fmt.Sprintf("[Common.DB]\nDriver = \"mongo\"\n[Common.DB.Mongo]\nDSN = %q\nDatabaseName = \"lotus\"\n", dsn)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) configure(text string) {
	w.t.Helper()
	if err := os.MkdirAll(w.path("home"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.path("home"), "sector-manager.cfg"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// result is what a command did.
type result struct {
	t           *testing.T
	args        string
	code        int
	out, stderr string
}

// run runs a command line in this process, on the home.
func (w *world) run(args ...string) *result {
	w.t.Helper()
	var out, stderr bytes.Buffer
	env := cli.Env{
		Stdout: &out, Stderr: &stderr, Listen: w.addr, Patience: time.Second,
		Getenv: func(k string) string { return map[string]string{"HOME": w.dir, "DAMOCLES_PATH": w.path("home")}[k] },
	}
	code := cli.Run(w.t.Context(), env, args)
	return &result{w.t, strings.Join(args, " "), code, out.String(), stderr.String()}
}

func (w *world) sectors(args ...string) *result {
	w.t.Helper()
	return w.run(append([]string{"util", "sealer", "sectors"}, args...)...)
}

func (w *world) importing(args ...string) *result {
	w.t.Helper()
	return w.sectors(append([]string{"import", "--repo", w.path("lotus")}, args...)...)
}

func (r *result) exits(code int) *result {
	r.t.Helper()
	if r.code != code {
		r.t.Fatalf("%s\nexit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.args, r.code, code, r.out, r.stderr)
	}
	return r
}

func (r *result) says(texts ...string) *result {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.out+r.stderr, text) {
			r.t.Errorf("%s\ndoes not say %q\nstdout:\n%s\nstderr:\n%s", r.args, text, r.out, r.stderr)
		}
	}
	return r
}

func (r *result) never(texts ...string) *result {
	r.t.Helper()
	for _, text := range texts {
		if strings.Contains(r.out+r.stderr, text) {
			r.t.Errorf("%s\nsays %q\nstdout:\n%s\nstderr:\n%s", r.args, text, r.out, r.stderr)
		}
	}
	return r
}

// lines counts the JSON lines of a type.
func (r *result) lines(kind string) int {
	r.t.Helper()
	n := 0
	dec := json.NewDecoder(strings.NewReader(r.out))
	for dec.More() {
		var line struct{ Type string }
		if err := dec.Decode(&line); err != nil {
			r.t.Fatalf("%s\nprints what is not JSON lines: %v\n%s", r.args, err, r.out)
		}
		if line.Type == kind {
			n++
		}
	}
	return n
}

// everything is what the MongoDB of the home holds, without damocles.
func (s *server) everything(database string) map[string]string {
	s.t.Helper()
	db := s.raw(database)
	out := make(map[string]string)
	names, err := db.ListCollectionNames(context.Background(), map[string]any{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range names {
		cursor, err := db.Collection(name).Find(context.Background(), map[string]any{})
		if err != nil {
			s.t.Fatal(err)
		}
		for cursor.Next(context.Background()) {
			_, value, _ := cursor.Current.Lookup("val").BinaryOK()
			out[name+" "+cursor.Current.Lookup("_id").StringValue()] = string(value)
		}
		if err := cursor.Err(); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// counter is the record that no rollback takes back.
const counter = "meta sector-number//m-1000"

// sectorsOf are the records of a repo's sectors.
func sectorsOf(t *testing.T, repo string) map[string]string {
	t.Helper()
	db, err := leveldb.OpenFile(filepath.Join(repo, "datastore", "metadata"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	out := make(map[string]string)
	it := db.NewIterator(nil, nil)
	defer it.Release()
	for it.Next() {
		out[string(it.Key())] = string(it.Value())
	}
	maps.DeleteFunc(out, func(k, _ string) bool { return !strings.HasPrefix(k, "/sectors/") })
	return out
}

// emptyRepo makes a lotus-miner repo with an address and no sector.
func (w *world) emptyRepo(name string) string {
	w.t.Helper()
	dir := filepath.Join(w.path(name), "datastore", "metadata")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	db, err := leveldb.OpenFile(dir, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := db.Put([]byte("/miner-address"), []byte{0x00, 0xe8, 0x07}, nil); err != nil {
		w.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}
