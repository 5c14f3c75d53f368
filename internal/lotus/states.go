package lotus

import "damocles-manager/internal/sector"

// upgradeRule is how a sector's record tells that the chain has its snap upgrade.
type upgradeRule uint8

const (
	// onlyChain: the record cannot tell; only the chain can.
	onlyChain upgradeRule = iota
	// byMetadata: UpdateSealed or ReplicaUpdateMessage says so. Before a sector is
	// back at rest they do not, as lotus sets both before the update is on chain.
	byMetadata
	// always: lotus enters the state only once the update is on chain.
	always
)

// StateInfo is what one of lotus's states means for a switch.
type StateInfo struct {
	Status  sector.Status
	upgrade upgradeRule
	// Rests: lotus leaves the sector alone when it starts.
	Rests bool
	// snap: a snap upgrade is under way, so Pieces are those of the update.
	snap bool
}

// StateOf says what a state means. One that is not known is from a newer lotus,
// or the record is damaged: the sector is in doubt.
func StateOf(name string) StateInfo {
	if info, ok := states[name]; ok {
		return info
	}
	return StateInfo{Status: sector.InDoubt}
}

// Transient says whether lotus acts on a sector in this state when it starts.
func Transient(name string) bool { return !StateOf(name).Rests }

// states holds every state of lotus up to v1.36. Nothing writes to it.
var states = map[string]StateInfo{
	"Proving":        {Status: sector.Finished, upgrade: byMetadata, Rests: true},
	"Available":      {Status: sector.Finished, upgrade: byMetadata, Rests: true},
	"FaultReported":  {Status: sector.Finished, Rests: true},
	"Faulty":         {Status: sector.Finished, Rests: true},
	"FaultedFinal":   {Status: sector.Finished, Rests: true},
	"FinalizeSector": {Status: sector.Finished},

	"UpdateActivating": {Status: sector.Finished, upgrade: always, snap: true},
	"ReleaseSectorKey": {Status: sector.Finished, upgrade: always, snap: true},

	"SnapDealsWaitDeals":          {Status: sector.InDoubt, snap: true},
	"SnapDealsAddPiece":           {Status: sector.InDoubt, snap: true},
	"SnapDealsPacking":            {Status: sector.InDoubt, snap: true},
	"UpdateReplica":               {Status: sector.InDoubt, snap: true},
	"ProveReplicaUpdate":          {Status: sector.InDoubt, snap: true},
	"SubmitReplicaUpdate":         {Status: sector.InDoubt, snap: true},
	"WaitMutable":                 {Status: sector.InDoubt, snap: true},
	"ReplicaUpdateWait":           {Status: sector.InDoubt, snap: true},
	"FinalizeReplicaUpdate":       {Status: sector.InDoubt, snap: true},
	"SnapDealsAddPieceFailed":     {Status: sector.InDoubt, snap: true},
	"SnapDealsDealsExpired":       {Status: sector.InDoubt, snap: true},
	"SnapDealsRecoverDealIDs":     {Status: sector.InDoubt, snap: true},
	"AbortUpgrade":                {Status: sector.InDoubt, snap: true},
	"ReplicaUpdateFailed":         {Status: sector.InDoubt, snap: true},
	"ReleaseSectorKeyFailed":      {Status: sector.InDoubt, snap: true},
	"FinalizeReplicaUpdateFailed": {Status: sector.InDoubt, snap: true},

	"FinalizeFailed":      {Status: sector.InDoubt},
	"FailedUnrecoverable": {Status: sector.InDoubt},
	"RemoveFailed":        {Status: sector.InDoubt},
	"Terminating":         {Status: sector.InDoubt},
	"TerminateWait":       {Status: sector.InDoubt},
	"TerminateFailed":     {Status: sector.InDoubt},

	"SubmitCommit":          {Status: sector.Committing},
	"CommitWait":            {Status: sector.Committing},
	"SubmitCommitAggregate": {Status: sector.Committing},
	"CommitAggregateWait":   {Status: sector.Committing},
	"CommitFailed":          {Status: sector.Committing},

	"Empty":                {Status: sector.Sealing},
	"WaitDeals":            {Status: sector.Sealing},
	"AddPiece":             {Status: sector.Sealing},
	"Packing":              {Status: sector.Sealing},
	"GetTicket":            {Status: sector.Sealing},
	"PreCommit1":           {Status: sector.Sealing},
	"PreCommit2":           {Status: sector.Sealing},
	"PreCommitting":        {Status: sector.Sealing},
	"PreCommitWait":        {Status: sector.Sealing},
	"SubmitPreCommitBatch": {Status: sector.Sealing},
	"PreCommitBatchWait":   {Status: sector.Sealing},
	"WaitSeed":             {Status: sector.Sealing},
	"Committing":           {Status: sector.Sealing},
	"CommitFinalize":       {Status: sector.Sealing},
	"ReceiveSector":        {Status: sector.Sealing},

	"AddPieceFailed":       {Status: sector.Failed},
	"SealPreCommit1Failed": {Status: sector.Failed},
	"SealPreCommit2Failed": {Status: sector.Failed},
	"PackingFailed":        {Status: sector.Failed},
	"PreCommitFailed":      {Status: sector.Failed},
	"ComputeProofFailed":   {Status: sector.Failed},
	"RemoteCommitFailed":   {Status: sector.Failed},
	"CommitFinalizeFailed": {Status: sector.Failed},
	"DealsExpired":         {Status: sector.Failed},
	"RecoverDealIDs":       {Status: sector.Failed},

	"TerminateFinality": {Status: sector.Terminated},
	"Removing":          {Status: sector.Removed},
	"Removed":           {Status: sector.Removed, Rests: true},
}
