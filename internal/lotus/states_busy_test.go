package lotus

import "testing"

func TestBusy(t *testing.T) {
	for state, want := range map[string]bool{
		"SnapDealsPacking": true, "ReplicaUpdateWait": true, "FinalizeReplicaUpdate": true, "AbortUpgrade": true,
		"FinalizeSector": true, "FinalizeFailed": true, // its files are on the move
		"SealPreCommit1Failed": true, "PreCommitFailed": true, "ComputeProofFailed": true, // it goes on after a minute
		"CommitFinalizeFailed": true, "RemoteCommitFailed": true, "RecoverDealIDs": true,
		"AddPieceFailed": false, "PackingFailed": false, "DealsExpired": false, // given up
		"UpdateActivating": false, "ReleaseSectorKey": false, // on chain
		"Proving": false, "PreCommit1": false, "Terminating": false, "": false,
	} {
		if got := Busy(state); got != want {
			t.Errorf("%s: got %t, want %t", state, got, want)
		}
	}
}
