package damocles

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

const (
	// mongoApp is how this tool shows in the server's log and list of
	// connections. damocles's own name there is damocles-cluster.
	mongoApp = "damocles-migration"
	// mongoPatience is how long a server is looked for.
	mongoPatience = 10 * time.Second
	// mongoOperation bounds everything that is asked of a server at once.
	mongoOperation = time.Minute
	// mongoPage is how many records are asked for at once, and mongoKeys how many
	// keys.
	mongoPage, mongoKeys = 256, 4096
	// mongoPageBytes ends a page early, so that large records do not fill the
	// memory.
	mongoPageBytes = 4 << 20
	// mongoRecord is what a record may take: before and after go to the server in
	// one document, of which the rest is left for its other parts.
	mongoRecord = 16<<20 - 16<<10
)

// mongoEngine keeps each collection in a collection of the same name in a
// MongoDB database, as documents of damocles's form: the key as _id, the value
// as val, and the key's bytes as raw.
//
// Nothing in it keeps damocles out, and there is no snapshot: what others write
// during each may be seen or not.
type mongoEngine struct {
	client *mongo.Client
	db     *mongo.Database
	config mongoSettings
	hosts  string
	// transactions says that the server has them: a portion is then written whole
	// or not at all, and else record by record.
	transactions bool
	// collation says that the server knows collations. The order of bytes is
	// then asked for by name, so that a collection's default does not matter.
	collation bool
	lock      *os.File // of the home, if it is open to write

	mu   sync.Mutex      // of made
	made map[string]bool // collections that are there, with transactions
}

var _ engine = (*mongoEngine)(nil)

// mongoSettings are the section of the configuration that counts.
type mongoSettings struct {
	MongoConfig
	section, path string
}

func (c Config) mongo() mongoSettings {
	if c.Common.MongoKVStore.Enable {
		return mongoSettings{c.Common.MongoKVStore, "[Common.MongoKVStore]", c.Path}
	}
	return mongoSettings{c.Common.DB.Mongo, "[Common.DB.Mongo]", c.Path}
}

func openMongo(ctx context.Context, dir string, cfg Config, opt Options) (*mongoEngine, error) {
	m := &mongoEngine{config: cfg.mongo(), made: make(map[string]bool)}
	if err := m.prepare(dir, opt); err != nil {
		return nil, err
	}
	if err := m.connect(opt); err != nil {
		return nil, errors.Join(err, m.unlock())
	}
	if err := m.greet(ctx, opt); err != nil {
		return nil, errors.Join(m.fail(ctx, err), m.close())
	}
	return m, nil
}

// prepare refuses what needs no server to be refused.
func (m *mongoEngine) prepare(dir string, opt Options) error {
	lacks := ""
	switch {
	case m.config.DSN == "":
		lacks = "DSN"
	case m.config.DatabaseName == "":
		lacks = "DatabaseName"
	}
	if lacks != "" {
		return fault.New("set it there, as damocles-manager needs it, too", "%s: %s has no %s", m.config.path, m.config.section, lacks)
	}
	if why := badName(m.config.DatabaseName); why != "" {
		return fault.New("correct it; damocles-manager would not start with it either",
			"%s: DatabaseName %q in %s: %s", m.config.path, m.config.DatabaseName, m.config.section, why)
	}
	if opt.Write && !opt.DaemonStopped {
		return fault.Refuse("stop damocles-manager on every machine that uses this MongoDB, then repeat the command with --daemon-stopped; or go through the running damocles-manager with --listen, where the command can do that",
			"the home %s keeps its data in MongoDB, which does not tell whether a damocles-manager is running", dir)
	}
	// The driver would take the end of such a password for the server's name, and
	// everybody would print that.
	if _, rest, _ := strings.Cut(m.config.DSN.Reveal(), "://"); strings.Count(rest, "@") > 1 {
		return m.wrongDSN("it holds more than one @; in a user or a password it is written %40")
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) { // whose configuration is elsewhere
		return fault.New("name an existing damocles-manager home with --home", "the home %s does not exist", dir)
	}
	if !opt.Write {
		return nil
	}
	if err := durable.CheckOwner(dir); err != nil { // journals go there
		return err
	}
	return m.lockHome(dir, opt)
}

// lockHome keeps other runs of this tool on this machine out, which would take
// the journal of this one for one that was interrupted. damocles does not look.
func (m *mongoEngine) lockHome(dir string, opt Options) error {
	var err error
	m.lock, err = lockDir(dir, unix.LOCK_EX)
	if errors.Is(err, errHeld) {
		by := "another process"
		if pid := holder(dir); pid != 0 {
			by = "process " + strconv.Itoa(pid)
		}
		return fault.Refuse("wait until it has ended; or stop it, or go through it with --listen, if it is a daemon",
			"the home %s is in use by %w", dir, &holderError{by})
	}
	if err != nil { // some file systems have no locks
		opt.Log.Warn("the home cannot be locked", "error", err)
	}
	return nil
}

