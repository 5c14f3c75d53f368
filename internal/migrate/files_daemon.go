package migrate

import (
	"context"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
)

var _ Locator = (*Daemon)(nil)

// Locate asks the daemon for the entry in its index.
func (d *Daemon) Locate(ctx context.Context, id sector.ID, upgrade bool) (replica, cache string, found bool, err error) {
	return d.client.Index(ctx, abi.SectorID(id), upgrade)
}
