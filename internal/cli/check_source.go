package cli

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"time"

	"damocles-manager/internal/audit"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// nothing is what is closed of directories.
type nothing struct{}

func (nothing) Close() error { return nil }

// checkSource opens what the flags name, and fills in the metadata, the index and
// the stores.
func (a *app) checkSource(ctx context.Context, o checkOptions, opt *audit.Options) (io.Closer, error) {
	dirs, err := a.storeDirs(ctx, o)
	if err != nil {
		return nil, err
	}
	switch {
	case o.repo != "" || o.api != "":
		return a.checkLotus(ctx, o, dirs, opt)
	case dirs != nil && a.home == "" && (!a.listenGiven || a.listen == listenNone):
		opt.Stores = dirs
		a.ui.Info("checking whatever lies in the stores that were named")
		return nothing{}, nil
	default:
		return a.checkDamocles(ctx, o, dirs, opt)
	}
}

// storeDirs are the directories of --store, each once.
func (a *app) storeDirs(ctx context.Context, o checkOptions) ([]store.Store, error) {
	var out []store.Store
	for _, dir := range o.stores {
		dir, err := a.expandHome(dir)
		if err != nil {
			return nil, err
		}
		if err := audit.CheckStore(ctx, dir, o.timeout); err != nil {
			return nil, fault.New("name the directory that holds sealed, cache, update and update-cache", "--store: %w", err)
		}
		if !slices.ContainsFunc(out, func(s store.Store) bool { return s.Dir == dir }) {
			out = append(out, store.Store{Name: dir, Dir: dir})
		}
	}
	return out, nil
}

// otherMiner refuses a --miner that a lotus-miner is not.
func otherMiner(opt *audit.Options, side *lotusSide) error {
	if opt.Miner != nil && *opt.Miner != side.miner {
		return fault.Refuse("leave --miner out, or name the lotus-miner that is meant",
			"%s belongs to %s, not to %s", side.name, sector.MinerString(side.miner), sector.MinerString(*opt.Miner))
	}
	opt.Miner = &side.miner
	return nil
}

func (a *app) checkLotus(ctx context.Context, o checkOptions, dirs []store.Store, opt *audit.Options) (_ io.Closer, err error) {
	side, err := a.lotusSide(ctx, o.lotusFlags, o.jobs)
	if err != nil {
		return nil, err
	}
	if err = otherMiner(opt, side); err == nil && dirs == nil {
		dirs, err = lotusDirs(ctx, side)
	}
	if err != nil {
		closing(&err, side)
		return nil, err
	}
	opt.Metadata, opt.Stores = migrate.LotusRecords(side.source, side.miner), dirs
	return side, nil
}

// lotusDirs are the storage paths of a lotus-miner. None of them is touched, as any
// may hang.
func lotusDirs(ctx context.Context, side *lotusSide) ([]store.Store, error) {
	var paths []string
	where := side.name
	if side.repo != nil {
		where = lotus.StoragePath(side.name)
		storage, _, err := lotus.ReadStorage(side.name)
		if err != nil {
			return nil, err
		}
		paths = storage.Paths()
	} else {
		storage, err := side.source.(migrate.LotusStorage).Storage(ctx)
		if err != nil {
			return nil, fault.New("name the directories of its sectors with --store, or give a token of lotus-miner auth create-token --perm admin",
				"ask for its storage paths: %w", err)
		}
		for _, s := range storage {
			paths = append(paths, s.Path)
		}
	}
	var out []store.Store
	for _, p := range paths {
		out = append(out, store.Store{Name: p, Dir: filepath.Clean(p)})
	}
	if len(out) == 0 {
		return nil, fault.New("name the directories of its sectors with --store", "%s names no storage path", where)
	}
	return out, nil
}

func (a *app) checkDamocles(ctx context.Context, o checkOptions, dirs []store.Store, opt *audit.Options) (_ io.Closer, err error) {
	side, err := a.damoclesSide(ctx, access{jobs: o.jobs})
	if err != nil {
		return nil, err
	}
	source := a.damoclesSource(side, o.jobs)
	opt.Metadata, opt.Stores = migrate.DamoclesRecords(source), dirs
	if dirs == nil {
		opt.Locator, opt.Unreachable = source, map[string]string{}
		err = a.damoclesDirs(ctx, side, opt)
	}
	if err != nil {
		closing(&err, side)
		return nil, err
	}
	return side, nil
}

// damoclesSource has the sectors of a damocles and its index.
func (a *app) damoclesSource(side *damoclesSide, jobs int) fileSource {
	if side.daemon != nil {
		return migrate.NewDaemon(side.daemon, jobs, "", side.addr, "check", 0, a.fs)
	}
	return migrate.NewHome(side.home, side.dir, "check", 0, a.fs)
}

func (a *app) damoclesDirs(ctx context.Context, side *damoclesSide, opt *audit.Options) error {
	stores, err := a.checkedStores(ctx, side, opt.Timeout)
	if err != nil {
		return err
	}
	for _, s := range stores {
		if s.PluginName != "" {
			opt.Unreachable[s.Name] = "the store is reached through the plugin " + s.PluginName + ", which only damocles has: nothing is known of what lies in it"
			continue
		}
		opt.Stores = append(opt.Stores, s.Store())
	}
	if len(stores) == 0 {
		return fault.New("name the directories of its sectors with --store", "%s has no stores", side.name())
	}
	return nil
}

// checkedStores are damocles's stores. Those that a home finds by a pattern are
// looked into, and any of them may hang.
func (a *app) checkedStores(ctx context.Context, side *damoclesSide, timeout time.Duration) ([]migrate.HomeStore, error) {
	if side.daemon != nil && !side.ours {
		return side.stores(ctx, a)
	}
	stores, err := audit.Within(ctx, timeout, func() ([]migrate.HomeStore, error) { return side.stores(ctx, a) })
	if audit.Hangs(err) {
		return nil, fault.New("see to the mounts, give it longer with --timeout, or name the stores that answer with --store",
			"look for the stores of ScanPersistStores in sector-manager.cfg: %w", err)
	}
	return stores, err
}
