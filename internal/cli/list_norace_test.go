//go:build !race

package cli

const manySectors = 100_000
