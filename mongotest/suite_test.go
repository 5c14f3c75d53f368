package mongotest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/damocles/storetest"
	"damocles-manager/internal/rpc"
)

// config is that of a home in MongoDB.
func config(dsn, database string) damocles.Config {
	return damocles.Config{Common: damocles.CommonConfig{DB: damocles.DBConfig{
		Driver: "mongo", Mongo: damocles.MongoConfig{DSN: rpc.Token(dsn), DatabaseName: database},
	}}}
}

func openHome(t *testing.T, dsn, database string) *damocles.Home {
	t.Helper()
	h, err := damocles.OpenHome(t.Context(), t.TempDir(), config(dsn, database),
		damocles.Options{Write: true, DaemonStopped: true, Patience: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSuite(t *testing.T) {
	s := newServer(t)
	var databases atomic.Int32
	storetest.Run(t, storetest.Kind{
		Keeps: true, Shared: true, Records: 250,
		Racy: "FerretDB v1.24 looks for the record and writes it in two steps, where a MongoDB does both in one",
		New: func(t *testing.T) func() *damocles.Home {
			database := fmt.Sprint("suite", databases.Add(1))
			return func() *damocles.Home { return openHome(t, s.dsn(), database) }
		},
	})
}
