package migrate

import (
	"context"
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"

	"github.com/filecoin-project/go-address"

	"damocles-manager/internal/sector"
)

// Chain answers what only the chain knows. Where no node was given it is nil.
type Chain interface {
	// Sector returns the sector as the chain has it, Absent where it has none.
	Sector(ctx context.Context, id sector.ID) (sector.OnChain, error)
	// Deal returns the proposal of a built-in market deal; nil where the chain does
	// not have the deal (any more).
	Deal(ctx context.Context, id abi.DealID) (*market.DealProposal, error)
	// LookupID returns the ID address of an actor.
	LookupID(ctx context.Context, addr address.Address) (address.Address, error)
	// HighestAllocated returns the highest sector number that the miner ever used.
	HighestAllocated(ctx context.Context, miner abi.ActorID) (uint64, bool, error)
}

// verdict is what the chain makes of a sector.
type verdict struct {
	notes []sector.Note
	// wrong is set where chain and metadata contradict each other.
	wrong string
	// gone: the chain does not have it any more, and it is not being sealed.
	gone bool
}

// settle asks the chain about a record and corrects what the metadata alone
// could not know. Without a chain nothing changes.
func settle(ctx context.Context, chain Chain, rec *sector.Record) (verdict, error) {
	var v verdict
	if chain == nil || !chainDecides(rec.Status) {
		return v, nil
	}
	on, err := chain.Sector(ctx, rec.ID)
	if err != nil {
		return v, fmt.Errorf("ask the chain for %s: %w", rec.ID, err)
	}
	rec.Chain = &on
	if on.Absent {
		v.settleAbsent(rec)
		return v, nil
	}
	v.settlePresent(rec, on)
	if v.wrong != "" {
		return v, nil
	}
	return v, v.settleDeals(ctx, chain, rec)
}

// chainDecides says for which sectors the chain is asked: not for those whose
// files are gone or whose end is final, nor for those that cannot be there yet.
func chainDecides(s sector.Status) bool {
	switch s {
	case sector.Finished, sector.Lost, sector.InDoubt, sector.Committing, sector.Failed:
		return true
	default:
		return false
	}
}

func (v *verdict) settleAbsent(rec *sector.Record) {
	switch rec.Status {
	case sector.InDoubt:
		v.gone = true
	case sector.Committing:
		rec.Status = sector.Sealing
	case sector.Finished, sector.Lost:
		v.note("not-on-chain", "the chain does not have it (any more): expired or terminated")
	default:
	}
}

func (v *verdict) settlePresent(rec *sector.Record, on sector.OnChain) {
	if rec.Status != sector.Lost {
		rec.Status = sector.Finished
	}
	upgraded := on.SectorKey.Defined()
	if rec.Upgraded && !upgraded {
		v.note("upgrade-not-on-chain", "its metadata says upgraded, but the chain still has the original replica")
	}
	rec.Upgraded = upgraded
	original := on.SealedCID
	if upgraded {
		original = on.SectorKey
		if rec.Update == nil {
			rec.Update = &sector.Replica{}
		}
		if !rec.Update.CommR.Defined() {
			rec.Update.CommR = on.SealedCID
		} else if rec.Update.CommR != on.SealedCID {
			v.wrong = fmt.Sprintf("the chain's SealedCID is %s, the metadata's updated CommR %s", on.SealedCID, rec.Update.CommR)
		}
	}
	if rec.Original.CommR.Defined() && rec.Original.CommR != original {
		v.wrong = fmt.Sprintf("the chain's CommR is %s, the metadata's %s", original, rec.Original.CommR)
	}
}

// settleDeals fetches the proposals that a built-in market deal needs and the
// metadata does not have, and the ID of a client known by another address.
func (v *verdict) settleDeals(ctx context.Context, chain Chain, rec *sector.Record) error {
	pieces := rec.Live().Pieces
	for i := range pieces {
		deal := pieces[i].Deal
		switch {
		case deal == nil:
		case deal.Kind == sector.BuiltinMarket && deal.Proposal == nil:
			proposal, err := chain.Deal(ctx, deal.ID)
			if err != nil {
				return fmt.Errorf("ask the chain for deal %d of %s: %w", deal.ID, rec.ID, err)
			}
			if proposal == nil {
				v.note("deal-not-on-chain", fmt.Sprintf("the chain does not have deal %d any more", deal.ID))
				continue
			}
			if proposal.PieceCID != pieces[i].CID {
				v.wrong = fmt.Sprintf("deal %d is for piece %s on chain, the metadata has %s", deal.ID, proposal.PieceCID, pieces[i].CID)
				return nil
			}
			fillFromProposal(deal, proposal)
		case deal.Client != address.Undef && deal.Client.Protocol() != address.ID:
			id, err := chain.LookupID(ctx, deal.Client)
			if err != nil {
				return fmt.Errorf("ask the chain for the ID of client %s of %s: %w", deal.Client, rec.ID, err)
			}
			deal.Client = id
		}
	}
	return nil
}

func fillFromProposal(deal *sector.Deal, p *market.DealProposal) {
	deal.Proposal = p
	if deal.Client == address.Undef {
		deal.Client = p.Client
	}
	if deal.Provider == address.Undef {
		deal.Provider = p.Provider
	}
	if deal.StartEpoch == 0 && deal.EndEpoch == 0 {
		deal.StartEpoch, deal.EndEpoch = p.StartEpoch, p.EndEpoch
	}
}

func (v *verdict) note(code, text string) {
	v.notes = append(v.notes, sector.Note{Code: code, Text: text})
}
