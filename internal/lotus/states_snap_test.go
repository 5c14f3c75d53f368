package lotus

import "testing"

func TestSnapping(t *testing.T) {
	for state, want := range map[string]bool{
		"SnapDealsPacking": true, "ReplicaUpdateWait": true, "FinalizeReplicaUpdate": true, "AbortUpgrade": true,
		"UpdateActivating": false, "ReleaseSectorKey": false, // on chain
		"Proving": false, "PreCommit1": false, "Terminating": false, "": false,
	} {
		if got := Snapping(state); got != want {
			t.Errorf("%s: got %t, want %t", state, got, want)
		}
	}
}
