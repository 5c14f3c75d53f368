package damocles_test

import (
	"path/filepath"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/damocles/storetest"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func TestSuiteBadger(t *testing.T) {
	storetest.Run(t, storetest.Kind{
		Keeps: true, Snapshot: true, Records: 4500,
		New: func(t *testing.T) func() *damocles.Home {
			dir := filepath.Join(t.TempDir(), "home")
			return func() *damocles.Home {
				h, err := damocles.OpenHome(t.Context(), dir, damocles.Config{}, damocles.Options{Write: true, Create: true})
				if err != nil {
					t.Fatal(err)
				}
				return h
			}
		},
	})
}

// The stand-in has transactions, and alone it compares and writes in one step.
func TestSuiteMongo(t *testing.T) {
	for name, replicaSet := range map[string]bool{"replica set": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Kind{
				Keeps: true, Shared: true, Records: 4500,
				New: func(t *testing.T) func() *damocles.Home {
					m := testkit.NewMongo(t, replicaSet)
					cfg := damocles.Config{Common: damocles.CommonConfig{DB: damocles.DBConfig{
						Driver: "mongo", Mongo: damocles.MongoConfig{DSN: rpc.Token("mongodb://" + m.Addr), DatabaseName: "db"},
					}}}
					return func() *damocles.Home { // as on several machines
						h, err := damocles.OpenHome(t.Context(), t.TempDir(), cfg, damocles.Options{Write: true, DaemonStopped: true})
						if err != nil {
							t.Fatal(err)
						}
						return h
					}
				},
			})
		})
	}
}

func TestSuiteMemory(t *testing.T) {
	storetest.Run(t, storetest.Kind{
		Snapshot: true, Records: 4500,
		New: func(*testing.T) func() *damocles.Home { return damocles.NewMemoryHome },
	})
}
