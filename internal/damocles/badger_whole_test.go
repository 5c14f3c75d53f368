package damocles

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

// A table that can no longer be read, as on a disk that fails while the home is open, is an
// error: what is in it must not be taken for not there.
func TestTableLost(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:100] },
		"garbage": func(b []byte) []byte { return bytes.Repeat([]byte{0x5a}, len(b)) },
		"a byte":  func(b []byte) []byte { b[40] ^= 0xff; return b }, // at which Badger panics
	} {
		for _, write := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				home := copyHome(t)
				h := openHome(t, home, Options{Write: write})
				table := filepath.Join(home, "offline_meta", "000002.sst")
				whole := readFile(t, table)
				writeFile(t, table, damage(bytes.Clone(whole)))
				defer writeFile(t, table, whole)
				added := Change{CollectionOffline, StateKey(Offline, 1000, 100), nil, []byte("new")}
				ways := map[string]func() error{
					"one that is there": func() error { _, _, err := h.Get(t.Context(), Offline, 1000, 100); return err },
					"one that is not":   func() error { _, _, err := h.Get(t.Context(), Offline, 1000, 9999); return err },
					"all":               func() error { return h.Each(t.Context(), Offline, nil, func(KV) error { return nil }) },
					"the numbers":       func() error { return h.EachNumber(t.Context(), Offline, nil, func(abi.SectorNumber) {}) },
				}
				if write {
					ways["a changed one"] = func() error {
						changed := added
						changed.Before = []byte("old")
						return h.Apply(t.Context(), []Change{changed})
					}
					ways["a new one"] = func() error { return h.Apply(t.Context(), []Change{added}) }
				}
				for what, way := range ways {
					if err := way(); err == nil || fault.HintOf(err) == "" || strings.Contains(err.Error(), "\n") {
						t.Errorf("write %v: %s: got %v, hint %q", write, what, err, fault.HintOf(err))
					}
				}
			})
		}
	}
}

// A table that cannot be read when the home is closed is there afterwards, with all that
// is in it.
func TestTableLostAtClose(t *testing.T) {
	home := copyHome(t)
	h := openHome(t, home, Options{Write: true})
	want := len(numbers(t, h, Offline, nil)) + 1
	apply(t, h, Change{CollectionOffline, StateKey(Offline, 1000, 9999), nil, []byte("{}")})
	table := filepath.Join(home, "offline_meta", "000002.sst")
	whole := readFile(t, table)
	writeFile(t, table, whole[:100])
	closeHome(t, h)
	writeFile(t, table, whole)
	if got := len(numbers(t, openHome(t, home, Options{}), Offline, nil)); got != want {
		t.Errorf("%d sectors are left of %d", got, want)
	}
}
