package damocles

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// sized is an engine that knows how large its collections are.
type sized interface {
	size(ctx context.Context, collection string) (uint64, error)
}

// mongoSize is how long a server is waited for that is asked for a size.
const mongoSize = 3 * time.Second

// Sizes returns how many bytes the collections take on disk. Those that are not
// there are left out, and all of a database that does not tell. The first error
// ends it: the others would take as long and say the same.
func (h *Home) Sizes(ctx context.Context) (map[string]uint64, error) {
	known, ok := h.engine.(sized)
	if !ok {
		return nil, nil
	}
	out := map[string]uint64{}
	for _, name := range collections() {
		size, err := known.size(ctx, name)
		if err != nil {
			return out, err
		}
		if size > 0 {
			out[name] = size
		}
	}
	return out, nil
}

// size adds up the files: what Badger says itself is a minute old.
func (b *badgerEngine) size(_ context.Context, collection string) (uint64, error) {
	entries, err := os.ReadDir(filepath.Join(b.base, collection))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	var size uint64
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // one that is gone meanwhile has no size
			size += uint64(info.Size())
		}
	}
	return size, nil
}

func (m *mongoEngine) size(ctx context.Context, collection string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, mongoSize)
	defer cancel()
	var stats struct {
		StorageSize    float64 `bson:"storageSize"`
		TotalIndexSize float64 `bson:"totalIndexSize"`
	}
	err := m.db.RunCommand(ctx, bson.D{{Key: "collStats", Value: collection}}).Decode(&stats)
	if server, ok := errors.AsType[mongo.ServerError](err); ok && slices.ContainsFunc(noSize(), server.HasErrorCode) {
		return 0, nil
	}
	if err != nil {
		return 0, m.fail(ctx, err)
	}
	return uint64(stats.StorageSize + stats.TotalIndexSize), nil
}

// noSize are the codes of a server that has no such collection, no such command,
// or does not tell this user.
func noSize() []int {
	const noNamespace, noCommand, notImplemented, unauthorized = 26, 59, 238, 13
	return []int{noNamespace, noCommand, notImplemented, unauthorized}
}
