package ui

import (
	"fmt"
	"time"
)

// Bytes writes a size as people read it, as 43.2 GiB.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1023.95 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

// timeLeft writes how long the rest takes at the rate so far, or ?.
func timeLeft(done, total int64, elapsed time.Duration) string {
	if done <= 0 || elapsed <= 0 {
		return "?"
	}
	left := time.Duration(float64(elapsed) / float64(done) * float64(total-done))
	return left.Round(time.Second).String()
}
