// Package sample makes a small network of its own: it seals real sectors of 2 KiB
// and 8 MiB, phases 1 and 2 and the snap upgrade, in memory and without the native
// library. Each CommR is the true commitment of the bytes it gives out, so that
// they pass every check that a sector on a real network passes.
//
// It is for tests, the demo and benchmarks. A sector made here has no SNARK and was
// never on a chain. Formulas follow rust-fil-proofs; the source of each stands at
// the code.
package sample
