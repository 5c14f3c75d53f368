package lotus

import "testing"

func TestBusy(t *testing.T) {
	for state, want := range map[string]bool{
		"SnapDealsPacking": true, "ReplicaUpdateWait": true, "FinalizeReplicaUpdate": true, "AbortUpgrade": true,
		"FinalizeSector": true, "FinalizeFailed": true, // its files are on the move
		"UpdateActivating": false, "ReleaseSectorKey": false, // on chain
		"Proving": false, "PreCommit1": false, "Terminating": false, "": false,
	} {
		if got := Busy(state); got != want {
			t.Errorf("%s: got %t, want %t", state, got, want)
		}
	}
}
