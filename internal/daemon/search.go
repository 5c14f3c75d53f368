package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/ipfs/go-cid"

	"damocles-manager/internal/damocles"
)

// null is the result of the original where nothing was found.
var null = json.RawMessage("null")

const searching = "iterate sectors: get iter for ForEach: get iter"

func (d *Daemon) findSectorsWithDeal(ctx context.Context, a *args) (any, error) {
	name, deal := arg[string](a, 0, "core.SectorWorkerState"), arg[abi.DealID](a, 1, "abi.DealID")
	if a.err != nil {
		return nil, a.err
	}
	if deal == 0 {
		return nil, errors.New("empty deal id")
	}
	ws, err := workspace(name, searching)
	if err != nil {
		return nil, err
	}
	// Most records are passed over by their bytes, ten times as fast as by reading them.
	digits := []byte(strconv.FormatUint(uint64(deal), 10))
	likely := func(raw []byte) bool { return bytes.Contains(raw, digits) }
	wanted := func(s *damocles.SectorState) bool { return hasDeal(s, deal) }
	// The first one decides between a list and null; only then is a list begun.
	found := errors.New("found")
	err = d.each(ctx, ws, likely, func(s *damocles.SectorState) error {
		if wanted(s) {
			return found
		}
		return nil
	})
	switch {
	case err == nil:
		return null, nil
	case errors.Is(err, found):
		return d.elements(ws, likely, wanted), nil
	default:
		return nil, err
	}
}

// hasDeal looks at Deals only where there are no Pieces, as the original does.
func hasDeal(s *damocles.SectorState, id abi.DealID) bool {
	if len(s.Pieces) > 0 {
		return slices.ContainsFunc(s.Pieces, func(p damocles.SectorPiece) bool { return p.DealInfo != nil && p.DealInfo.DealID == id })
	}
	return slices.ContainsFunc(s.Deals, func(p damocles.LegacyDeal) bool { return p.ID == id })
}

// findSectorWithPiece answers with the last sector that has the piece, and with null
// where none has, as the original does.
func (d *Daemon) findSectorWithPiece(ctx context.Context, a *args) (any, error) {
	name, piece := arg[string](a, 0, "core.SectorWorkerState"), arg[cid.Cid](a, 1, "cid.Cid")
	if a.err != nil {
		return nil, a.err
	}
	ws, err := workspace(name, searching)
	if err != nil {
		return nil, err
	}
	text := []byte(piece.String())
	result := null
	err = d.each(ctx, ws, func(raw []byte) bool { return bytes.Contains(raw, text) }, func(s *damocles.SectorState) (err error) {
		if hasPiece(s, piece) {
			result, err = damocles.EncodeState(s)
		}
		return err
	})
	return result, err
}

func hasPiece(s *damocles.SectorState, piece cid.Cid) bool {
	if len(s.Pieces) > 0 {
		return slices.ContainsFunc(s.Pieces, func(p damocles.SectorPiece) bool { return p.Piece.PieceCID.Equals(piece) })
	}
	return slices.ContainsFunc(s.Deals, func(p damocles.LegacyDeal) bool { return p.Piece.Cid.Equals(piece) })
}
