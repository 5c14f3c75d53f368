package testkit

import (
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Mongo stands in for a MongoDB with transactions, of which no server can be
// started in a test. It knows the few commands and filters that this tool sends,
// compares and writes a document in one step, and gives up a transaction that
// another was faster than. Everything that it is sent is kept.
type Mongo struct {
	Addr string

	t   testing.TB
	set bool
	l   net.Listener
	wg  sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	data   mongoData
	begun  map[string]*mongoTxn // by session
	log    []MongoCommand
	answer func(MongoCommand) bson.D
}

// MongoCommand is what a client sent.
type MongoCommand struct {
	Name string
	// Body has the documents of a write as an array.
	Body bson.Raw
}

// mongoData is documents by collection and key.
type mongoData map[string]map[string]bson.Raw

type mongoTxn struct{ before, now mongoData }

// NewMongo starts one, as a replica set or as a server that stands alone and has
// no transactions.
func NewMongo(t testing.TB, replicaSet bool) *Mongo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &Mongo{Addr: l.Addr().String(), t: t, set: replicaSet, l: l, data: mongoData{}, begun: map[string]*mongoTxn{}}
	m.wg.Go(m.accept)
	t.Cleanup(func() {
		l.Close()
		m.mu.Lock()
		for _, conn := range m.conns {
			conn.Close()
		}
		m.mu.Unlock()
		m.wg.Wait()
	})
	return m
}

// Answer sets what answers before the stand-in does, with nil where it should.
func (m *Mongo) Answer(fn func(MongoCommand) bson.D) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = fn
}

// Sent returns the commands of these names so far, in their order.
func (m *Mongo) Sent(names ...string) []MongoCommand {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.log), func(c MongoCommand) bool { return !slices.Contains(names, c.Name) })
}

func (m *Mongo) accept() {
	for {
		conn, err := m.l.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.conns = append(m.conns, conn)
		m.mu.Unlock()
		m.wg.Go(func() {
			defer conn.Close()
			for m.serve(conn) == nil {
			}
		})
	}
}

const (
	opReply, opQuery, opMsg = 1, 2004, 2013
	headerSize              = 16
)

// serve reads a message and answers it.
func (m *Mongo) serve(conn net.Conn) error {
	var head [headerSize]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	message := make([]byte, binary.LittleEndian.Uint32(head[:])-headerSize)
	if _, err := io.ReadFull(conn, message); err != nil {
		return err
	}
	id, op := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[12:])
	var out []byte
	switch op {
	case opQuery: // the greeting: flags, name, two numbers, document
		name := slices.Index(message[4:], 0)
		out = m.message(opReply, id, append(make([]byte, 16), 1, 0, 0, 0), m.do(bson.Raw(message[4+name+1+8:])))
	case opMsg:
		out = m.message(opMsg, id, make([]byte, 5), m.do(m.body(message[4:])))
	}
	_, err := conn.Write(out)
	return err
}

func (m *Mongo) message(op, to uint32, before []byte, answer bson.D) []byte {
	doc := m.marshal(answer)
	out := binary.LittleEndian.AppendUint32(nil, uint32(headerSize+len(before)+len(doc)))
	out = binary.LittleEndian.AppendUint32(out, 1)
	out = binary.LittleEndian.AppendUint32(out, to)
	out = binary.LittleEndian.AppendUint32(out, op)
	return append(append(out, before...), doc...)
}

func (m *Mongo) marshal(v any) bson.Raw {
	doc, err := bson.Marshal(v)
	if err != nil {
		m.t.Errorf("MongoDB: %v", err)
	}
	return doc
}

// body reads the sections of a message: the command, and lists of documents
// that belong into it.
func (m *Mongo) body(sections []byte) bson.Raw {
	var body bson.D
	lists := bson.D{}
	for len(sections) > 0 {
		kind, size := sections[0], int(binary.LittleEndian.Uint32(sections[1:]))
		section := sections[1 : 1+size]
		sections = sections[1+size:]
		if kind == 0 {
			if err := bson.Unmarshal(section, &body); err != nil {
				m.t.Errorf("MongoDB: %v", err)
			}
			continue
		}
		name := slices.Index(section[4:], 0)
		var list bson.A
		for rest := section[4+name+1:]; len(rest) > 0; {
			doc := bson.Raw(rest[:binary.LittleEndian.Uint32(rest)])
			list = append(list, doc)
			rest = rest[len(doc):]
		}
		lists = append(lists, bson.E{Key: string(section[4 : 4+name]), Value: list})
	}
	return m.marshal(append(body, lists...))
}

