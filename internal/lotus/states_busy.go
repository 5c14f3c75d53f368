package lotus

import "damocles-manager/internal/sector"

// Busy says of a state that is not one of sealing whether lotus-miner still has work
// to do in it: a snap upgrade of which it is open whether it reaches the chain, a
// sector whose files it still has to move to their store, or one that it tries to
// seal again by itself.
func Busy(name string) bool {
	info := StateOf(name)
	return info.snap && info.Status == sector.InDoubt || name == "FinalizeSector" || name == "FinalizeFailed" || retried[name]
}

// retried are the failures after which lotus-miner waits for a minute and goes on
// (storage/pipeline/states_failed.go). From PreCommitFailed on, the deposit of the
// precommit may be at stake.
var retried = map[string]bool{
	"SealPreCommit1Failed": true, "SealPreCommit2Failed": true, "PreCommitFailed": true,
	"ComputeProofFailed": true, "RemoteCommitFailed": true, "CommitFinalizeFailed": true, "RecoverDealIDs": true,
}

// Known says whether lotus, up to the version that the table of states is of, has
// the state at all.
func Known(name string) bool {
	_, ok := states[name]
	return ok
}
