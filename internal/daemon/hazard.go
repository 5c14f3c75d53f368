package daemon

import (
	"bytes"
	"fmt"

	"github.com/filecoin-project/go-fil-commcid"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/damocles"
)

// checkState says why a record must not stand in a workspace: what it says does not
// fit together, or makes the original send a message, delete files or crash as soon as
// it runs over this home.
func checkState(ws damocles.Workspace, s *damocles.SectorState) error {
	for _, check := range []func(damocles.Workspace, *damocles.SectorState) error{
		checkIDs, checkTermination, checkCommitments, checkUpgrade, checkPieces, checkDeals, checkOnline, checkOffline,
	} {
		if err := check(ws, s); err != nil {
			return err
		}
	}
	return nil
}

func checkIDs(_ damocles.Workspace, s *damocles.SectorState) error {
	if s.ID.Miner == 0 || !knownRange(s.ID.Miner, s.ID.Number) {
		return fmt.Errorf("there is no sector %d of miner %d", s.ID.Number, s.ID.Miner)
	}
	if _, err := s.SectorType.SectorSize(); err != nil {
		return fmt.Errorf("its seal proof (SectorType %d) is unknown", s.SectorType)
	}
	return nil
}

// checkTermination: the original submits a termination, or waits for one that was,
// where AddedHeight is set and TerminatedAt is not.
func checkTermination(_ damocles.Workspace, s *damocles.SectorState) error {
	t := s.TerminateInfo
	switch {
	case t.AddedHeight < 0 || t.TerminatedAt < 0:
		return fmt.Errorf("its termination is at a negative height (AddedHeight %d, TerminatedAt %d)", t.AddedHeight, t.TerminatedAt)
	case t.AddedHeight > 0 && t.TerminatedAt == 0:
		return fmt.Errorf("damocles would terminate it on chain (AddedHeight is %d, and TerminatedAt 0)", t.AddedHeight)
	}
	return nil
}

func checkCommitments(_ damocles.Workspace, s *damocles.SectorState) error {
	if s.Pre == nil {
		return nil
	}
	if err := isCommR("CommR", s.Pre.CommR); err != nil {
		return err
	}
	return isCommD("CommD", s.Pre.CommD)
}

func isCommR(what string, c cid.Cid) error {
	if !c.Defined() {
		return fmt.Errorf("its %s is undefined", what)
	}
	if _, err := commcid.CIDToReplicaCommitmentV1(c); err != nil {
		return fmt.Errorf("its %s %s is no commitment to a replica: %w", what, c, err)
	}
	return nil
}

func isCommD(what string, c cid.Cid) error {
	if !c.Defined() {
		return fmt.Errorf("its %s is undefined", what)
	}
	if _, err := commcid.CIDToDataCommitmentV1(c); err != nil {
		return fmt.Errorf("its %s %s is no commitment to data: %w", what, c, err)
	}
	return nil
}

// checkUpgrade: an imported update may lack its CIDs, and what is known has to fit.
func checkUpgrade(_ damocles.Workspace, s *damocles.SectorState) error {
	if p := s.UpgradePublic; p != nil {
		if err := isCommR("UpgradePublic.SealedCID", p.SealedCID); err != nil {
			return err
		}
		want, err := commcid.CIDToReplicaCommitmentV1(p.SealedCID)
		if err != nil {
			return err
		}
		if !bytes.Equal(want, p.CommR[:]) {
			return fmt.Errorf("its UpgradePublic.CommR is not that of its SealedCID %s", p.SealedCID)
		}
	}
	info := s.UpgradedInfo
	if info == nil {
		return nil
	}
	if info.SealedCID.Defined() {
		if err := isCommR("UpgradedInfo.SealedCID", info.SealedCID); err != nil {
			return err
		}
	}
	if info.UnsealedCID.Defined() {
		return isCommD("UpgradedInfo.UnsealedCID", info.UnsealedCID)
	}
	return nil
}

// checkOnline knows what the original does at its start with every online sector.
func checkOnline(ws damocles.Workspace, s *damocles.SectorState) error {
	switch {
	case ws != damocles.Online:
	case s.MessageInfo.NeedSend && !s.Upgraded && !s.Imported && !s.NeedRebuild:
		return fmt.Errorf("damocles would send its PreCommit or ProveCommit message (NeedSend, in the online workspace)")
	case s.Upgraded && s.UpgradedInfo != nil:
		return fmt.Errorf("damocles would commit its upgrade, and then delete its first replica (Upgraded with UpgradedInfo, in the online workspace)")
	}
	return nil
}

// checkOffline: the original reads Pre and UpgradedInfo of a sector that the chain has
// without a look whether they are there, and dies as a whole. Sectors that are aborted
// or gone it never looks at so.
func checkOffline(ws damocles.Workspace, s *damocles.SectorState) error {
	gone := s.AbortReason != "" || s.Removed || s.TerminateInfo.TerminatedAt > 0
	switch {
	case ws != damocles.Offline:
	case !s.Finalized:
		return fmt.Errorf("it is not Finalized, as every sector in the offline workspace is")
	case s.Pre == nil && !gone:
		return fmt.Errorf("it has no Pre, at which damocles crashes when it checks the sector")
	case s.Upgraded && s.UpgradedInfo == nil:
		return fmt.Errorf("it is Upgraded and has no UpgradedInfo, at which damocles crashes when it checks the sector")
	}
	return nil
}
