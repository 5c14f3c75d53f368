// Package lotus knows lotus-miner: its RPC, its repo on disk (the locks, the
// LevelDB with the sectors' metadata, the counters of numbers, the backup
// format), and how its SectorInfo and our neutral record become one another.
//
// It does not decide what is carried where, and knows nothing of damocles. It
// writes into a repo only through a transaction of a Repo opened for writing.
package lotus
