//go:build race

package cli

const manySectors = 20_000 // the race detector takes ten times as long
