package damocles

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
)

// commit writes a portion in one transaction where the server has them. Where
// not, every record is looked at first, so that nothing is written if one is
// not as expected; then each is written by itself, and only while it still is.
// A portion that was begun goes on when ctx is cancelled: half of one would be
// written for nothing.
func (m *mongoEngine) commit(ctx context.Context, collection string, changes []Change) (int, error) {
	for _, c := range changes {
		if !utf8.ValidString(c.Key) {
			return 0, fmt.Errorf("key %q is no text, and MongoDB takes no other", c.Key)
		}
		if size := len(c.Before) + len(c.After) + 3*len(c.Key); size > mongoRecord {
			return 0, fmt.Errorf("key %q: its value before and after takes %d bytes, and MongoDB takes %d", c.Key, size, mongoRecord)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, mongoOperation)
	defer cancel()
	var err error
	if m.transactions {
		err = m.transact(ctx, collection, changes)
	} else {
		err = m.write(ctx, collection, changes)
	}
	if err != nil {
		return 0, m.fail(ctx, err)
	}
	return len(changes), nil
}

// transact lets the driver repeat a transaction that the server gave up for a
// reason that passes.
func (m *mongoEngine) transact(ctx context.Context, collection string, changes []Change) error {
	if err := m.make(ctx, collection); err != nil {
		return err
	}
	session, err := m.client.StartSession()
	if err != nil {
		return err
	}
	defer session.EndSession(ctx)
	_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		return nil, m.write(ctx, collection, changes)
	}, options.Transaction().SetReadConcern(readconcern.Snapshot()))
	return err
}

// make makes a collection, which not every server does within a transaction.
func (m *mongoEngine) make(ctx context.Context, collection string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made[collection] {
		return nil
	}
	const exists = 48
	err := m.db.CreateCollection(ctx, collection)
	if refused, ok := errors.AsType[mongo.CommandError](err); err != nil && (!ok || refused.Code != exists) {
		return err
	}
	m.made[collection] = true
	return nil
}

func (m *mongoEngine) write(ctx context.Context, collection string, changes []Change) error {
	todo, err := m.todo(ctx, collection, changes)
	if err != nil || len(todo) == 0 {
		return err
	}
	models, want := m.models(todo)
	done, err := m.db.Collection(collection).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(true))
	if err != nil {
		return overtaken(todo, err)
	}
	if want.met(done) {
		return nil
	}
	// Somebody else was faster with one of them.
	left, err := m.todo(ctx, collection, todo)
	if err == nil && len(left) > 0 {
		return left[0].changed()
	}
	return err
}

// todo looks at every record and returns the changes that are still to be made.
func (m *mongoEngine) todo(ctx context.Context, collection string, changes []Change) ([]Change, error) {
	keys := make([]string, len(changes))
	at := make(map[string]int, len(changes))
	for i, c := range changes {
		keys[i], at[c.Key] = c.Key, i
	}
	open := make([]bool, len(changes))
	wrong := make([]error, len(changes))
	err := m.findSome(ctx, collection, keys, func(key string, now []byte) {
		i := at[key]
		open[i], wrong[i] = changes[i].against(now)
	})
	if err != nil {
		return nil, err
	}
	var todo []Change
	for i, c := range changes {
		if wrong[i] != nil {
			return nil, wrong[i]
		}
		if open[i] {
			todo = append(todo, c)
		}
	}
	return todo, nil
}

// counts is how many records are made, changed and removed.
type counts struct{ made, changed, removed int64 }

func (c counts) met(by *mongo.BulkWriteResult) bool {
	return by.UpsertedCount == c.made && by.MatchedCount == c.changed && by.DeletedCount == c.removed
}

// models are the changes in the server's words, each of which holds only while
// the record is as it was before. A record is made by an upsert, as damocles
// makes it, so that it has the form that this server gives an upsert; what is
// there already is matched by it, and stays.
func (m *mongoEngine) models(changes []Change) ([]mongo.WriteModel, counts) {
	var collation *options.Collation
	if m.collation {
		collation = byBytes()
	}
	var want counts
	models := make([]mongo.WriteModel, 0, len(changes))
	for _, c := range changes {
		filter := bson.D{{Key: "_id", Value: c.Key}}
		if c.Before != nil {
			filter = append(filter, bson.E{Key: "val", Value: isValue(c.Before)})
		}
		switch {
		case c.After == nil:
			want.removed++
			models = append(models, &mongo.DeleteOneModel{Filter: filter, Collation: collation})
		case c.Before == nil:
			want.made++
			upsert := true
			models = append(models, &mongo.UpdateOneModel{
				Filter: filter, Collation: collation, Upsert: &upsert,
				Update: bson.D{{Key: "$setOnInsert", Value: document(c)}},
			})
		default:
			want.changed++
			models = append(models, &mongo.UpdateOneModel{
				Filter: filter, Collation: collation, Update: bson.D{{Key: "$set", Value: document(c)}},
			})
		}
	}
	return models, want
}

// document is what damocles writes beside the _id.
func document(c Change) bson.D {
	return bson.D{
		{Key: "val", Value: bson.Binary{Data: c.After}},
		{Key: "raw", Value: bson.Binary{Data: []byte(c.Key)}},
	}
}

// isValue matches a value. An empty one may be stored as null, or not at all.
func isValue(value []byte) any {
	binary := bson.Binary{Data: append([]byte{}, value...)}
	if len(value) == 0 {
		return bson.D{{Key: "$in", Value: bson.A{binary, nil}}}
	}
	return binary
}

// overtaken names the record that somebody else made at the same moment.
func overtaken(changes []Change, err error) error {
	failed, ok := errors.AsType[mongo.BulkWriteException](err)
	if !ok || !mongo.IsDuplicateKeyError(err) || len(failed.WriteErrors) == 0 {
		return err
	}
	if i := failed.WriteErrors[0].Index; i >= 0 && i < len(changes) {
		return changes[i].changed()
	}
	return err
}
