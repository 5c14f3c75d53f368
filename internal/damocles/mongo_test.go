package damocles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func mongoConfig(dsn, database string) Config {
	return Config{Path: "sector-manager.cfg", Common: CommonConfig{DB: DBConfig{
		Driver: "Mongo", Mongo: MongoConfig{DSN: rpc.Token(dsn), DatabaseName: database},
	}}}
}

func openMongoHome(t *testing.T, m *testkit.Mongo) *Home {
	t.Helper()
	h, err := OpenHome(t.Context(), t.TempDir(), mongoConfig("mongodb://"+m.Addr+"/", "db"),
		Options{Write: true, DaemonStopped: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeHome(t, h) })
	return h
}

func addCommon(keys ...string) []Change {
	var changes []Change
	for _, key := range keys {
		changes = append(changes, Change{CollectionCommon, key, nil, []byte("of " + key)})
	}
	return changes
}

// A portion is one transaction: what is looked at and what is written bear its
// number, it sees one state of the data, and it is done when a majority has it.
func TestMongoTransaction(t *testing.T) {
	m := testkit.NewMongo(t, true)
	h := openMongoHome(t, m)
	changes := append(addCommon("a", "b"), Change{CollectionMeta, NumberKey(1000), nil, EncodeNumber(7)})
	if err := h.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	updates, commits := m.Sent("update"), m.Sent("commitTransaction")
	if len(updates) != 2 || len(commits) != 2 {
		t.Fatalf("got %d updates and %d commits, want 2: a portion each", len(updates), len(commits))
	}
	if n, _ := updates[0].Body.Lookup("updates").Array().Values(); len(n) != 2 {
		t.Errorf("the first portion has %d records, want 2", len(n))
	}
	for i := range updates {
		for _, c := range []testkit.MongoCommand{updates[i], commits[i]} {
			if c.Body.Lookup("autocommit").Boolean() || !c.Body.Lookup("txnNumber").Equal(updates[i].Body.Lookup("txnNumber")) {
				t.Errorf("%s is not part of the transaction: %s", c.Name, c.Body)
			}
		}
		concern := commits[i].Body.Lookup("writeConcern")
		if got := fmt.Sprint(concern); !strings.Contains(got, "majority") || !strings.Contains(got, `"j": true`) {
			t.Errorf("write concern: got %s", got)
		}
	}
	begins := slices.DeleteFunc(m.Sent("find"), func(c testkit.MongoCommand) bool {
		_, err := c.Body.LookupErr("startTransaction")
		return err != nil
	})
	for _, c := range begins {
		if got := fmt.Sprint(c.Body.Lookup("readConcern")); !strings.Contains(got, "snapshot") {
			t.Errorf("read concern: got %s", got)
		}
	}
	if len(begins) != 2 {
		t.Errorf("%d transactions began with a look, want 2", len(begins))
	}
}

// A record that is not as planned ends the transaction, and nothing is written.
func TestMongoTransactionAborted(t *testing.T) {
	m := testkit.NewMongo(t, true)
	h := openMongoHome(t, m)
	apply(t, h, addCommon("a")...)
	// It is looked at, and then another is faster.
	changes := []Change{{CollectionCommon, "b", nil, []byte("x")}, {CollectionCommon, "a", []byte("of a"), []byte("x")}}
	m.Answer(func(c testkit.MongoCommand) bson.D {
		if c.Name != "update" {
			return nil
		}
		return bson.D{
			{Key: "ok", Value: 1}, {Key: "n", Value: 1},
			{Key: "upserted", Value: bson.A{bson.D{{Key: "index", Value: 0}, {Key: "_id", Value: "b"}}}},
		}
	})
	err := h.Apply(t.Context(), changes)
	if err == nil || !strings.Contains(err.Error(), "no longer holds") || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if len(m.Sent("abortTransaction")) != 1 {
		t.Error("the transaction was not given up")
	}
	m.Answer(nil)
	wantValue(t, h, CollectionCommon, "b", nil)
	wantValue(t, h, CollectionCommon, "a", []byte("of a"))
}

