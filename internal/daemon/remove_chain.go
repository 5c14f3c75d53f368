package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
)

const (
	// finality is how many epochs the chain may still change.
	finality abi.ChainEpoch = 900
	// maxLag is how old the head of a node in sync can be. A node that lags may not
	// have seen a sector yet, and says that there is none.
	maxLag = time.Hour

	hintSync = "look whether the chain node is in sync, and which network it is on"
)

// neverOnChain says that the sector was given up before anything was sent.
func neverOnChain(s *damocles.SectorState) bool {
	m := s.MessageInfo
	return s.AbortReason != "" && s.Pre == nil && s.Proof == nil && !m.PreCommitCid.Defined() && !m.CommitCid.Defined() && !m.NeedSend && !s.Upgraded
}

// gone says why the sector need not be proven any more, as far as the chain goes: it
// has to be absent now, and at a height that is final.
func (d *Daemon) gone(ctx context.Context, id sector.ID, s *damocles.SectorState) (why string, err error) {
	if d.Chain == nil {
		if neverOnChain(s) {
			return "aborted before it came to the chain: " + s.AbortReason, nil
		}
		return "", errNoChain(fmt.Sprintf("sector %s is not removed, as the chain may still have it", id))
	}
	miner, err := address.NewIDAddress(uint64(id.Miner))
	if err != nil {
		return "", err
	}
	head, due, err := d.Chain.HeadTime(ctx)
	if err != nil {
		return "", fmt.Errorf("getting chain head: %w", err)
	}
	if lag := d.Now().Sub(due); lag > maxLag {
		return "", notRemoved(true, id, hintSync, "the newest tipset of the chain node is %s old", lag.Truncate(time.Minute))
	}
	if on, err := d.Chain.At(head).SectorInfo(ctx, miner, id.Number); err != nil || on != nil {
		if on != nil {
			err = notRemoved(true, id, "terminate it first, or wait until it has expired", "the chain has it, and expects proofs of it until epoch %d", on.Expiration)
		}
		return "", err
	}
	final, err := d.Chain.Before(ctx, head, head.Height-finality)
	if err != nil {
		return "", fmt.Errorf("ask the chain for the tipset at height %d: %w", head.Height-finality, err)
	}
	if latest := latestEpoch(s); final.Height < latest {
		return "", notRemoved(true, id, "", "wait for the epoch %d: what happened to it is not final yet (the chain is at %d)", latest+finality, head.Height)
	}
	if on, err := d.Chain.At(final).SectorInfo(ctx, miner, id.Number); err != nil || on != nil {
		return "", orErr(err, notRemoved(on != nil, id, "", "it went from the chain after epoch %d, which is not final yet", final.Height))
	}
	if err := d.wasThere(ctx, miner, id, s, head.Height); err != nil {
		return "", err
	}
	return fmt.Sprintf("removed: the chain has not had it since epoch %d", final.Height), nil
}

func orErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// wasThere refuses where the chain has never heard of a sector that may have been sent to
// it: such a node is on another network, or far behind.
func (d *Daemon) wasThere(ctx context.Context, miner address.Address, id sector.ID, s *damocles.SectorState, height abi.ChainEpoch) error {
	if neverOnChain(s) {
		return nil
	}
	used, err := d.Chain.Allocated(ctx, miner)
	if err != nil {
		return err
	}
	has, err := used.IsSet(uint64(id.Number))
	if err != nil {
		return err
	}
	return notRemoved(!has, id, hintSync, "the chain, at epoch %d, has never heard of it", height)
}

// latestEpoch is the last one that the record knows of.
func latestEpoch(s *damocles.SectorState) abi.ChainEpoch {
	latest := max(s.TerminateInfo.AddedHeight, s.TerminateInfo.TerminatedAt)
	if s.Ticket != nil {
		latest = max(latest, s.Ticket.Epoch)
	}
	if s.Seed != nil {
		latest = max(latest, s.Seed.Epoch)
	}
	if s.Pre != nil {
		latest = max(latest, s.Pre.Ticket.Epoch)
	}
	if s.UpgradePublic != nil {
		latest = max(latest, s.UpgradePublic.Activation)
	}
	if s.UpgradeLandedEpoch != nil {
		latest = max(latest, *s.UpgradeLandedEpoch)
	}
	return latest
}
