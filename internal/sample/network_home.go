package sample

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
)

// WriteHome makes the damocles home dir: the stores in its configuration under
// their base names, every sector in the offline workspace, an index of which store
// has its files, and the number of the last one. The sectors are there as those
// that damocles took over from another system.
func (b *Built) WriteHome(ctx context.Context, dir string) error {
	if err := b.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	config := fmt.Appendf(nil, "[Common]\n[[Miners]]\nActor = %d\n", b.Miner)
	return b.intoHome(ctx, dir, config, true)
}

// AddToHome enters the same into the home dir, which is there and has none of it, as
// what damocles has sealed itself. No program may have the home open.
func (b *Built) AddToHome(ctx context.Context, dir string) error {
	config, err := os.ReadFile(configPath(dir))
	if err != nil {
		return err
	}
	return b.intoHome(ctx, dir, config, false)
}

func configPath(home string) string { return filepath.Join(home, "sector-manager.cfg") }

func (b *Built) intoHome(ctx context.Context, dir string, config []byte, imported bool) error {
	var sections []string
	for _, s := range b.Stores {
		sections = append(sections, fmt.Sprintf("[[Common.PersistStores]]\nName = %q\nPath = %q\n", filepath.Base(s), s))
	}
	path := configPath(dir)
	raw, err := damocles.AppendStores(path, config, sections)
	if err != nil {
		return err
	}
	if err := b.fs.Replace(path, raw); err != nil {
		return err
	}
	home, err := damocles.OpenHome(ctx, dir, damocles.Config{}, damocles.Options{Write: true, Create: true, FS: b.fs})
	if err != nil {
		return err
	}
	return errors.Join(b.fillHome(ctx, home, imported), home.Close())
}

func (b *Built) fillHome(ctx context.Context, home *damocles.Home, imported bool) error {
	var states, index []damocles.Change
	for _, m := range b.Members {
		state, _, err := damocles.FromRecord(m.Record)
		if err != nil {
			return err
		}
		state.Imported = imported
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
			changes, err := home.IndexChanges(ctx, id, upgrade, filepath.Base(b.Stores[m.Replica]), filepath.Base(b.Stores[m.Cache]))
			if err != nil {
				return err
			}
			index = append(index, changes...)
		}
	}
	number, err := b.number(ctx, home)
	if err != nil {
		return err
	}
	return home.Apply(ctx, append(append(states, index...), number...))
}

// number raises the counter to the last sector, where it is lower.
func (b *Built) number(ctx context.Context, home *damocles.Home) ([]damocles.Change, error) {
	was, found, err := home.LastNumber(ctx, b.Miner)
	if err != nil || len(b.Members) == 0 || found && was >= b.last() {
		return nil, err
	}
	change := damocles.Change{Store: damocles.CollectionMeta, Key: damocles.NumberKey(b.Miner), After: damocles.EncodeNumber(b.last())}
	if found {
		change.Before = damocles.EncodeNumber(was)
	}
	return []damocles.Change{change}, nil
}
