package daemon

import (
	"encoding/json"
	"fmt"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
)

func checkPieces(_ damocles.Workspace, s *damocles.SectorState) error {
	var total sum
	for i, p := range s.Pieces {
		where := fmt.Sprintf("Pieces[%d]", i)
		if err := isCommD(where+".Piece.PieceCID", p.Piece.PieceCID); err != nil {
			return err
		}
		total.add(p.Piece.Size)
		d := p.DealInfo
		if d == nil {
			continue
		}
		if !d.PieceCID.Equals(p.Piece.PieceCID) || d.PieceSize != p.Piece.Size {
			return fmt.Errorf("its %s is %s of %d bytes, and the deal in it is about %s of %d bytes",
				where, p.Piece.PieceCID, p.Piece.Size, d.PieceCID, d.PieceSize)
		}
		if err := isProvider(where, d.Provider, s.ID.Miner); err != nil {
			return err
		}
	}
	return total.fits(s)
}

func checkDeals(_ damocles.Workspace, s *damocles.SectorState) error {
	var total sum
	for i, d := range s.Deals {
		where := fmt.Sprintf("Deals[%d]", i)
		if d.ID != 0 || d.Piece.Cid.Defined() {
			if err := isCommD(where+".Piece.Cid", d.Piece.Cid); err != nil {
				return err
			}
		}
		total.add(d.Piece.Size)
		p := d.Proposal
		if d.ID == 0 || p == nil {
			continue
		}
		if !p.PieceCID.Equals(d.Piece.Cid) || p.PieceSize != d.Piece.Size {
			return fmt.Errorf("its %s is %s of %d bytes, and the proposal in it is about %s of %d bytes",
				where, d.Piece.Cid, d.Piece.Size, p.PieceCID, p.PieceSize)
		}
		if err := isProvider(where, p.Provider, s.ID.Miner); err != nil {
			return err
		}
	}
	return total.fits(s)
}

// isProvider knows a provider by its ID address only; any other one may be the miner.
func isProvider(where string, provider address.Address, miner abi.ActorID) error {
	if provider.Protocol() != address.ID {
		return nil
	}
	if id, err := address.IDFromAddress(provider); err != nil || abi.ActorID(id) != miner {
		return fmt.Errorf("its %s has a deal with %s, and the sector is of miner %d", where, provider, miner)
	}
	return nil
}

// sum adds sizes up that anybody may have written.
type sum struct {
	bytes uint64
	over  bool
}

func (n *sum) add(size abi.PaddedPieceSize) {
	after := n.bytes + uint64(size)
	n.over = n.over || after < n.bytes
	n.bytes = after
}

func (n *sum) fits(s *damocles.SectorState) error {
	size, err := s.SectorType.SectorSize()
	if err != nil {
		return err
	}
	if n.over || n.bytes > uint64(size) {
		return fmt.Errorf("its pieces are larger than the %d bytes of the sector", size)
	}
	return nil
}

// checkEmptyDeals refuses a deal of which no more than the two flags are known. It is
// told by the JSON: what was decoded has none there, while the original decodes a nil
// pointer and crashes at it.
func checkEmptyDeals(raw []byte, s *damocles.SectorState) error {
	var given struct {
		Pieces []struct{ DealInfo json.RawMessage }
	}
	if err := json.Unmarshal(raw, &given); err != nil {
		return err
	}
	for i, p := range given.Pieces {
		deal := string(p.DealInfo)
		if i < len(s.Pieces) && s.Pieces[i].DealInfo == nil && deal != "" && deal != "null" {
			return fmt.Errorf("its Pieces[%d] has a DealInfo that says nothing of a deal, at which damocles crashes; a filler has null there", i)
		}
	}
	return nil
}
