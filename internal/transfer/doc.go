// Package transfer carries sectors from one store to another: it copies them,
// or moves them, and loses none of them whatever stops it, and when.
//
// A sector comes as a list of objects: replica files and cache directories,
// each with its path at the source and at the target. Within a file system an
// object is moved by a rename that replaces nothing. Across file systems it is
// copied to a name that no program takes for a sector
// (<kind>/fetching/.damocles-manager.<sector>), synced, verified, published by
// such a rename, its directory synced, and entered in the manifest beside the
// store. Only then the caller is told (Options.Known), and only after that the
// source is removed. So at every moment each object is whole under its right
// name on at least one side, and a run after any interruption completes.
//
// The package knows nothing of lotus, damocles or the chain: which sectors
// there are, which of their objects belong together, and who has to hear of a
// new place is the caller's business.
package transfer
