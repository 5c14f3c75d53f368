package mongotest

import (
	"maps"
	"strings"
	"testing"
)

// update is how a command that writes into a collection begins on the wire.
func update(collection string) string {
	return "\x02update\x00" + string(rune(len(collection)+1)) + "\x00\x00\x00" + collection + "\x00"
}

// whole runs an import that nothing disturbs, and returns what it writes.
func whole(t *testing.T) map[string]string {
	t.Helper()
	s := newServer(t)
	newWorld(t, s.dsn()).importing("--daemon-stopped").exits(3).says(written)
	got := s.everything("lotus")
	if len(got) != 28 {
		t.Fatalf("got %d records, want 27 and the counter", len(got))
	}
	return got
}

// A connection that drops in the middle of an import, before or after the server
// has what was sent: the error says what to do, the same command finishes the
// rest, and one rollback takes everything back.
func TestConnectionDrops(t *testing.T) {
	want := whole(t)
	for _, test := range []struct {
		name, collection string
		fate             fate
	}{
		{"before the states", "offline_meta", cut},
		{"after the states, the answer lost", "offline_meta", mute},
		{"before the counter", "meta", cut},
		{"after the counter, the answer lost", "meta", mute},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			p := newProxy(t, s.addr)
			w := newWorld(t, p.dsn())
			p.when(update(test.collection), func() fate { return test.fate })
			w.importing("--daemon-stopped").exits(1).says("the connection to MongoDB at", "failed", "repeat the command").never("goroutine")
			if test.fate == mute {
				eventually(t, "the server writes what it was sent", func() bool {
					for key := range s.everything("lotus") {
						if strings.HasPrefix(key, test.collection+" ") {
							return true
						}
					}
					return false
				})
			}
			finish(t, s, w, want)
		})
	}
}

// A server that is stopped in the middle of an import and started again.
func TestServerStops(t *testing.T) {
	want := whole(t)
	for _, collection := range []string{"offline_meta", "meta"} {
		t.Run(collection, func(t *testing.T) {
			s := newServer(t)
			p := newProxy(t, s.addr)
			w := newWorld(t, p.dsn())
			p.when(update(collection), func() fate { s.stop(); return cut })
			w.importing("--daemon-stopped").exits(1).says("MongoDB at", "repeat the command")
			w.importing("--daemon-stopped").exits(1).says("the connection to MongoDB at", "see that MongoDB is up")
			w.sectors("list").exits(1).says("see that MongoDB is up")
			w.sectors("import", "rollback", "--daemon-stopped").exits(1).says("see that MongoDB is up")
			s.start()
			finish(t, s, w, want)
		})
	}
}

// finish repeats the import and takes it back.
func finish(t *testing.T, s *server, w *world, want map[string]string) {
	t.Helper()
	w.importing("--daemon-stopped").exits(3).says("0 conflicts", "0 failed")
	if got := s.everything("lotus"); !maps.Equal(got, want) {
		t.Errorf("after the second run: %d records, want the %d of an import that nothing disturbs", len(got), len(want))
	}
	w.sectors("import", "rollback", "--daemon-stopped").exits(0)
	got := s.everything("lotus")
	delete(got, counter)
	if len(got) != 0 {
		t.Errorf("after the rollback: %d records", len(got))
	}
}

// No secret of the DSN is printed, whatever is wrong.
func TestSecretsAreNotPrinted(t *testing.T) {
	s := newServer(t)
	for _, test := range []struct {
		name, dsn, says string
		code            int
	}{
		{"wrong password", "mongodb://hans:geheim@" + s.addr + "/", "refuses access", 1},
		{"escaped", "mongodb://hans:ge%40heim%2Fgeheim@" + s.addr + "/", "refuses access", 1},
		{"no server", "mongodb://hans:geheim@127.0.0.1:1/", "see that MongoDB is up", 1},
		{"no host", "mongodb://hans:geheim@/", "correct it", 1},
		{"no scheme", "hans:geheim@127.0.0.1:1", "correct it", 1},
		{"unescaped", "mongodb://hans:ge@heim/geheim@127.0.0.1:1/", "correct it", 1},
		{"bad option", "mongodb://hans:geheim@127.0.0.1:1/?connectTimeoutMS=geheim", "correct it", 1},
		{"no @", "mongodb://hans:geheim/", "correct it", 1},
		{"no @ and no port", "mongodb://hans:geheim,hans:ge%40heim?x=y", "correct it", 1},
		{"no such option", "mongodb://hans:geheim@127.0.0.1:1/?password=geheim&authMechanism=geheim", "correct it", 1},
		{"no such file", "mongodb://hans:geheim@127.0.0.1:1/?tls=true&tlsCAFile=/none&tlsCertificateKeyFilePassword=geheim", "correct it", 1},
		{"an @ that is not written %40, and a second :", "mongodb://x:y@hans:geheim/", "correct it", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.dsn)
			secrets := []string{"hans", "geheim", "ge@heim", "ge%40heim"}
			w.sectors("list", "--verbose").exits(test.code).says("error: ", "hint:  ", test.says).never(secrets...)
			w.importing("--daemon-stopped", "--verbose").exits(test.code).says(test.says).never(secrets...)
			w.run("daemon", "run", "--listen", "127.0.0.1:0", "--daemon-stopped", "--verbose").says("error: ", "hint:  ").never(secrets...)
		})
	}
	// A configuration that is no TOML, or has something else where the DSN is.
	for _, dsn := range []string{
		"mongodb://hans:geheim@h/", `"mongodb://hans:geheim@h/`, `"mongodb://hans:ge\qheim@h/"`, `["mongodb://hans:geheim@h/"]`, "'mongodb://hans:geheim@h/'\nDSN='geheim'",
		`{ hans = "geheim" }`, `"mongodb://hans:geheim@h/" "geheim"`,
	} {
		w := newWorld(t, "")
		w.configure("[Common.DB]\nDriver = \"mongo\"\n[Common.DB.Mongo]\nDatabaseName = \"d\"\nDSN = " + dsn + "\n")
		for _, args := range [][]string{
			{"util", "sealer", "sectors", "list", "--verbose"}, {"daemon", "run", "--listen", "127.0.0.1:0", "--daemon-stopped", "--verbose"},
		} {
			if r := w.run(args...).says("error: ", "hint:  ").never("hans", "geheim", "qheim", "goroutine"); r.code == 0 {
				t.Errorf("%s: exit code 0", dsn)
			}
		}
	}
}