// What the server gave up for a reason that passes is done again; where it does
// not say whether it wrote, the error does.
func TestMongoTransactionRepeated(t *testing.T) {
	m := testkit.NewMongo(t, true)
	h := openMongoHome(t, m)
	failures := 2
	m.Answer(func(c testkit.MongoCommand) bson.D {
		if c.Name == "commitTransaction" && failures > 0 {
			failures--
			return testkit.MongoError(112, "WriteConflict", "TransientTransactionError")
		}
		return nil
	})
	apply(t, h, addCommon("a")...)
	if got := len(m.Sent("commitTransaction")); got != 3 {
		t.Errorf("got %d commits, want 3", got)
	}
	wantValue(t, h, CollectionCommon, "a", []byte("of a"))

	m.Answer(func(c testkit.MongoCommand) bson.D {
		if c.Name == "commitTransaction" {
			return testkit.MongoError(64, "waiting for replication timed out")
		}
		return nil
	})
	if err := h.Apply(t.Context(), addCommon("b")); err == nil || !strings.Contains(fault.HintOf(err), "MongoDB's log") {
		t.Errorf("got %v, hint %s", err, fault.HintOf(err))
	}
	m.Answer(nil)
	wantValue(t, h, CollectionCommon, "b", nil)
	apply(t, h, addCommon("a", "b")...)
}

// A portion that was begun is written and committed, whoever cancels meanwhile;
// the next one is not begun.
func TestMongoCancelledInPortion(t *testing.T) {
	for _, replicaSet := range []bool{true, false} {
		m := testkit.NewMongo(t, replicaSet)
		h := openMongoHome(t, m)
		ctx, cancel := context.WithCancel(t.Context())
		m.Answer(func(c testkit.MongoCommand) bson.D {
			if c.Name == "update" {
				cancel()
				time.Sleep(20 * time.Millisecond) // the driver would give up now
			}
			return nil
		})
		changes := append(addCommon("a", "b"), Change{CollectionMeta, NumberKey(1000), nil, EncodeNumber(7)})
		if err := h.Apply(ctx, changes); !errors.Is(err, context.Canceled) {
			t.Errorf("replica set %v: got %v", replicaSet, err)
		}
		wantValue(t, h, CollectionCommon, "a", []byte("of a"))
		wantValue(t, h, CollectionCommon, "b", []byte("of b"))
		wantValue(t, h, CollectionMeta, NumberKey(1000), nil)
	}
}

// Whoever waits for a record of a server that does not answer can give up.
func TestMongoGetCancelled(t *testing.T) {
	m := testkit.NewMongo(t, false)
	h := openMongoHome(t, m)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan struct{})
	defer close(answer)
	m.Answer(func(c testkit.MongoCommand) bson.D {
		if c.Name == "find" {
			cancel()
			<-answer
		}
		return nil
	})
	start := time.Now()
	if _, _, err := h.Get(ctx, Online, 1000, 1); !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
		t.Errorf("after %v: got %v", time.Since(start), err)
	}
}

// What is not the primary may be old. The driver takes it where the DSN says so.
func TestMongoSecondary(t *testing.T) {
	m := testkit.NewMongo(t, true)
	m.Answer(func(c testkit.MongoCommand) bson.D {
		if c.Name != "hello" && !strings.EqualFold(c.Name, "isMaster") {
			return nil
		}
		return bson.D{
			{Key: "ok", Value: 1}, {Key: "isWritablePrimary", Value: false}, {Key: "ismaster", Value: false}, {Key: "secondary", Value: true},
			{Key: "setName", Value: "rs"}, {Key: "hosts", Value: bson.A{m.Addr}}, {Key: "me", Value: m.Addr}, {Key: "minWireVersion", Value: 0},
			{Key: "maxWireVersion", Value: 21}, {Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48000000},
			{Key: "maxWriteBatchSize", Value: 100000}, {Key: "logicalSessionTimeoutMinutes", Value: 30},
		}
	})
	for _, opt := range []Options{{}, {Write: true, DaemonStopped: true}} {
		_, err := OpenHome(t.Context(), t.TempDir(), mongoConfig("mongodb://"+m.Addr+"/?directConnection=true", "db"), opt)
		if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "is not the primary") {
			t.Errorf("write %v: got %v", opt.Write, err)
		}
	}
}