// MongoError is an answer that says no.
func MongoError(code int, text string, labels ...string) bson.D {
	return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: text}, {Key: "errorLabels", Value: labels}}
}

func (m *Mongo) do(body bson.Raw) bson.D {
	first, err := body.IndexErr(0)
	if err != nil {
		return MongoError(9, "no command")
	}
	c := MongoCommand{Name: first.Key(), Body: body}
	m.mu.Lock()
	answer := m.answer
	m.log = append(m.log, c)
	m.mu.Unlock()
	if answer != nil {
		if said := answer(c); said != nil {
			return said
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(m.carryOut(c), bson.E{Key: "ok", Value: 1})
}

func (m *Mongo) carryOut(c MongoCommand) bson.D {
	session := ""
	if id, err := c.Body.LookupErr("lsid", "id"); err == nil {
		session = string(id.Value)
	}
	switch c.Name {
	case "isMaster", "ismaster", "hello":
		return m.hello()
	case "find":
		return m.find(m.in(c, session), c.Body)
	case "update":
		return update(m.in(c, session), c.Body)
	case "delete":
		return remove(m.in(c, session), c.Body)
	case "commitTransaction":
		return m.commit(session)
	case "abortTransaction":
		delete(m.begun, session)
	case "create", "endSessions", "ping":
	case "listCollections":
		return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "x.$cmd.listCollections"}, {Key: "firstBatch", Value: bson.A{}}}}}
	default:
		return MongoError(59, "no such command: "+c.Name)
	}
	return nil
}

func (m *Mongo) hello() bson.D {
	is := bson.D{
		{Key: "isWritablePrimary", Value: true}, {Key: "ismaster", Value: true}, {Key: "minWireVersion", Value: 0},
		{Key: "maxWireVersion", Value: 21}, {Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48000000},
		{Key: "maxWriteBatchSize", Value: 100000}, {Key: "logicalSessionTimeoutMinutes", Value: 30},
	}
	if m.set {
		is = append(is, bson.E{Key: "setName", Value: "rs"}, bson.E{Key: "hosts", Value: bson.A{m.Addr}}, bson.E{Key: "me", Value: m.Addr})
	}
	return is
}

// in returns what the command works on: its transaction's copy, or all.
func (m *Mongo) in(c MongoCommand, session string) map[string]bson.Raw {
	data := m.data
	if own, err := c.Body.LookupErr("autocommit"); err == nil && !own.Boolean() {
		if _, err := c.Body.LookupErr("startTransaction"); err == nil {
			m.begun[session] = &mongoTxn{before: m.data.clone(), now: m.data.clone()}
		}
		if txn := m.begun[session]; txn != nil {
			data = txn.now
		}
	}
	name := c.Body.Lookup("$db").StringValue() + "." + c.Body.Lookup(c.Name).StringValue()
	if data[name] == nil {
		data[name] = map[string]bson.Raw{}
	}
	return data[name]
}

func (d mongoData) clone() mongoData {
	out := mongoData{}
	for name, docs := range d {
		out[name] = maps.Clone(docs)
	}
	return out
}

// commit carries over what the transaction changed, unless that was changed
// meanwhile.
func (m *Mongo) commit(session string) bson.D {
	txn := m.begun[session]
	if txn == nil {
		return MongoError(251, "no such transaction", "TransientTransactionError")
	}
	delete(m.begun, session)
	next := m.data.clone()
	for name, docs := range txn.now {
		for key := range mergedKeys(docs, txn.before[name]) {
			doc, is := docs[key]
			if string(doc) == string(txn.before[name][key]) {
				continue
			}
			if string(m.data[name][key]) != string(txn.before[name][key]) {
				return MongoError(112, "WriteConflict", "TransientTransactionError")
			}
			if next[name] == nil {
				next[name] = map[string]bson.Raw{}
			}
			if next[name][key] = doc; !is {
				delete(next[name], key)
			}
		}
	}
	m.data = next
	return nil
}

