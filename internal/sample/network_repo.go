package sample

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/big"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
)

// WriteRepo makes the lotus-miner repo dir, as `lotus-miner init` leaves one, with
// a record of every sector, the numbers that are used, and a storage.json with the
// stores. Of a network without sectors it is a repo that was never used.
func (b *Built) WriteRepo(ctx context.Context, dir string) error {
	if err := b.initRepo(dir); err != nil {
		return err
	}
	repo, err := lotus.OpenRepo(ctx, dir, lotus.Options{Write: true, FS: b.fs})
	if err != nil {
		return err
	}
	return errors.Join(b.fillRepo(ctx, repo), repo.Close())
}

func (b *Built) initRepo(dir string) error {
	metadata := filepath.Join(dir, "datastore", "metadata")
	if err := b.fs.MkdirAll(metadata, 0o755); err != nil {
		return err
	}
	miner, err := address.NewIDAddress(uint64(b.Miner))
	if err != nil {
		return err
	}
	db, err := leveldb.OpenFile(metadata, &opt.Options{Compression: opt.NoCompression, Strict: opt.StrictAll, ErrorIfExist: true})
	if err != nil {
		return err
	}
	err = db.Put([]byte("/miner-address"), miner.Bytes(), &opt.WriteOptions{Sync: true})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	storage, err := lotus.ParseStorage([]byte("{}"))
	if err != nil {
		return err
	}
	raw, err := storage.With(b.Stores...).Encode()
	if err != nil {
		return err
	}
	return b.fs.Replace(lotus.StoragePath(dir), raw)
}

func (b *Built) fillRepo(ctx context.Context, repo *lotus.Repo) error {
	used, err := repo.Numbers(ctx)
	if err != nil {
		return err
	}
	var numbers []uint64
	if len(b.Members) == 0 {
		return nil
	}
	for _, m := range b.Members {
		numbers = append(numbers, uint64(m.Record.ID.Number))
	}
	set, err := lotus.NumberSet(numbers)
	if err != nil {
		return err
	}
	puts, _, err := lotus.PlanRaise(used, b.last(), set)
	if err != nil {
		return err
	}
	tx, err := repo.Begin()
	if err != nil {
		return err
	}
	defer tx.Discard()
	for _, m := range b.Members {
		info, _, err := lotus.FromRecord(m.Record, lotusOwn(m.Record))
		if err != nil {
			return err
		}
		raw, err := lotus.Encode(info)
		if err != nil {
			return err
		}
		puts = append(puts, lotus.KV{Key: lotus.SectorKey(uint64(m.Record.ID.Number)), Value: raw})
	}
	for _, kv := range puts {
		if err := tx.Put(kv.Key, kv.Value); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// lotusOwn is what lotus-miner alone keeps of a sector, and damocles has no place for.
func lotusOwn(rec *sector.Record) *lotus.SectorInfo {
	const created = 1_700_000_000
	commR, at := rec.Original.CommR, uint64(created+60*rec.ID.Number)
	return &lotus.SectorInfo{
		SectorNumber: rec.ID.Number, CommR: &commR,
		CreationTime: int64(at), PreCommitDeposit: big.NewInt(int64(rec.ID.Number) + 1e12),
		Log: []lotus.Log{
			{Timestamp: at, Message: `{"User":{}}`, Kind: "event;sealing.SectorStartCC"},
			{Timestamp: at + 3600, Message: `{"User":{}}`, Kind: "event;sealing.SectorProving"},
		},
	}
}

// last is the highest number that is used.
func (b *Built) last() uint64 {
	var last uint64
	for _, m := range b.Members {
		last = max(last, uint64(m.Record.ID.Number))
	}
	return last
}
