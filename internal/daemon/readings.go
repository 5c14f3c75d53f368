package daemon

import (
	"context"
	"net/http"

	"damocles-manager/internal/damocles"
)

// Readings are what a daemon tells of its home to Prometheus. Sectors are left
// out until they are counted for the first time.
func (d *Daemon) Readings() Readings {
	return Readings{
		Sectors: func(ctx context.Context) []Count {
			counts, _ := d.Census(ctx)
			return counts
		},
		Stores:    d.rooms,
		Databases: d.Home.Sizes,
	}
}

// rooms is the room in the stores whose disks answer.
func (d *Daemon) rooms(ctx context.Context) ([]StoreRoom, error) {
	infos, err := d.answering(ctx)
	if err != nil {
		return nil, err
	}
	var out []StoreRoom
	for _, s := range infos {
		out = append(out, StoreRoom{Name: s.Name, Total: s.Total, Free: s.Free, Reserved: s.Reserved})
	}
	return out, nil
}

// Health answers whether the home can be read, in the form of the original.
func Health(home *damocles.Home) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, _, err := home.Value(r.Context(), damocles.CollectionMeta, "healthcheck"); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"status":"Service Unavailable","errors":{"database":"it cannot be read"}}` + "\n"))
			return
		}
		_, _ = w.Write([]byte(`{"status":"OK"}` + "\n"))
	})
}
