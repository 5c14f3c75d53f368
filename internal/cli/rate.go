package cli

import (
	"strconv"
	"strings"

	"damocles-manager/internal/fault"
)

// parseRate reads how many bytes a second, as 200MiB, 200M, 200MB or 200MiB/s;
// as with rsync and rclone, a bare M is MiB. 0 is no limit.
func parseRate(s string) (int64, error) {
	text := strings.TrimSuffix(strings.TrimSpace(s), "/s")
	if text == "" {
		return 0, nil
	}
	number := strings.TrimRight(text, "KMGTiBkmgtb")
	unit, known := map[string]float64{
		"": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "kb": 1e3, "m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
		"g": 1 << 30, "gib": 1 << 30, "gb": 1e9, "t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
	}[strings.ToLower(text[len(number):])]
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !known || !(n > 0) || n*unit < 1 || n*unit > 1<<62 {
		return 0, fault.BadUsage("write it as 200MiB, which is a second", "--bwlimit %q is no rate", s)
	}
	return int64(n * unit), nil
}
