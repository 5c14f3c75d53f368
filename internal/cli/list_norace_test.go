//go:build !race

package cli

const manySectors = 50_000
