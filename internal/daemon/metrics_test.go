package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/damocles"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	srv := httptest.NewServer(m.Handler())
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	var log bytes.Buffer
	m, err := NewMetrics("v1", Readings{
		Sectors: func(context.Context) []Count {
			return []Count{{damocles.Offline, "finalized", 21}, {damocles.Online, "sealing", 2}}
		},
		Databases: func(context.Context) (map[string]uint64, error) { return map[string]uint64{"meta": 4096}, nil },
		Stores: func(context.Context) ([]StoreRoom, error) {
			return []StoreRoom{{"a", 1000, 300, 20}}, errors.New("the store b hangs")
		},
	}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	m.Observe("Venus.Version", 2*time.Millisecond, 0)
	m.Observe("Venus.FindSector", 20*time.Millisecond, 1)
	m.Observe("Venus.FindSector", 20*time.Millisecond, 1)
	got := scrape(t, m)
	for _, want := range []string{
		`damocles_rpc_calls_total{code="0",method="Venus.Version"} 1`,
		`damocles_rpc_calls_total{code="1",method="Venus.FindSector"} 2`,
		`damocles_rpc_call_seconds_bucket{method="Venus.Version",le="0.003"} 1`,
		`damocles_sectors{state="finalized",workspace="offline"} 21`,
		`damocles_sectors{state="sealing",workspace="online"} 2`,
		`damocles_database_bytes{collection="meta"} 4096`,
		`damocles_store_bytes{store="a"} 1000`,
		`damocles_store_free_bytes{store="a"} 300`,
		`damocles_store_reserved_bytes{store="a"} 20`,
		`damocles_build_info{version="v1"} 1`,
		`process_resident_memory_bytes`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if !strings.Contains(log.String(), "the store b hangs") {
		t.Errorf("what could not be read is not logged: %s", log.String())
	}
}

// A store may be named by its directory, which may be named in any bytes. Prometheus
// takes text only, and its library panics at anything else.
func TestMetricsOfStoreWithoutText(t *testing.T) {
	m, err := NewMetrics("v1", Readings{Stores: func(context.Context) ([]StoreRoom, error) {
		return []StoreRoom{{"/store\xff", 1, 1, 1}, {"/store\xfe", 2, 2, 2}, {"/存储", 3, 3, 3}}, nil
	}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	got := scrape(t, m)
	for _, want := range []string{
		`damocles_store_bytes{store="/store\\xff"} 1`, `damocles_store_bytes{store="/store\\xfe"} 2`, `damocles_store_bytes{store="/存储"} 3`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