// One run of this tool at a time writes: another would take its journal for one
// that was interrupted.
func TestMongoOneWriter(t *testing.T) {
	m := testkit.NewMongo(t, true)
	dir, opt := t.TempDir(), Options{Write: true, DaemonStopped: true}
	open := func(opt Options) (*Home, error) {
		return OpenHome(t.Context(), dir, mongoConfig("mongodb://"+m.Addr, "db"), opt)
	}
	first, err := open(opt)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("the home %s is in use by process %d", dir, os.Getpid())
	if _, err := open(opt); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	looking, err := open(Options{})
	if err != nil {
		t.Fatalf("to read: %v", err)
	}
	closeHome(t, looking)
	closeHome(t, first)
	// One that cannot be opened does not keep the lock.
	for _, dsn := range []string{"mongodb://127.0.0.1:1/", "mongodb://h:x/"} {
		_, err := OpenHome(t.Context(), dir, mongoConfig(dsn, "db"), Options{Write: true, DaemonStopped: true, Patience: 50 * time.Millisecond})
		if err == nil {
			t.Errorf("%s was opened", dsn)
		}
	}
	again, err := open(opt)
	if err != nil {
		t.Fatal(err)
	}
	closeHome(t, again)
}

// Pages of large records end early, and are asked for from there.
func TestMongoLargeRecords(t *testing.T) {
	m := testkit.NewMongo(t, true)
	h := openMongoHome(t, m)
	var changes []Change
	for i := range 7 {
		changes = append(changes, Change{CollectionCommon, fmt.Sprint(i), nil, bytes.Repeat([]byte{'x'}, 3<<20)})
	}
	apply(t, h, changes...)
	before := len(m.Sent("find"))
	var got []string
	err := h.Scan(t.Context(), CollectionCommon, "", func(key string, value []byte) error {
		if len(value) != 3<<20 {
			t.Errorf("%s has %d bytes", key, len(value))
		}
		got = append(got, key)
		return nil
	})
	if want := []string{"0", "1", "2", "3", "4", "5", "6"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if asked := len(m.Sent("find")) - before; asked != 4 {
		t.Errorf("asked %d times, want 4", asked)
	}
	large := Change{CollectionCommon, "large", nil, make([]byte, 16<<20)}
	sent := len(m.Sent("update"))
	if err := h.Apply(t.Context(), []Change{large}); err == nil || !strings.Contains(err.Error(), `"large"`) || !strings.Contains(err.Error(), "MongoDB takes") {
		t.Errorf("got %v", err)
	}
	if len(m.Sent("update")) != sent {
		t.Error("it was sent")
	}
}

// A size that the server does not tell is left out; an error ends the asking.
func TestMongoSizes(t *testing.T) {
	m := testkit.NewMongo(t, true)
	h := openMongoHome(t, m)
	for name, test := range map[string]struct {
		answer bson.D
		want   uint64
		fails  bool
	}{
		"told":           {bson.D{{Key: "ok", Value: 1}, {Key: "storageSize", Value: 4096}, {Key: "totalIndexSize", Value: int64(8192)}}, 12288, false},
		"no collection":  {testkit.MongoError(26, "ns does not exist"), 0, false},
		"no command":     {testkit.MongoError(59, "no such command"), 0, false},
		"may not":        {testkit.MongoError(13, "not authorized"), 0, false},
		"something else": {testkit.MongoError(8, "what"), 0, true},
	} {
		asked := 0
		m.Answer(func(c testkit.MongoCommand) bson.D {
			if c.Name != "collStats" {
				return nil
			}
			asked++
			return test.answer
		})
		got, err := h.Sizes(t.Context())
		if got[CollectionMeta] != test.want || (err != nil) != test.fails || (len(got) == 0) != (test.want == 0) || test.fails && asked != 1 {
			t.Errorf("%s: got %v, %v, asked %d times", name, got, err, asked)
		}
	}
}

// What a server says it wrote, and does not have, is not taken for written.
func TestMongoWriteLost(t *testing.T) {
	m := testkit.NewMongo(t, false)
	h := openMongoHome(t, m)
	m.Answer(func(c testkit.MongoCommand) bson.D {
		if c.Name != "update" {
			return nil
		}
		upserted := bson.A{bson.D{{Key: "index", Value: 0}, {Key: "_id", Value: "a"}}}
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}, {Key: "upserted", Value: upserted}}
	})
	if err := h.Apply(t.Context(), addCommon("a")); err == nil || !strings.Contains(err.Error(), "read back") {
		t.Errorf("got %v", err)
	}
}

