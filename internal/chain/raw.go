package chain

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

// SectorRaw is SectorInfo with the node's own JSON, compacted, for whoever hands it
// on: nodes differ in the keys that they have. Both are nil where the chain does not
// have the sector.
func (n *Node) SectorRaw(ctx context.Context, miner address.Address, number abi.SectorNumber) (json.RawMessage, *Sector, error) {
	var raw json.RawMessage
	err := n.rpc.Call(ctx, &raw, "Filecoin.StateSectorGetInfo", miner, number, n.at)
	if err != nil || len(raw) == 0 || string(raw) == "null" {
		return nil, nil, err
	}
	var s Sector
	var compact bytes.Buffer
	if err := json.Unmarshal(raw, &s); err != nil || json.Compact(&compact, raw) != nil || s.Number != number || !s.SealedCID.Defined() {
		return nil, nil, fault.New("check that the address is that of a chain node",
			"%s answered about sector %d of %s with something else", n.rpc, number, miner)
	}
	return compact.Bytes(), &s, nil
}

// MaxBehind is how old the head of a node in sync can be: without null rounds one
// epoch, and some of those can follow each other.
const MaxBehind = 10 * time.Minute

// BehindHint is what to do about a node of which the head is older.
const BehindHint = "wait until it is in sync (lotus: `lotus sync wait`), or see that the clock of this machine is right, then run this again"

// HeadTime is Head with the time at which its tipset was due, which is about now if
// the node is in sync.
func (n *Node) HeadTime(ctx context.Context) (Head, time.Time, error) {
	var h struct {
		Head
		Blocks []struct{ Timestamp int64 }
	}
	if err := n.rpc.Call(ctx, &h, "Filecoin.ChainHead"); err != nil {
		return Head{}, time.Time{}, err
	}
	if len(h.Key) == 0 || len(h.Blocks) == 0 {
		return Head{}, time.Time{}, fault.New("check that the chain node is in sync", "%s has no chain head", n.rpc)
	}
	return h.Head, time.Unix(h.Blocks[0].Timestamp, 0), nil
}

// Before returns the tipset of a height that leads to h, or the last one before it
// where that height has none.
func (n *Node) Before(ctx context.Context, h Head, height abi.ChainEpoch) (Head, error) {
	var out Head
	if err := n.rpc.Call(ctx, &out, "Filecoin.ChainGetTipSetByHeight", height, h.Key); err != nil {
		return Head{}, err
	}
	if len(out.Key) == 0 || out.Height > height {
		return Head{}, fault.New("check that the chain node is in sync", "%s has no tipset at the height %d", n.rpc, height)
	}
	return out, nil
}
