package testkit

import (
	"path/filepath"
	"testing"
)

func TestStoreRepliesAreThoseOfTheRealProgram(t *testing.T) {
	d := Damocles(t, DamoclesOptions{})
	d.ServeStores(t, "")
	compared := 0
	for _, pattern := range []string{"Store*.json", "SectorIndexerFind*.json"} {
		for _, path := range Glob(t, "rpc/damocles-manager/"+pattern) {
			x := ReadExchange(t, path)
			if _, got := post(t, d.URL, x); got != string(x.Response) {
				t.Errorf("%s:\n got %s\nwant %s", filepath.Base(path), got, x.Response)
			}
			compared++
		}
	}
	if compared != 5 {
		t.Errorf("compared %d exchanges, want 5", compared)
	}
}
