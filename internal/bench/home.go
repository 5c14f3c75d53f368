package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
)

// makeHome makes a damocles home of CC sectors of 2 KiB whose files are in the
// given stores in turn, and the stores. The files have the sizes of real ones,
// and contents of their own.
func makeHome(dir, template string, sectors int, stores []string) error {
	raw, err := os.ReadFile(template)
	if err != nil {
		return err
	}
	state, err := damocles.DecodeState(raw)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	config := ""
	for i, path := range stores {
		config += fmt.Sprintf("[[Common.PersistStores]]\nName = \"store%d\"\nPath = %q\n", i, path)
	}
	if err := os.WriteFile(filepath.Join(dir, "sector-manager.cfg"), []byte("[Common]\n"+config), 0o600); err != nil {
		return err
	}
	home, err := damocles.OpenHome(context.Background(), dir, damocles.Config{}, damocles.Options{Write: true, Create: true})
	if err != nil {
		return err
	}
	var states, index []damocles.Change
	for n := range abi.SectorNumber(sectors) {
		state.ID = abi.SectorID{Miner: 1000, Number: n}
		value, err := damocles.EncodeState(state)
		if err != nil {
			return err
		}
		sealed, cache := damocles.IndexKeys(1000, n, false)
		name := fmt.Appendf(nil, "store%d", int(n)%len(stores))
		states = append(states, damocles.Change{Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, n), After: value})
		index = append(index,
			damocles.Change{Store: damocles.CollectionIndex, Key: sealed, After: name},
			damocles.Change{Store: damocles.CollectionIndex, Key: cache, After: name})
		if err := makeFiles(stores[int(n)%len(stores)], fmt.Sprintf("s-t01000-%d", n), int(n)); err != nil {
			return err
		}
	}
	if err := home.Apply(context.Background(), append(states, index...)); err != nil {
		return err
	}
	return home.Close()
}

func makeFiles(store, name string, seed int) error {
	cache := filepath.Join(store, "cache", name)
	for _, dir := range []string{filepath.Join(store, "sealed"), cache} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for path, size := range map[string]int{
		filepath.Join(store, "sealed", name): 2048, filepath.Join(cache, "p_aux"): 64,
		filepath.Join(cache, "t_aux"): 300, filepath.Join(cache, "sc-02-data-tree-r-last.dat"): 32,
	} {
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i*7 + seed*13 + seed>>8)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
