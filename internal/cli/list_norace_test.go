//go:build !race

package cli

const manySectors = 200_000
