package damocles

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
)

var (
	// ErrNotOnChain: damocles does not finalize a sector that the chain does not have.
	ErrNotOnChain = errors.New("the sector is not on chain")
	// ErrNotOnline: there is no online state to finalize.
	ErrNotOnline = errors.New("the sector has no online state")
)

// codeNoState is damocles's own code for a missing state.
const codeNoState = 11001

// Client talks to a running damocles-manager. States are raw JSON: reading them
// is the codec's business. Errors are those of package rpc. It may be used by
// many goroutines.
type Client struct{ rpc *rpc.Client }

// ParseEndpoint reads the address of a damocles-manager, as in --listen.
func ParseEndpoint(s string) (rpc.Endpoint, error) { return rpc.Parse(s, "/rpc/v0") }

// Dial makes a client; the first call connects.
func Dial(at rpc.Endpoint, opts rpc.Options) *Client {
	if opts.Name == "" {
		opts.Name = "damocles-manager"
	}
	return &Client{rpc.New(at, opts)}
}

// Version asks which damocles-manager this is.
func (c *Client) Version(ctx context.Context) (string, error) {
	var v string
	err := c.rpc.Call(ctx, &v, "Venus.Version")
	return v, err
}

// FindSector returns the sector's state in one workspace; false if there is none.
func (c *Client) FindSector(ctx context.Context, ws Workspace, id abi.SectorID) (json.RawMessage, bool, error) {
	return c.find(ctx, "Venus.FindSector", ws, id)
}

// FindSectorInAllStates returns the sector's online state, or else its offline
// one; false if there is neither. damocles-manager has the call since v0.8.
func (c *Client) FindSectorInAllStates(ctx context.Context, id abi.SectorID) (json.RawMessage, bool, error) {
	return c.find(ctx, "Venus.FindSectorInAllStates", id)
}

func (c *Client) find(ctx context.Context, method string, params ...any) (json.RawMessage, bool, error) {
	var raw json.RawMessage
	err := c.rpc.Call(ctx, &raw, method, params...)
	if e, ok := errors.AsType[*rpc.RPCError](err); ok && strings.HasSuffix(e.Message, "key not found") {
		return nil, false, nil
	}
	return raw, err == nil && raw != nil, err
}

// ListSectors hands every state of a workspace to fn, of all miners and all
// jobs, in the order of the keys: the text m-<miner>-n-<number>, so 10 comes
// before 2. The states are all there only if it returns nil; see rpc.Stream.
func (c *Client) ListSectors(ctx context.Context, ws Workspace, fn func(state json.RawMessage) error) error {
	const allJobs = 0
	return c.rpc.Stream(ctx, "Venus.ListSectors", []any{ws, allJobs}, fn)
}

// ImportSector writes a whole state, of which damocles checks nothing: it looks
// neither into the other workspace nor at the index. Without override, false
// means that this workspace has a state of that sector, which stays as it is.
// That may be this very state: where the answer to a first try was lost, a
// second one finds what the first has written. So compare before calling it a
// conflict.
func (c *Client) ImportSector(ctx context.Context, ws Workspace, state json.RawMessage, override bool) (bool, error) {
	if len(state) == 0 || string(state) == "null" {
		return false, errors.New("Venus.ImportSector: there is no state to import")
	}
	var done bool
	err := c.rpc.Call(ctx, &done, "Venus.ImportSector", ws, state, override)
	return done, err
}

// FinalizeSector moves a sector from online to offline and marks it finalized.
// damocles asks its chain node for the sector first: ErrNotOnChain. It is called
// once, because a second call would fail where the first one did the work but
// its answer was lost; then look with FindSector.
func (c *Client) FinalizeSector(ctx context.Context, id abi.SectorID) error {
	err := c.rpc.Call(rpc.Once(ctx), nil, "Venus.FinalizeSector", id)
	e, ok := errors.AsType[*rpc.RPCError](err)
	switch {
	case !ok:
		return err
	case e.Code == codeNoState:
		return fault.New("list the online sectors with: damocles-manager util sealer sectors list",
			"finalize sector s-t0%d-%d: %w", id.Miner, id.Number, ErrNotOnline)
	case strings.HasPrefix(e.Message, "sector {") && strings.HasSuffix(e.Message, " not found"):
		return fault.New("only a sector that is on chain can be finalized; check its number and its miner",
			"finalize sector s-t0%d-%d: %w", id.Miner, id.Number, ErrNotOnChain)
	}
	return err
}

// MinerInfo is what damocles-manager knows of a miner, from its chain node.
type MinerInfo struct {
	ID                  abi.ActorID
	Addr                address.Address
	SectorSize          abi.SectorSize
	WindowPoStProofType abi.RegisteredPoStProof
	SealProofType       abi.RegisteredSealProof
}

// GetInfo asks for a miner, which need not be one that damocles-manager works for.
func (c *Client) GetInfo(ctx context.Context, miner abi.ActorID) (MinerInfo, error) {
	var info MinerInfo
	err := c.rpc.Call(ctx, &info, "Venus.GetInfo", miner)
	return info, err
}
