package lotus

import (
	"strings"
	"testing"

	"damocles-manager/internal/sector"
)

// Every state of lotus v1.36 (storage/pipeline/sector_state.go), by what a switch
// may do with it.
func TestStates(t *testing.T) {
	classes := []struct {
		want  StateInfo
		names string
	}{
		{StateInfo{Status: sector.Finished, upgrade: byMetadata, Rests: true}, "Proving Available"},
		{StateInfo{Status: sector.Finished, upgrade: onlyChain, Rests: true}, "FaultReported Faulty FaultedFinal"},
		{StateInfo{Status: sector.Finished, upgrade: onlyChain}, "FinalizeSector"},
		{StateInfo{Status: sector.Finished, upgrade: always, snap: true}, "UpdateActivating ReleaseSectorKey"},
		{StateInfo{Status: sector.InDoubt, snap: true}, `SnapDealsWaitDeals SnapDealsAddPiece SnapDealsPacking
			UpdateReplica ProveReplicaUpdate SubmitReplicaUpdate WaitMutable ReplicaUpdateWait FinalizeReplicaUpdate
			SnapDealsAddPieceFailed SnapDealsDealsExpired SnapDealsRecoverDealIDs AbortUpgrade ReplicaUpdateFailed
			ReleaseSectorKeyFailed FinalizeReplicaUpdateFailed`},
		{StateInfo{Status: sector.InDoubt}, `FinalizeFailed FailedUnrecoverable RemoveFailed
			Terminating TerminateWait TerminateFailed`},
		{StateInfo{Status: sector.Committing}, `SubmitCommit CommitWait SubmitCommitAggregate
			CommitAggregateWait CommitFailed`},
		{StateInfo{Status: sector.Sealing}, `Empty WaitDeals AddPiece Packing GetTicket PreCommit1 PreCommit2
			PreCommitting PreCommitWait SubmitPreCommitBatch PreCommitBatchWait WaitSeed Committing CommitFinalize
			ReceiveSector`},
		{StateInfo{Status: sector.Failed}, `AddPieceFailed SealPreCommit1Failed SealPreCommit2Failed PackingFailed
			PreCommitFailed ComputeProofFailed RemoteCommitFailed CommitFinalizeFailed DealsExpired RecoverDealIDs`},
		{StateInfo{Status: sector.Terminated}, "TerminateFinality"},
		{StateInfo{Status: sector.Removed}, "Removing"},
		{StateInfo{Status: sector.Removed, Rests: true}, "Removed"},
	}
	seen := map[string]bool{}
	for _, class := range classes {
		for _, name := range strings.Fields(class.names) {
			seen[name] = true
			if got := StateOf(name); got != class.want {
				t.Errorf("%s: got %+v, want %+v", name, got, class.want)
			}
			if got, want := Transient(name), !class.want.Rests; got != want {
				t.Errorf("%s: transient %v, want %v", name, got, want)
			}
		}
	}
	if len(seen) != 63 || len(states) != 63 {
		t.Errorf("tested %d states, table has %d, want 63", len(seen), len(states))
	}
}

// A state of a newer lotus may be anything, so nothing is taken for granted.
func TestUnknownStates(t *testing.T) {
	for _, name := range []string{"", "FromTheFuture", "proving"} {
		if got, want := StateOf(name), (StateInfo{Status: sector.InDoubt}); got != want {
			t.Errorf("%q: got %+v, want %+v", name, got, want)
		}
		if !Transient(name) {
			t.Errorf("%q: not transient", name)
		}
	}
}
