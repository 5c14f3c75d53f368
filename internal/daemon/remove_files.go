package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

// filesOf are the files that a sector has in the stores which the index names for it,
// of every kind. A sector that is in no store may only be one that was never sealed.
func (d *Daemon) filesOf(ctx context.Context, id sector.ID, neverSealed bool) ([]File, error) {
	stores, err := d.storesOf(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(stores) == 0 && !neverSealed {
		return nil, notRemoved(true, id, "enter the store that has it with: damocles-manager util storage attach", "object not found: the index does not say where its files are")
	}
	var out []File
	for _, s := range stores {
		for _, kind := range sector.FileKinds() {
			if kind == sector.PieceFile {
				continue
			}
			is, err := lies(s, kind, id)
			if err != nil {
				return nil, err
			}
			if is {
				out = append(out, File{Store: s.Store(), Kind: kind})
			}
		}
	}
	return out, nil
}

// storesOf are the stores of a sector's replicas and cache directories, each of which
// has to be there: one that is not mounted has no files to show, and would have them
// again later.
func (d *Daemon) storesOf(ctx context.Context, id sector.ID) ([]migrate.HomeStore, error) {
	var out []migrate.HomeStore
	for _, upgrade := range []bool{false, true} {
		at, found, err := d.index(ctx, id, upgrade)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		replica, cache := kinds(upgrade)
		for kind, name := range map[sector.FileKind]string{replica: at.SealedFile, cache: at.CacheDir} {
			s, err := d.storeNamed(name)
			if err != nil {
				return nil, notRemoved(true, id, "enter that store in sector-manager.cfg and start again", "the index names a store: %w", err)
			}
			if err := usable(s, kind, id); err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(out, func(o migrate.HomeStore) bool { return o.Path == s.Path }) {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

func usable(s migrate.HomeStore, kind sector.FileKind, id sector.ID) error {
	switch {
	case s.PluginName != "":
		return notRemoved(true, id, "remove it with the original damocles-manager", "its store %s is kept by the plugin %q", s.Name, s.PluginName)
	case s.ReadOnly:
		return notRemoved(true, id, "take ReadOnly out of the configuration of that store, and start again", "its store %s is read-only", s.Name)
	}
	info, err := os.Stat(s.Store().TypeDir(kind))
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return notRemoved(true, id, "look whether the disk is mounted", "its store %s has no %s: %w", s.Name, kind, err)
	}
	return nil
}

// lies says whether something is in the sector's place, and refuses what cannot be a
// sector's. A link counts as there, for the quarantine to refuse.
func lies(s migrate.HomeStore, kind sector.FileKind, id sector.ID) (bool, error) {
	path := s.Store().Path(kind, id)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	link := info.Mode()&fs.ModeSymlink != 0
	return true, notRemoved(!link && info.IsDir() != kind.IsDir(), id, "look at what that is", "%s is not what belongs there", path)
}
