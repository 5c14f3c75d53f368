package damocles

import "context"

// engine keeps the collections of a home. It knows nothing of what the keys and
// values mean. Its methods may be called from several goroutines, commit only
// from one at a time.
type engine interface {
	// find calls fn once for each of the keys, in any order, with what the
	// collection holds under it: nil where nothing. An empty value is not nil.
	// The value is valid during the call.
	find(ctx context.Context, collection string, keys []string, fn func(key string, value []byte)) error
	// each calls fn with every record whose key begins with the prefix, in the
	// order of the keys' bytes, until fn returns an error, which it returns as it
	// is. Without values, none is read.
	each(ctx context.Context, collection, prefix string, values bool, fn func(record) error) error
	// commit carries out changes of one collection, each key at most once, and
	// returns how many it took, from the first on: at least one. A key has to
	// hold Before, or else After already; where one does not, commit ends with an
	// error that names it.
	commit(ctx context.Context, collection string, changes []Change) (int, error)
	// at names a collection in errors, and where it is.
	at(collection string) string
	// close ends it. It is called once.
	close() error
}

// record is what a collection holds under a key.
type record struct {
	key string
	// value is valid during the call, nil if err says that it cannot be had.
	value []byte
	err   error
}

// spacious is an engine that can say whether there is room for the changes.
type spacious interface {
	checkSpace(changes []Change) error
}

// sparse is an engine that would make a collection by looking into it.
type sparse interface {
	missing(collection string) bool
}
