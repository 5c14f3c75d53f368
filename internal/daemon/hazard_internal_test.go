package daemon

import (
	"bytes"
	"os"
	"testing"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/testkit"
)

// Whatever is given, checking it does not crash, and what passes is written such that
// it passes again, with none of what the original acts on.
func FuzzCheckState(f *testing.F) {
	for _, path := range testkit.Glob(f, "damocles-states/*.json") {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := damocles.DecodeState(raw)
		if err != nil || checkEmptyDeals(raw, s) != nil {
			return
		}
		for _, ws := range []damocles.Workspace{damocles.Online, damocles.Offline} {
			if checkState(ws, s) != nil {
				continue
			}
			out, err := damocles.EncodeState(s)
			if err != nil {
				t.Fatal(err)
			}
			again, err := damocles.DecodeState(out)
			if err != nil {
				t.Fatalf("what was taken cannot be read again: %v\n%s", err, out)
			}
			if err := checkState(ws, again); err != nil {
				t.Errorf("what was taken is refused the next time: %v\n%s", err, out)
			}
			if bytes.Contains(out, []byte(`"DealInfo":{"IsBuiltinMarket"`)) {
				t.Errorf("a deal of two flags was taken: %s", out)
			}
		}
	})
}