func mergedKeys(a, b map[string]bson.Raw) map[string]bson.Raw {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func (m *Mongo) find(docs map[string]bson.Raw, body bson.Raw) bson.D {
	limit := int64(len(docs))
	if l, err := body.LookupErr("limit"); err == nil {
		limit = l.AsInt64()
	}
	batch := bson.A{}
	for _, key := range candidates(docs, body.Lookup("filter", "_id")) {
		if int64(len(batch)) < limit && matches(key, docs[key], body.Lookup("filter").Document()) {
			batch = append(batch, docs[key])
		}
	}
	return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "x.x"}, {Key: "firstBatch", Value: batch}}}}
}

// candidates are the keys that a filter can match, in their order.
func candidates(docs map[string]bson.Raw, id bson.RawValue) []string {
	conditions, _ := id.DocumentOK()
	in, err := conditions.LookupErr("$in")
	if err != nil {
		return slices.Sorted(maps.Keys(docs))
	}
	var keys []string
	values, _ := in.Array().Values()
	for _, v := range values {
		if _, ok := docs[v.StringValue()]; ok {
			keys = append(keys, v.StringValue())
		}
	}
	slices.Sort(keys)
	return keys
}

func update(docs map[string]bson.Raw, body bson.Raw) bson.D {
	n := 0
	upserted := bson.A{}
	for i, u := range list(body.Lookup("updates")) {
		key := u.Lookup("q", "_id").StringValue()
		doc, found := docs[key]
		set, always := u.Lookup("u", "$set").DocumentOK()
		if found && matches(key, doc, u.Lookup("q").Document()) {
			n++
			if always {
				docs[key] = withKey(key, set)
			}
			continue
		}
		if _, err := u.LookupErr("upsert"); err == nil && !found {
			n++
			upserted = append(upserted, bson.D{{Key: "index", Value: i}, {Key: "_id", Value: key}})
			docs[key] = withKey(key, u.Lookup("u", "$setOnInsert").Document())
		}
	}
	answer := bson.D{{Key: "n", Value: n}, {Key: "nModified", Value: n}}
	if len(upserted) > 0 {
		answer = append(answer, bson.E{Key: "upserted", Value: upserted})
	}
	return answer
}

func remove(docs map[string]bson.Raw, body bson.Raw) bson.D {
	n := 0
	for _, d := range list(body.Lookup("deletes")) {
		key := d.Lookup("q", "_id").StringValue()
		if doc, found := docs[key]; found && matches(key, doc, d.Lookup("q").Document()) {
			n++
			delete(docs, key)
		}
	}
	return bson.D{{Key: "n", Value: n}}
}

func withKey(key string, fields bson.Raw) bson.Raw {
	doc := bson.D{{Key: "_id", Value: key}}
	elements, _ := fields.Elements()
	for _, e := range elements {
		doc = append(doc, bson.E{Key: e.Key(), Value: e.Value()})
	}
	raw, _ := bson.Marshal(doc)
	return raw
}

// matches knows _id as a text, as one of several and between bounds, and any
// other field as a value or as one of several.
func matches(key string, doc, filter bson.Raw) bool {
	elements, _ := filter.Elements()
	for _, e := range elements {
		have := doc.Lookup(e.Key())
		conditions, ok := e.Value().DocumentOK()
		if !ok {
			if !have.Equal(e.Value()) {
				return false
			}
			continue
		}
		all, _ := conditions.Elements()
		if e.Key() == "_id" && all[0].Key() == "$in" {
			continue // candidates has seen to it
		}
		for _, c := range all {
			if !meets(key, have, c) {
				return false
			}
		}
	}
	return true
}

func meets(key string, have bson.RawValue, c bson.RawElement) bool {
	switch c.Key() {
	case "$in":
		values, _ := c.Value().Array().Values()
		return slices.ContainsFunc(values, func(v bson.RawValue) bool {
			return v.Equal(have) || (v.Type == bson.TypeNull && have.Type == 0)
		})
	case "$gte":
		return key >= c.Value().StringValue()
	case "$gt":
		return key > c.Value().StringValue()
	case "$lt":
		return key < c.Value().StringValue()
	}
	return false
}

func list(v bson.RawValue) []bson.Raw {
	values, _ := v.Array().Values()
	var docs []bson.Raw
	for _, value := range values {
		docs = append(docs, value.Document())
	}
	return docs
}
