package daemon

import (
	"context"
	"encoding/json"
	"fmt"

	"damocles-manager/internal/serve"
)

// Why a method is not here, and what to do instead.
const (
	whySealing = "this manager does not seal; run the original damocles-manager with its workers for that, over the same home, while this one is stopped"
	whyMessage = "this manager sends no messages to the chain; do it with the original damocles-manager over the same home, while this one is stopped"
	whySnap    = "this manager does not upgrade sectors; run the original damocles-manager with its workers for that, over the same home, while this one is stopped"
	whyUnseal  = "this manager does not unseal; run the original damocles-manager with a worker for that, over the same home, while this one is stopped"
	whyRebuild = "this manager does not rebuild sectors; run the original damocles-manager with its workers for that, over the same home, while this one is stopped"
	whyProve   = "this manager does not compute proofs; run the original damocles-manager, or check sectors with: damocles-manager util sealer sectors check"
	whyRandom  = "this manager draws no randomness, which only sealing and proving need; ask the chain node itself"
	whyWorkers = "this manager has no workers; only the original damocles-manager knows of its own"
)

// unsupported are the methods of the original that answer no more than why not.
func unsupported() map[string]serve.Method {
	out := map[string]serve.Method{}
	for why, methods := range map[string]map[string]int{
		whySealing: {
			"AllocateSector": 1, "AcquireDeals": 2, "AssignTicket": 1, "AssignTicketBatch": 2, "SubmitPreCommit": 3,
			"PollPreCommitState": 1, "SubmitPersisted": 2, "SubmitPersistedEx": 3, "WaitSeed": 1, "SubmitProof": 3,
			"PollProofState": 1, "ReportState": 2, "ReportFinalized": 1, "ReportAborted": 2, "StoreReserveSpace": 3,
		},
		whyMessage: {"TerminateSector": 1, "PollTerminateSectorState": 1},
		whySnap: {
			"AllocateSanpUpSector": 1, "SubmitSnapUpProof": 2, "SnapUpPreFetch": 2, "SnapUpCandidates": 1, "SnapUpCancelCommitment": 1,
		},
		whyUnseal:  {"AllocateUnsealSector": 1, "AchieveUnsealSector": 3, "AcquireUnsealDest": 2, "UnsealPiece": 5},
		whyRebuild: {"AllocateRebuildSector": 1, "SectorSetForRebuild": 2},
		whyProve: {
			"SimulateWdPoSt": 6, "WdPoStHeartbeatJobs": 2, "WdPoStAllocateJobs": 3, "WdPoStFinishJob": 3,
			"WdPoStResetJob": 1, "WdPoStRemoveJob": 1, "WdPoStAllJobs": 0,
		},
		whyRandom: {"GetTicket": 3, "GetSeed": 3, "GetWindowPoStChanlleengeRand": 3, "GetWindowPoStCommitRand": 2},
		whyWorkers: {
			"WorkerPing": 1, "WorkerGetPingInfo": 1, "WorkerPingInfoList": 0, "WorkerPingInfoRemove": 1,
		},
	} {
		for name, params := range methods {
			err := fmt.Errorf("%s%s is not supported here: %s", namespace, name, why)
			out[namespace+name] = serve.Method{Params: params, Perm: serve.Read,
				Call: func(context.Context, []json.RawMessage) (any, error) { return nil, err }}
		}
	}
	return out
}
