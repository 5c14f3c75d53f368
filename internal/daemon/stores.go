package daemon

import (
	"cmp"
	"context"
	"slices"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/migrate"
)

// storeList leaves out, as the original does, a store that does not say how full it
// is, and one that a plugin keeps.
func (d *Daemon) storeList(ctx context.Context, _ *args) (any, error) { return d.answering(ctx) }

// answering are the stores whose disks answer.
func (d *Daemon) answering(ctx context.Context) ([]damocles.StoreInfo, error) {
	summary, err := d.Home.Reserved(ctx)
	if err != nil {
		return nil, err
	}
	reserved, err := damocles.Reservations(summary)
	if err != nil {
		d.Log.Error("what is reserved in the stores is not listed", "error", err)
	}
	out := []damocles.StoreInfo{}
	for _, s := range d.Stores {
		if s.PluginName != "" {
			d.Log.Warn("a store is left out: only the original can ask a plugin", "store", s.Name, "plugin", s.PluginName)
			continue
		}
		by := append([]damocles.Reservation{}, reserved[s.Name]...) // [] where there are none
		slices.SortFunc(by, func(a, b damocles.Reservation) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.By, b.By)) })
		info, err := d.disks.read(ctx, d.storeInfo(s), by)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			d.Log.Error("a store is left out", "store", s.Name, "error", err)
			continue
		}
		out = append(out, info)
	}
	return out, nil
}

// storeInfo has the weight as it stands in the configuration, where one that is left
// out is listed as 0.
func (d *Daemon) storeInfo(s migrate.HomeStore) damocles.StoreInfo {
	info := damocles.StoreInfo{Name: s.Name, Path: s.Path, Strict: s.Strict, ReadOnly: s.ReadOnly, Weight: s.Weight, Meta: s.Meta}
	if !s.Scanned {
		info.Weight = d.weights[s.Name]
	}
	return info
}

func (d *Daemon) storeBasicInfo(_ context.Context, a *args) (any, error) {
	name := arg[string](a, 0, "string")
	if a.err != nil {
		return nil, a.err
	}
	s, ok := migrate.StoreNamed(d.Stores, name)
	if !ok {
		return null, nil
	}
	info := d.storeInfo(s)
	return struct {
		Name, Path       string
		Strict, ReadOnly bool
		Weight           uint
		Meta             map[string]string
	}{info.Name, info.Path, info.Strict, info.ReadOnly, info.Weight, info.Meta}, nil
}
