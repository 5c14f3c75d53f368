package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// LotusStore is a storage path of a lotus-miner, with what damocles has to know.
type LotusStore struct {
	ID   string
	Path string
	// CanStore is false where lotus-miner puts nothing to stay: a path for sealing,
	// or one that is read-only.
	CanStore bool
	Weight   uint64
	// Allow and Deny are its lists of miners.
	Allow, Deny []abi.ActorID
	// Err says why its sectorstore.json cannot be read; the rest is empty then.
	Err error
}

// LotusStorage has the storage paths of a lotus-miner.
type LotusStorage interface {
	Storage(ctx context.Context) ([]LotusStore, error)
}

var (
	_ LotusStorage = (*Repo)(nil)
	_ LotusStorage = (*LotusAPI)(nil)
)

// Storage reads storage.json, and the sectorstore.json of each path.
func (r *Repo) Storage(context.Context) ([]LotusStore, error) {
	storage, _, err := lotus.ReadStorage(r.dir)
	if err != nil {
		return nil, err
	}
	var out []LotusStore
	for _, path := range storage.Paths() {
		out = append(out, readLotusStore(path))
	}
	return out, nil
}

func readLotusStore(path string) LotusStore {
	s := LotusStore{Path: filepath.Clean(path)}
	meta, _, err := store.ReadMeta(path)
	if err != nil {
		s.Err = fault.New("see that its disk is mounted; lotus-miner does not start without it", "it cannot be read: %w", err)
		return s
	}
	l, err := meta.Lotus()
	if err != nil {
		s.Err = fault.New("correct the file", "%s: %w", store.MetaPath(path), err)
		return s
	}
	s.ID, s.CanStore, s.Weight = l.ID, l.CanStore, l.Weight
	s.lists(l.AllowMiners, l.DenyMiners)
	return s
}

// Storage asks lotus-miner, which needs the permission admin for that.
func (l *LotusAPI) Storage(ctx context.Context) ([]LotusStore, error) {
	paths, err := l.client.StorageLocal(ctx)
	if errors.Is(err, rpc.ErrPermission) {
		return nil, fault.New("give a token of lotus-miner auth create-token --perm admin, or leave --with-stores out",
			"lotus-miner does not name its storage paths to this token: %w", err)
	}
	if err != nil {
		return nil, err
	}
	var out []LotusStore
	for _, id := range slices.SortedFunc(maps.Keys(paths), func(a, b string) int { return cmp.Compare(paths[a], paths[b]) }) {
		info, err := l.client.StorageInfo(ctx, id)
		if err != nil {
			return nil, err
		}
		s := LotusStore{ID: id, Path: filepath.Clean(paths[id]), CanStore: info.CanStore, Weight: info.Weight}
		s.lists(info.AllowMiners, info.DenyMiners)
		out = append(out, s)
	}
	return out, nil
}

func (s *LotusStore) lists(allow, deny []string) {
	for _, l := range []struct {
		from []string
		to   *[]abi.ActorID
	}{{allow, &s.Allow}, {deny, &s.Deny}} {
		for _, text := range l.from {
			miner, ok := store.MinerNumber(text)
			if !ok {
				s.Err = fault.New("correct the list in its "+store.MetaName, "%q in its lists of miners is no miner", text)
				return
			}
			*l.to = append(*l.to, miner)
		}
	}
}

// note tells what has no counterpart in damocles.
func (s LotusStore) note(e *StoreEvent) {
	if !s.CanStore {
		e.Notes = append(e.Notes, sector.Note{Code: "read-only", Text: "lotus-miner stores nothing there (CanStore is false), so it is read-only in damocles"})
	} else if s.Weight == 0 {
		e.Notes = append(e.Notes, sector.Note{Code: "read-only", Text: fmt.Sprintf("its weight in lotus-miner is %d, so it is read-only in damocles", s.Weight)})
	}
}
