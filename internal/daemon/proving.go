package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

// accesses are the names of the stores that have a sector's two halves.
type accesses struct{ SealedFile, CacheDir string }

func (d *Daemon) sectorIndexerFind(ctx context.Context, a *args) (any, error) {
	kind, id := arg[string](a, 0, "core.SectorIndexType"), a.sector(1)
	if a.err != nil {
		return nil, a.err
	}
	const normal, upgrade = "normal", "upgrade"
	if kind != normal && kind != upgrade {
		return nil, fmt.Errorf("sector indexer of type %s is not supported", kind)
	}
	sealed, cache, found, err := d.Home.Index(ctx, abi.SectorID(id), kind == upgrade)
	if err != nil {
		return nil, fmt.Errorf("find in indexer of type %s: %w", kind, err)
	}
	return struct {
		Found    bool
		Instance accesses
	}{found, accesses{sealed, cache}}, nil
}

// private says where a sector's files are, in the order in which the original does.
type private struct {
	Accesses                     accesses
	CacheDirPath                 string
	SealedSectorPath             string
	CacheDirURI, SealedSectorURI string
}

// provingSectorInfo hands the chain's own words on, whichever node they come from.
func (d *Daemon) provingSectorInfo(ctx context.Context, a *args) (any, error) {
	id := a.sector(0)
	if a.err != nil {
		return nil, a.err
	}
	if d.Chain == nil {
		return nil, errNoChain("get sector info")
	}
	miner, err := address.NewIDAddress(uint64(id.Miner))
	if err != nil {
		return nil, err
	}
	raw, on, err := d.Chain.SectorRaw(ctx, miner, id.Number)
	if err == nil && on == nil { // at which the original crashes
		err = fmt.Errorf("sector %s is not on chain", id)
	}
	if err != nil {
		return nil, fmt.Errorf("get sector info: %w", err)
	}
	p, err := d.privateInfo(ctx, id, on.SectorKeyCID != nil)
	if err != nil {
		return nil, fmt.Errorf("get private sector info: %w", err)
	}
	return struct {
		OnChain json.RawMessage
		Private private
	}{raw, p}, nil
}

func (d *Daemon) privateInfo(ctx context.Context, id sector.ID, upgrade bool) (private, error) {
	p, err := d.whereIs(ctx, id, upgrade)
	if err != nil {
		return private{}, fmt.Errorf("get private info: get location for %s: %w", id, err)
	}
	return p, nil
}

func kinds(upgrade bool) (replica, cache sector.FileKind) {
	if upgrade {
		return sector.Update, sector.UpdateCache
	}
	return sector.Sealed, sector.Cache
}

func (d *Daemon) whereIs(ctx context.Context, id sector.ID, upgrade bool) (private, error) {
	at, found, err := d.index(ctx, id, upgrade)
	if err != nil {
		return private{}, fmt.Errorf("find objstore instance: %w", err)
	}
	if !found {
		return private{}, errors.New("object not found")
	}
	sealedStore, err := d.storeNamed(at.SealedFile)
	if err != nil {
		return private{}, fmt.Errorf("get objstore instance %s for sealed file: %w", at.SealedFile, err)
	}
	cacheStore, err := d.storeNamed(at.CacheDir)
	if err != nil {
		return private{}, fmt.Errorf("get objstore instance %s for cache dir: %w", at.CacheDir, err)
	}
	replica, cache := kinds(upgrade)
	return private{
		Accesses:         at,
		CacheDirPath:     cacheStore.Store().Path(cache, id),
		SealedSectorPath: sealedStore.Store().Path(replica, id),
		CacheDirURI:      cache.String() + "/" + id.String(),
		SealedSectorURI:  replica.String() + "/" + id.String(),
	}, nil
}

func (d *Daemon) index(ctx context.Context, id sector.ID, upgrade bool) (accesses, bool, error) {
	sealed, cache, found, err := d.Home.Index(ctx, abi.SectorID(id), upgrade)
	return accesses{sealed, cache}, found, err
}

func (d *Daemon) storeNamed(name string) (migrate.HomeStore, error) {
	s, ok := migrate.StoreNamed(d.Stores, name)
	if !ok {
		return s, fmt.Errorf("instance not found: %s", name)
	}
	return s, nil
}