func (m *mongoEngine) unlock() error {
	if m.lock == nil {
		return nil
	}
	return m.lock.Close()
}

// badName says what is wrong with the name of a database: a server refuses it
// late, and in its own words.
func badName(name string) string {
	if len(name) > 63 {
		return "it is longer than 63 bytes"
	}
	if i := strings.IndexAny(name, "/\\. \"$\x00"); i >= 0 {
		return fmt.Sprintf("MongoDB takes no %q in it", name[i])
	}
	return ""
}

func (m *mongoEngine) connect(opt Options) error {
	patience := opt.Patience
	if patience == 0 {
		patience = mongoPatience
	}
	journaled := true
	client := options.Client().
		ApplyURI(m.config.DSN.Reveal()).
		SetAppName(mongoApp).
		SetServerSelectionTimeout(patience).
		SetConnectTimeout(patience).
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Local()).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journaled}).
		SetRetryReads(true).
		SetRetryWrites(true)
	m.hosts = strings.Join(client.Hosts, ",")
	var err error
	if m.client, err = mongo.Connect(client); err != nil {
		return m.wrongDSN(err.Error())
	}
	m.db = m.client.Database(m.config.DatabaseName)
	return nil
}

func (m *mongoEngine) wrongDSN(why string) error {
	return fault.New("correct it; damocles-manager would not start with it either",
		"%s: the DSN in %s: %s", m.config.path, m.config.section, scrub(m.config.DSN, why))
}

// greet finds out what kind of server it is.
func (m *mongoEngine) greet(ctx context.Context, opt Options) error {
	ctx, cancel := context.WithTimeout(ctx, mongoOperation)
	defer cancel()
	var is struct {
		SetName string `bson:"setName"`
		Msg     string `bson:"msg"`
		Primary *bool  `bson:"isWritablePrimary"`
	}
	if err := m.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&is); err != nil {
		return err
	}
	if is.Primary != nil && !*is.Primary { // the driver takes any, where the DSN says directConnection
		return fault.Refuse("name all servers of the replica set in the DSN, or its primary, and leave directConnection out",
			"the MongoDB at %s is not the primary: what it has may be old, and it takes no writes", m.hosts)
	}
	m.transactions = hasTransactions(is.SetName, is.Msg)
	if m.transactions {
		// So that nothing is taken for written that a new primary does not have.
		m.db = m.client.Database(m.config.DatabaseName, options.Database().SetReadConcern(readconcern.Majority()))
	}
	const notImplemented = 238
	m.collation = true
	_, _, err := m.page(ctx, CollectionMeta, bson.D{}, 1, false)
	if refused, ok := errors.AsType[mongo.CommandError](err); ok && refused.Code == notImplemented {
		m.collation = false
		_, _, err = m.page(ctx, CollectionMeta, bson.D{}, 1, false)
	}
	if err != nil {
		return err
	}
	if names, err := m.db.ListCollectionNames(ctx, bson.D{}); err == nil && len(names) == 0 { // not everybody may ask
		opt.Notice(fmt.Sprintf("the MongoDB database %s at %s is empty: see that DatabaseName is right", m.config.DatabaseName, m.hosts))
	}
	if !opt.Write {
		opt.Notice("MongoDB does not tell whether a damocles-manager is running: one that is may be changing what is read here")
	}
	return nil
}

// hasTransactions goes by what a server says of itself: only a replica set and
// what stands before a sharded cluster have transactions.
func hasTransactions(setName, msg string) bool { return setName != "" || msg == "isdbgrid" }

func (m *mongoEngine) at(collection string) string {
	return fmt.Sprintf("the collection %s of the MongoDB database %s at %s", collection, m.config.DatabaseName, m.hosts)
}

func (m *mongoEngine) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), mongoPatience)
	defer cancel()
	return errors.Join(m.fail(ctx, m.client.Disconnect(ctx)), m.unlock())
}

func (m *mongoEngine) find(ctx context.Context, collection string, keys []string, fn func(string, []byte)) error {
	ctx, cancel := context.WithTimeout(ctx, mongoOperation)
	defer cancel()
	for len(keys) > 0 {
		n := min(len(keys), mongoKeys)
		if err := m.findSome(ctx, collection, keys[:n], fn); err != nil {
			return m.fail(ctx, err)
		}
		keys = keys[n:]
	}
	return nil
}

