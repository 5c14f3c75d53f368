package sample

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
)

// WriteHome makes the damocles home dir: the stores in its configuration under
// their base names, every sector in the offline workspace, an index of which store
// has its files, and the number of the last one.
func (b *Built) WriteHome(ctx context.Context, dir string) error {
	if err := b.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	config := fmt.Appendf(nil, "[Common]\n[[Miners]]\nActor = %d\n", b.Miner)
	var sections []string
	for _, s := range b.Stores {
		sections = append(sections, fmt.Sprintf("[[Common.PersistStores]]\nName = %q\nPath = %q\n", filepath.Base(s), s))
	}
	path := filepath.Join(dir, "sector-manager.cfg")
	raw, err := damocles.AppendStores(path, config, sections)
	if err != nil {
		return err
	}
	if err := b.fs.Replace(path, raw); err != nil {
		return err
	}
	home, err := damocles.OpenHome(ctx, dir, damocles.Config{}, damocles.Options{Write: true, FS: b.fs})
	if err != nil {
		return err
	}
	return errors.Join(b.fillHome(ctx, home), home.Close())
}

func (b *Built) fillHome(ctx context.Context, home *damocles.Home) error {
	var states, index []damocles.Change
	for _, m := range b.Members {
		state, _, err := damocles.FromRecord(m.Record)
		if err != nil {
			return err
		}
		raw, err := damocles.EncodeState(state)
		if err != nil {
			return err
		}
		id := abi.SectorID{Miner: m.Record.ID.Miner, Number: m.Record.ID.Number}
		states = append(states, damocles.Change{Store: damocles.CollectionOffline,
			Key: damocles.StateKey(damocles.Offline, id.Miner, id.Number), After: raw})
		for _, upgrade := range []bool{false, true} {
			if upgrade && !m.Record.Upgraded {
				break
			}
			changes, err := home.IndexChanges(id, upgrade, filepath.Base(b.Stores[m.Replica]), filepath.Base(b.Stores[m.Cache]))
			if err != nil {
				return err
			}
			index = append(index, changes...)
		}
	}
	all := append(states, index...)
	if len(b.Members) > 0 {
		all = append(all, damocles.Change{Store: damocles.CollectionMeta,
			Key: damocles.NumberKey(b.Miner), After: damocles.EncodeNumber(b.last())})
	}
	return home.Apply(ctx, all)
}
