package damocles_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func storesClient(t *testing.T) *damocles.Client {
	t.Helper()
	d := testkit.Damocles(t, testkit.DamoclesOptions{})
	d.ServeStores(t, "")
	at, err := damocles.ParseEndpoint(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	return damocles.Dial(at, rpc.Options{})
}

func TestClientStores(t *testing.T) {
	c := storesClient(t)
	list, err := c.StoreList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[1].Name != "t01000_02" || list[1].Path != "/storage/damocles-2" || list[1].Type != "ext2/ext3" ||
		list[1].Total != 270553174016 || list[1].Free != 77239484416 || list[1].Used != 20553809920 {
		t.Errorf("the stores are %+v", list)
	}
	info, known, err := c.StoreBasicInfo(t.Context(), "t01000_01")
	if err != nil || !known || info.Path != "/storage/damocles-1" {
		t.Errorf("t01000_01 is %+v, %t, %v", info, known, err)
	}
	if info, known, err = c.StoreBasicInfo(t.Context(), "none"); err != nil || known {
		t.Errorf("a store that is not there is %+v, %t, %v", info, known, err)
	}
}

func TestClientIndex(t *testing.T) {
	c := storesClient(t)
	for _, tt := range []struct {
		number        abi.SectorNumber
		upgrade       bool
		sealed, cache string
	}{
		{100, false, "t01000_01", "t01000_01"},
		{103, false, "t01000_01", "t01000_02"},
		{110, true, "t01000_01", "t01000_01"},
		{110, false, "", ""},
		{100, true, "", ""},
	} {
		sealed, cache, found, err := c.Index(t.Context(), abi.SectorID{Miner: 1000, Number: tt.number}, tt.upgrade)
		if err != nil || sealed != tt.sealed || cache != tt.cache || found != (tt.sealed != "") {
			t.Errorf("%d, upgrade %t: %q, %q, %t, %v; want %q, %q", tt.number, tt.upgrade, sealed, cache, found, err, tt.sealed, tt.cache)
		}
	}
}

func TestReservations(t *testing.T) {
	const a, b = `{"By":"s-t01000-1","Size":5,"At":7}`, `{"By":"s-t01000-2","Size":6,"At":8}`
	got, err := damocles.Reservations([]byte(`{"Stats":{"x":{"ReservedSize":11,"Reserved":{"s-t01000-2":` + b + `,"s-t01000-1":` + a + `}},"y":null,"z":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]damocles.Reservation{"x": {{By: "s-t01000-1", Size: 5, At: 7}, {By: "s-t01000-2", Size: 6, At: 8}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, err := damocles.Reservations(nil); err != nil || len(got) != 0 {
		t.Errorf("nothing is reserved: %v, %v", got, err)
	}
	if _, err := damocles.Reservations([]byte(`{"Stats":[`)); err == nil || !strings.Contains(err.Error(), "reserved in the stores") {
		t.Errorf("what is no JSON: %v", err)
	}
}

func TestReadDisk(t *testing.T) {
	s := damocles.StoreInfo{Name: "x", Path: t.TempDir()}
	if err := s.ReadDisk([]damocles.Reservation{{By: "a", Size: 3}, {By: "b", Size: 4}}); err != nil {
		t.Fatal(err)
	}
	if s.Reserved != 7 || s.Total == 0 || s.Type == "" || s.Used+s.Free > s.Total || s.UsedPercent < 0 || s.UsedPercent > 100 {
		raw, _ := json.Marshal(s)
		t.Errorf("got %s", raw)
	}
	gone := damocles.StoreInfo{Path: filepath.Join(s.Path, "none")}
	if err := gone.ReadDisk(nil); err == nil || !os.IsNotExist(err) || !strings.Contains(err.Error(), gone.Path) {
		t.Errorf("a store that is not there: %v", err)
	}
}

func TestWeights(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, "sector-manager.cfg")
	config := "[[Common.PersistStores]]\nPath = \"/a\"\n[[Common.PersistStores]]\nName = \"b\"\nPath = \"/b\"\nWeight = 4\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := damocles.LoadConfig(home, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	got, err := cfg.Weights()
	if want := map[string]uint{"/a": 0, "b": 4}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := (damocles.Config{}).Weights(); err != nil || len(got) != 0 {
		t.Errorf("without a file: %v, %v", got, err)
	}
}
