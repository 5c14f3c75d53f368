package damocles

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// sized is an engine that knows how large its collections are.
type sized interface {
	size(ctx context.Context, collection string) (uint64, error)
}

// Sizes returns how many bytes the collections take on disk; those that are not
// there, or whose database does not tell, are left out.
func (h *Home) Sizes(ctx context.Context) (map[string]uint64, error) {
	known, ok := h.engine.(sized)
	if !ok {
		return nil, nil
	}
	out := map[string]uint64{}
	var errs []error
	for _, name := range collections() {
		size, err := known.size(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if size > 0 {
			out[name] = size
		}
	}
	return out, errors.Join(errs...)
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
	var stats struct {
		StorageSize    float64 `bson:"storageSize"`
		TotalIndexSize float64 `bson:"totalIndexSize"`
	}
	err := m.db.RunCommand(ctx, bson.D{{Key: "collStats", Value: collection}}).Decode(&stats)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	if err != nil {
		return 0, m.fail(ctx, err)
	}
	return uint64(stats.StorageSize + stats.TotalIndexSize), nil
}
