package migrate

import (
	"context"
	"errors"

	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/lotus"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/sector"
)

// LotusAPI is a running lotus-miner as a source of an import. Its answers lack
// a dozen of the fields that its repo has; lotus.LackingOverRPC names them.
type LotusAPI struct {
	client *lotus.Client
	miner  abi.ActorID
	jobs   int
}

var _ ImportSource = (*LotusAPI)(nil)

// NewLotusAPI wraps a client; jobs calls are under way at once.
func NewLotusAPI(client *lotus.Client, miner abi.ActorID, jobs int) *LotusAPI {
	return &LotusAPI{client: client, miner: miner, jobs: max(jobs, 1)}
}

func (l *LotusAPI) list(ctx context.Context, numbers sector.Numbers) ([]abi.SectorNumber, error) {
	all, err := l.client.SectorsList(ctx)
	if err != nil || numbers.All() {
		return all, err
	}
	var out []abi.SectorNumber
	for _, n := range all {
		if numbers.Has(n) {
			out = append(out, n)
		}
	}
	return out, nil
}

// Each asks for the sectors one by one, several at once. What lotus-miner says
// of one stops none of the others; a lost connection does.
func (l *LotusAPI) Each(ctx context.Context, numbers sector.Numbers, fn func(Raw) error) error {
	list, err := l.list(ctx, numbers)
	if err != nil {
		return err
	}
	return l.client.Sectors(ctx, list, l.jobs, func(n abi.SectorNumber, api *lotus.APISector, err error) error {
		raw := Raw{ID: sector.ID{Miner: l.miner, Number: n}}
		if err != nil {
			raw.Err = err
			return fn(raw)
		}
		info, notes := api.SectorInfo()
		raw.Notes = notes
		raw.Value, raw.Err = lotus.Encode(info)
		return fn(raw)
	})
}

// HighestNumber looks at the sectors and at the number assigner, which knows
// the chain's allocated numbers, too.
func (l *LotusAPI) HighestNumber(ctx context.Context, _ abi.ActorID) (uint64, bool, error) {
	var h highest
	list, err := l.client.SectorsList(ctx)
	if err != nil {
		return 0, false, err
	}
	for _, n := range list {
		h.add(uint64(n))
	}
	meta, err := l.client.SectorNumAssignerMeta(ctx)
	if e, ok := errors.AsType[*rpc.RPCError](err); ok && e.Code == rpc.MethodNotFound {
		return h.n, h.known, nil // before v1.18 there is no assigner to ask
	}
	if err != nil {
		return 0, false, err
	}
	for _, field := range []bitfield.BitField{meta.Reserved, meta.Allocated, meta.InUse} {
		last, err := field.Last()
		if errors.Is(err, bitfield.ErrNoBitsSet) {
			continue
		}
		if err != nil {
			return 0, false, err
		}
		h.add(last)
	}
	return h.n, h.known, nil
}