// Without a replica set there are no transactions: a record that changed at the
// last moment stays, and the others are written.
func TestMongoStandsAlone(t *testing.T) {
	m := testkit.NewMongo(t, false)
	h := openMongoHome(t, m)
	other := openMongoHome(t, m)
	apply(t, h, addCommon("a")...)
	once := true
	m.Answer(func(c testkit.MongoCommand) bson.D {
		if c.Name == "update" && once {
			once = false
			if err := other.Apply(t.Context(), []Change{{CollectionCommon, "a", []byte("of a"), []byte("theirs")}}); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	err := h.Apply(t.Context(), []Change{{CollectionCommon, "a", []byte("of a"), []byte("ours")}, {CollectionCommon, "b", nil, []byte("b")}})
	if err == nil || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("got %v", err)
	}
	wantValue(t, h, CollectionCommon, "a", []byte("theirs"))
	wantValue(t, h, CollectionCommon, "b", []byte("b"))
	for _, c := range m.Sent("update", "find", "delete") {
		for _, field := range []string{"autocommit", "txnNumber"} { // such a server takes neither
			if _, err := c.Body.LookupErr(field); err == nil {
				t.Errorf("%s: %s", field, c.Body)
			}
		}
	}
}

// Everything is asked in the order and the equality of bytes, of the primary.
func TestMongoCollation(t *testing.T) {
	m := testkit.NewMongo(t, true)
	h := openMongoHome(t, m)
	apply(t, h, addCommon("a")...)
	apply(t, h, Change{CollectionCommon, "a", []byte("of a"), nil})
	numbers(t, h, Online, nil)
	for _, c := range m.Sent("find") {
		if got := c.Body.Lookup("collation", "locale"); got.Type != bson.TypeString || got.StringValue() != "simple" {
			t.Errorf("%s: %s", c.Name, c.Body)
		}
	}
	for _, c := range append(m.Sent("update"), m.Sent("delete")...) {
		if got := fmt.Sprint(c.Body); !strings.Contains(got, `"collation": {"locale": "simple"`) {
			t.Errorf("%s: %s", c.Name, got)
		}
	}
	if got := fmt.Sprint(m.Sent("isMaster", "hello")[0].Body); !strings.Contains(got, mongoApp) {
		t.Errorf("the server is not told who asks: %s", got)
	}
}

func TestMongoRefuses(t *testing.T) {
	home := t.TempDir()
	notice := ""
	opt := Options{Write: true, Patience: 100 * time.Millisecond, Notice: func(s string) { notice += s }}
	nowhere := "mongodb://hans:geheim@127.0.0.1:1/"
	stopped := opt
	stopped.DaemonStopped = true
	reading := opt
	reading.Write = false
	for _, test := range []struct {
		name, dir, dsn, db string
		opt                Options
		kind               fault.Kind
		says, hint         string
	}{
		{"not said to be stopped", home, nowhere, "db", opt, fault.Refused, "does not tell whether a damocles-manager is running", "--daemon-stopped"},
		{"no DSN", home, "", "db", stopped, fault.Failed, "[Common.DB.Mongo] has no DSN", "set it"},
		{"no database", home, nowhere, "", stopped, fault.Failed, "has no DatabaseName", "set it"},
		{"a database's name", home, nowhere, "a.b", stopped, fault.Failed, `takes no '.'`, "correct"},
		{"a database's name with a space", home, nowhere, "a b", reading, fault.Failed, `takes no ' '`, "correct"},
		{"a database's name that is too long", home, nowhere, strings.Repeat("a", 64), reading, fault.Failed, "longer than 63", "correct"},
		{"no home", filepath.Join(home, "none"), nowhere, "db", stopped, fault.Failed, "does not exist", "--home"},
		{"no server", home, nowhere, "db", stopped, fault.Failed, "MongoDB at 127.0.0.1:1", "is up"},
		{"no server to read", home, nowhere, "db", reading, fault.Failed, "MongoDB at 127.0.0.1:1", "is up"},
		{"more than one @", home, "mongodb://hans:ge@heim@h/", "db", reading, fault.Failed, "more than one @", "correct"},
	} {
		_, err := OpenHome(t.Context(), test.dir, mongoConfig(test.dsn, test.db), test.opt)
		if fault.KindOf(err) != test.kind || err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(fault.HintOf(err), test.hint) {
			t.Errorf("%s: got %v, hint %s", test.name, err, fault.HintOf(err))
			continue
		}
		for _, secret := range []string{"hans", "geheim", "heim"} {
			if strings.Contains(err.Error()+fault.HintOf(err), secret) {
				t.Errorf("%s: prints a secret: %v", test.name, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenHome(ctx, home, mongoConfig(nowhere, "db"), stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	m := testkit.NewMongo(t, true)
	h, err := OpenHome(t.Context(), home, mongoConfig("mongodb://"+m.Addr, "db"), reading)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeHome(t, h) })
	if !strings.Contains(notice, "may be changing what is read") || !strings.Contains(notice, "is empty") {
		t.Errorf("notices: got %s", notice)
	}
	if err := h.Apply(t.Context(), addCommon("a")); err == nil || len(m.Sent("update")) != 0 {
		t.Errorf("wrote to a home that was opened to read: %v", err)
	}
}

// A server that has another order than that of bytes, or gives what it was not
// asked for, is not believed.
func TestMongoLies(t *testing.T) {
	m := testkit.NewMongo(t, false)
	h := openMongoHome(t, m)
	doc := func(key string, val any) bson.D { return bson.D{{Key: "_id", Value: key}, {Key: "val", Value: val}} }
	for name, docs := range map[string]bson.A{
		"another order":      {doc("b", []byte("x")), doc("a", []byte("x"))},
		"twice":              {doc("a", []byte("x")), doc("a", []byte("x"))},
		"a value of a type":  {doc("a", 7)},
		"a key of a type":    {bson.D{{Key: "_id", Value: 7}, {Key: "val", Value: []byte("x")}}},
		"no key":             {bson.D{{Key: "val", Value: []byte("x")}}},
		"of another prefix":  {doc("z", []byte("x"))},
		"of another spelled": {doc("A", []byte("x"))},
	} {
		m.Answer(func(c testkit.MongoCommand) bson.D {
			if c.Name != "find" {
				return nil
			}
			return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{
				{Key: "id", Value: int64(0)}, {Key: "ns", Value: "db.common"}, {Key: "firstBatch", Value: docs},
			}}}
		})
		prefix := "a"
		if name == "another order" {
			prefix = ""
		}
		if err := h.Scan(t.Context(), CollectionCommon, prefix, func(string, []byte) error { return nil }); err == nil {
			t.Errorf("%s: a walk believed it", name)
		}
		if _, found, err := h.Value(t.Context(), CollectionCommon, "a"); err == nil && found {
			t.Errorf("%s: a look believed it", name)
		}
		if err := h.Apply(t.Context(), addCommon("a")); err == nil {
			t.Errorf("%s: a write believed it", name)
		}
	}
}

func TestMongoErrors(t *testing.T) {
	m := &mongoEngine{hosts: "h:1", config: mongoConfig("mongodb://hans:geheim@h:1/", "db").mongo()}
	for _, test := range []struct {
		err        error
		says, hint string
	}{
		{mongo.CommandError{Code: 13, Message: "not authorized on db"}, "refuses access", "user and the password"},
		{mongo.CommandError{Code: 18, Message: "Authentication failed for hans"}, "refuses access", "user and the password"},
		{errors.New(`connection() error occurred during connection handshake: auth error: sasl conversation error`), "refuses access", "user and the password"},
		{mongo.CommandError{Labels: []string{"NetworkError"}, Message: "connection(h:1) incomplete read of message header: EOF"}, "failed", "is up"},
		{context.DeadlineExceeded, "failed", "is up"},
		{mongo.CommandError{Code: 50, Message: "no", Labels: []string{"UnknownTransactionCommitResult"}}, "did not say", "writes what is not there"},
		{mongo.CommandError{Code: 189, Message: "Primary stepped down"}, "changed its primary", "has a primary"},
		{mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 91, Message: "shutdown"}}, "changed its primary", "has a primary"},
		{mongo.CommandError{Code: 10334, Message: "BSONObj size is invalid"}, "BSONObj", "log"},
		{errors.New("geheim hans\nsecond line"), "*** ***", "log"},
	} {
		err := m.fail(t.Context(), test.err)
		if !strings.Contains(err.Error(), test.says) || !strings.Contains(fault.HintOf(err), test.hint) {
			t.Errorf("%v: got %v, hint %s", test.err, err, fault.HintOf(err))
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), "geheim") || strings.Contains(err.Error(), "second") {
			t.Errorf("prints what it should not: %v", err)
		}
	}
	if err := m.fail(t.Context(), fault.New("hint", "known")); err.Error() != "known" {
		t.Errorf("got %v", err)
	}
}

