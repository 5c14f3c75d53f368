package cli

import "testing"

func TestParseRate(t *testing.T) {
	for s, want := range map[string]int64{
		"": 0, "200MiB": 200 << 20, "200M": 200 << 20, "200MiB/s": 200 << 20, "1.5g": 3 << 29, "10MB": 10_000_000,
		"4096": 4096, "4096B": 4096, " 1 GiB ": 1 << 30, "1T": 1 << 40,
	} {
		if got, err := parseRate(s); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"0", "-1", "M", "fast", "10MM", "10 parsec", "NaN", "Inf", "1e300G", "0.1", "0x10M"} {
		if got, err := parseRate(s); err == nil {
			t.Errorf("%q: taken for %d", s, got)
		}
	}
}
