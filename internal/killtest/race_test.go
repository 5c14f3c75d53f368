//go:build race

package killtest

// raced says that the race detector makes everything some times slower.
const raced = true
