package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeTime bounds what one scrape may ask of the databases and the disks.
const scrapeTime = 10 * time.Second

// StoreRoom is the room in a store, in bytes.
type StoreRoom struct {
	Name                  string
	Total, Free, Reserved uint64
}

// Readings are what is read anew for each scrape. Each may be nil.
type Readings struct {
	Sectors   func(ctx context.Context) []Count
	Stores    func(ctx context.Context) ([]StoreRoom, error)
	Databases func(ctx context.Context) (map[string]uint64, error) // bytes, by collection
}

// Metrics are what Prometheus is told.
type Metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	log      *slog.Logger
}

// NewMetrics makes the metrics of a daemon.
func NewMetrics(version string, read Readings, log *slog.Logger) (*Metrics, error) {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "damocles_rpc_calls_total", Help: "Calls answered, by method and by the code of the answer's error, 0 for none.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "damocles_rpc_call_seconds", Help: "How long calls took, to the last byte of the answer.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 100},
		}, []string{"method"}),
		log: log,
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "damocles_build_info", Help: "1, with the version as a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	var errs []error
	for _, c := range []prometheus.Collector{
		m.calls, m.seconds, build, readings{read, log},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, m.registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// Observe counts a call that was answered.
func (m *Metrics) Observe(method string, took time.Duration, code int) {
	m.calls.WithLabelValues(method, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}

// Handler answers a scrape. What cannot be read is left out, and logged: the
// rest is as good.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * scrapeTime})
}

// readings is the collector of what is read for each scrape.
type readings struct {
	Readings
	log *slog.Logger
}

var (
	sectorsDesc = prometheus.NewDesc("damocles_sectors", "Sectors, by workspace and state.", []string{"workspace", "state"}, nil)
	bytesDesc   = prometheus.NewDesc("damocles_database_bytes", "Size of a database on disk, in bytes.", []string{"collection"}, nil)
	totalDesc   = prometheus.NewDesc("damocles_store_bytes", "Size of the disk of a store, in bytes.", []string{"store"}, nil)
	freeDesc    = prometheus.NewDesc("damocles_store_free_bytes", "Room that is free in a store, in bytes.", []string{"store"}, nil)
	holdDesc    = prometheus.NewDesc("damocles_store_reserved_bytes", "Room in a store that is reserved for sectors being sealed, in bytes.", []string{"store"}, nil)
)

// Describe names the metrics.
func (readings) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sectorsDesc, bytesDesc, totalDesc, freeDesc, holdDesc} {
		ch <- d
	}
}

// Collect reads them.
func (r readings) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if r.Sectors != nil {
		for _, c := range r.Sectors(ctx) {
			gauge(sectorsDesc, float64(c.Sectors), string(c.Workspace), c.State)
		}
	}
	r.try("databases", r.Databases != nil, func() error {
		sizes, err := r.Databases(ctx)
		for name, size := range sizes {
			gauge(bytesDesc, float64(size), name)
		}
		return err
	})
	r.try("stores", r.Stores != nil, func() error {
		rooms, err := r.Stores(ctx)
		for _, s := range rooms {
			name := label(s.Name)
			gauge(totalDesc, float64(s.Total), name)
			gauge(freeDesc, float64(s.Free), name)
			gauge(holdDesc, float64(s.Reserved), name)
		}
		return err
	})
}

// label is a name as Prometheus takes it, which is text only. A store that has no name
// is named by its directory.
func label(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}

func (r readings) try(what string, wanted bool, read func() error) {
	if !wanted {
		return
	}
	if err := read(); err != nil {
		r.log.Warn("metrics: "+what+" could not be read", "error", err)
	}
}