func TestScrub(t *testing.T) {
	for _, test := range []struct{ dsn, text, want string }{
		{"mongodb://user:secret@h/db", "auth as user with secret at h", "auth as *** with *** at h"},
		{"mongodb://user:s%40cret@h/db", "s@cret and s%40cret", "*** and ***"},
		{"mongodb://a:b@h/db", "a database at b: ab a", "*** database at ***: ab ***"},
		{"mongodb://user@h/", "user", "***"},
		{"user:secret@h", "parse user:secret@h: user:secret", "parse ***: ***"},
		{"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:tok%2Fen&x=y", "AWS_SESSION_TOKEN:tok/en y", "*** y"},
		{"mongodb://h/?tlsCertificateKeyFilePassword=pass", "pass", "***"},
		{"mongodb://h:1/", "dial h:1", "dial h:1"},
		{"mongodb://user:secret", `invalid host "": parsing "secret"`, `invalid host "": parsing "***"`},
		{"mongodb://h:1,user:secret/", "user secret h 1", "*** *** h 1"},
		{"mongodb://a:b@user:secret?x=y", "user secret", "*** ***"},
		{"mongodb://[::1]:1/", "dial [::1]:1", "dial [::1]:1"},
	} {
		if got := scrub(rpc.Token(test.dsn), test.text); got != test.want {
			t.Errorf("%s: got %q, want %q", test.dsn, got, test.want)
		}
	}
}

func TestAfterPrefix(t *testing.T) {
	for _, test := range []struct {
		prefix, want string
		ok           bool
	}{
		{"", "", false},
		{"m-1", "m-2", true},
		{"sector-states/", "sector-states0", true},
		{"a\x7f", "a\u0080", true},
		{"é", "ê", true},
		{"a\ud7ff", "a\ue000", true},
		{"a\U0010ffff", "b", true},
		{"\U0010ffff", "", false},
	} {
		if got, ok := afterPrefix(test.prefix); got != test.want || ok != test.ok {
			t.Errorf("%q: got %q, %v, want %q, %v", test.prefix, got, ok, test.want, test.ok)
		}
	}
}

func TestHasTransactions(t *testing.T) {
	for _, test := range []struct {
		set, msg string
		want     bool
	}{{"", "", false}, {"rs0", "", true}, {"", "isdbgrid", true}, {"", "something", false}} {
		if got := hasTransactions(test.set, test.msg); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}
