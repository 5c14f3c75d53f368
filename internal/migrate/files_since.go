package migrate

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/sector"
)

// MovedSince is an export of files that has taken away files of sectors which an
// import had brought before.
type MovedSince struct {
	Journal string
	Miner   string
	Sectors int
}

// FilesMovedSince finds the moves of files that began after the import of the journal,
// and of which something is still where it was moved. An undoing of the import does not
// bring them back, and lotus-miner may look for them in vain. The oldest comes first.
func FilesMovedSince(ctx context.Context, journal string) ([]MovedSince, error) {
	j, err := durable.OpenJournal(journal)
	if err != nil || j.Header.Command != "import" {
		return nil, err
	}
	names, err := os.ReadDir(filepath.Dir(journal))
	if err != nil {
		return nil, err
	}
	var carried map[sector.ID]bool
	var out []MovedSince
	for _, name := range names { // by the time in their names
		path := filepath.Join(filepath.Dir(journal), name.Name())
		if of, err := IsFilesJournal(path); err != nil || !of || strings.HasPrefix(name.Name(), ".") {
			continue // one that cannot be read is told of where it is undone
		}
		moved, miner, err := movedAway(ctx, path, j.Header.Started)
		if err != nil {
			return nil, err
		}
		if len(moved) > 0 && carried == nil {
			if carried, err = carriedBy(ctx, j); err != nil {
				return nil, err
			}
		}
		maps.DeleteFunc(moved, func(id sector.ID, _ bool) bool { return !carried[id] })
		if len(moved) > 0 {
			out = append(out, MovedSince{Journal: path, Miner: miner, Sectors: len(moved)})
		}
	}
	return out, nil
}

// carriedBy are the sectors that an import has written.
func carriedBy(ctx context.Context, j *durable.JournalReader) (map[sector.ID]bool, error) {
	out := map[sector.ID]bool{}
	return out, j.EachNewestRunFirst(ctx, func(e durable.Entry) error {
		if e.Store != damocles.CollectionOffline {
			return nil
		}
		if miner, number, err := damocles.ParseStateKey(damocles.Offline, e.Key); err == nil {
			out[sector.ID{Miner: miner, Number: number}] = true
		}
		return nil
	})
}

// movedAway are the sectors of which something is at the target of a move, and no
// longer where it came from; none of a move that began earlier than since.
func movedAway(ctx context.Context, path string, since time.Time) (map[sector.ID]bool, string, error) {
	j, err := durable.OpenJournal(path)
	if err != nil || j.Header.Started.Before(since) {
		return nil, "", err
	}
	moved := map[sector.ID]bool{}
	err = j.EachNewestRunFirst(ctx, func(e durable.Entry) error {
		id, ok := sector.ParseFileName(filepath.Base(e.Key))
		if e.Store == filesStore && ok && !moved[id] && isThere(e.Key) && !isThere(string(e.Before)) {
			moved[id] = true
		}
		return nil
	})
	return moved, j.Header.Miner, err
}