func (m *mongoEngine) findSome(ctx context.Context, collection string, keys []string, fn func(string, []byte)) error {
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: keys}}}}
	if len(keys) == 1 {
		filter = bson.D{{Key: "_id", Value: keys[0]}}
	}
	cursor, err := m.db.Collection(collection).Find(ctx, filter, m.options().SetProjection(fields(true)))
	if err != nil {
		return err
	}
	defer cursor.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was only read
	missing := make(map[string]bool, len(keys))
	for _, key := range keys {
		missing[key] = true
	}
	for cursor.Next(ctx) {
		r := parseDocument(cursor.Current)
		if r.err != nil {
			return fmt.Errorf("key %q: %w", r.key, r.err)
		}
		if !missing[r.key] {
			return fmt.Errorf("the server gave key %q, which it was not asked for", r.key)
		}
		delete(missing, r.key)
		fn(r.key, r.value)
	}
	if err := cursor.Err(); err != nil {
		return err
	}
	for key := range missing {
		fn(key, nil)
	}
	return nil
}

// each asks page by page, each from where the last one ended, so that nothing
// is open at the server while fn takes its time, and a page is asked for again
// by the driver where the connection breaks.
func (m *mongoEngine) each(ctx context.Context, collection, prefix string, values bool, fn func(record) error) error {
	size := mongoKeys
	if values {
		size = mongoPage
	}
	last, first := "", true
	for {
		docs, more, err := m.page(ctx, collection, keyRange(prefix, last, first), size, values)
		if err != nil {
			return m.fail(ctx, err)
		}
		for _, doc := range docs {
			if err := ctx.Err(); err != nil {
				return err
			}
			r := parseDocument(doc)
			if !strings.HasPrefix(r.key, prefix) || (!first && r.key <= last) {
				return fmt.Errorf("read from %s: the server does not give keys in the order of their bytes: %q after %q",
					m.at(collection), r.key, last)
			}
			last, first = r.key, false
			if !values {
				r.value, r.err = nil, nil
			}
			if err := fn(r); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// page returns up to size documents, and whether there may be more.
func (m *mongoEngine) page(ctx context.Context, collection string, filter bson.D, size int, values bool) (docs []bson.Raw, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, mongoOperation)
	defer cancel()
	opt := m.options().SetProjection(fields(values)).SetSort(bson.D{{Key: "_id", Value: 1}}).
		SetLimit(int64(size)).SetBatchSize(int32(size))
	cursor, err := m.db.Collection(collection).Find(ctx, filter, opt)
	if err != nil {
		return nil, false, err
	}
	defer cursor.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was only read
	bytes := 0
	for bytes < mongoPageBytes && cursor.Next(ctx) {
		docs = append(docs, slices.Clone(cursor.Current))
		bytes += len(cursor.Current)
	}
	return docs, len(docs) == size || bytes >= mongoPageBytes, cursor.Err()
}

func (m *mongoEngine) options() *options.FindOptionsBuilder {
	opt := options.Find()
	if m.collation {
		opt.SetCollation(byBytes())
	}
	return opt
}

// byBytes is the collation that compares bytes.
func byBytes() *options.Collation { return &options.Collation{Locale: "simple"} }

func fields(values bool) bson.D {
	d := bson.D{{Key: "_id", Value: 1}}
	if values {
		d = append(d, bson.E{Key: "val", Value: 1})
	}
	return d
}

// keyRange takes the keys that begin with the prefix, after last unless it is
// the first page. It is no pattern, in which a key's own signs could mean
// something.
func keyRange(prefix, last string, first bool) bson.D {
	bounds := bson.D{{Key: "$gte", Value: prefix}}
	if !first {
		bounds = bson.D{{Key: "$gt", Value: last}}
	}
	if end, ok := afterPrefix(prefix); ok {
		bounds = append(bounds, bson.E{Key: "$lt", Value: end})
	}
	return bson.D{{Key: "_id", Value: bounds}}
}

// afterPrefix returns the first text after all that begin with the prefix;
// false where there is none. The order of bytes in UTF-8 is that of the runes.
func afterPrefix(prefix string) (string, bool) {
	for prefix != "" {
		r, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		if r == utf8.MaxRune {
			continue
		}
		r++
		if !utf8.ValidRune(r) { // the surrogates, which are no text
			r = 0xe000
		}
		return prefix + string(r), true
	}
	return "", false
}

// parseDocument takes a value that is null, or none, as empty, as damocles does.
func parseDocument(doc bson.Raw) record {
	key, ok := doc.Lookup("_id").StringValueOK()
	if !ok {
		return record{err: errors.New("its _id is no text")}
	}
	val := doc.Lookup("val")
	switch val.Type {
	case bson.TypeBinary:
		_, data := val.Binary()
		return record{key: key, value: append([]byte{}, data...)}
	case bson.TypeNull, 0:
		return record{key: key, value: []byte{}}
	}
	return record{key: key, err: fmt.Errorf("its val is of the type %s, and not binary", val.Type)}
}
