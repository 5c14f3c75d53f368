package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/chain"
	"damocles-manager/internal/damocles"
)

// maxMiners bounds what is remembered of miners that anybody may ask for.
const maxMiners = 1000

// miners remembers what the chain said of a miner, which never changes.
type miners struct {
	mu    sync.Mutex
	known map[abi.ActorID]damocles.MinerInfo
}

func (m *miners) get(id abi.ActorID) (damocles.MinerInfo, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, ok := m.known[id]
	return info, ok
}

func (m *miners) put(info damocles.MinerInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= maxMiners {
		m.known = map[abi.ActorID]damocles.MinerInfo{}
	}
	m.known[info.ID] = info
}

// getInfo asks for any miner, configured or not.
func (d *Daemon) getInfo(ctx context.Context, a *args) (any, error) {
	id := arg[abi.ActorID](a, 0, "abi.ActorID")
	if a.err != nil {
		return nil, a.err
	}
	if info, ok := d.miners.get(id); ok {
		return info, nil
	}
	if d.Chain == nil {
		return nil, errNoChain("get miner info")
	}
	addr, err := address.NewIDAddress(uint64(id))
	if err != nil {
		return nil, err
	}
	on, err := d.Chain.MinerInfo(ctx, addr)
	if err != nil {
		return nil, err
	}
	proof, err := sealProof(on)
	if err != nil {
		return nil, err
	}
	info := damocles.MinerInfo{
		ID: id, Addr: addr, SectorSize: on.SectorSize, WindowPoStProofType: on.WindowPoStProofType, SealProofType: proof,
	}
	d.miners.put(info)
	return info, nil
}

// sealProof is the one that a miner's new sectors are sealed with: StackedDRG V1_1 of
// their size, whichever version its window PoSt is.
func sealProof(on chain.MinerInfo) (abi.RegisteredSealProof, error) {
	for proof := abi.RegisteredSealProof_StackedDrg2KiBV1_1; proof <= abi.RegisteredSealProof_StackedDrg64GiBV1_1; proof++ {
		if size, err := proof.SectorSize(); err == nil && size == on.SectorSize {
			return proof, nil
		}
	}
	return 0, fmt.Errorf("unsupported sector size for miner: %d", on.SectorSize)
}

func (d *Daemon) getMinerConfig(_ context.Context, a *args) (any, error) {
	id := arg[abi.ActorID](a, 0, "abi.ActorID")
	if a.err != nil {
		return nil, a.err
	}
	if d.MinerConfig == nil {
		return nil, errors.New("this damocles-manager has no configuration of miners")
	}
	config, found, err := d.MinerConfig(id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("config for miner actor %d not found", id)
	}
	return config, nil
}
