package lotus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
)

// ErrNoSector says that lotus-miner has no sector of that number.
var ErrNoSector = errors.New("no such sector")

// Client asks a running lotus-miner. It only reads, and needs no more than the
// permission read. Its errors are those of package rpc. It may be used by many
// goroutines.
type Client struct{ rpc *rpc.Client }

// ParseEndpoint reads the address of a lotus-miner, as in MINER_API_INFO.
func ParseEndpoint(s string) (rpc.Endpoint, error) { return rpc.Parse(s, "/rpc/v0") }

// Dial makes a client; the first call connects.
func Dial(at rpc.Endpoint, opts rpc.Options) *Client {
	if opts.Name == "" {
		opts.Name = "lotus-miner"
	}
	if opts.TokenHint == "" {
		opts.TokenHint = "take the token from the file token in the lotus-miner repo, " +
			"or from: lotus-miner auth api-info --perm read"
	}
	if opts.PermissionHint == "" {
		opts.PermissionHint = "give a token with the permission that is named: lotus-miner auth create-token --perm admin"
	}
	return &Client{rpc.New(at, opts)}
}

// APIVersion is what lotus-miner says of itself. Only Version tells releases apart.
type APIVersion struct {
	Version    string
	APIVersion uint32
	BlockDelay uint64
	Agent      string
}

// Version asks which lotus-miner this is.
func (c *Client) Version(ctx context.Context) (APIVersion, error) {
	var v APIVersion
	err := c.rpc.Call(ctx, &v, "Filecoin.Version")
	return v, err
}

// ActorAddress returns the miner that this lotus-miner works for.
func (c *Client) ActorAddress(ctx context.Context) (address.Address, error) {
	var a address.Address
	if err := c.rpc.Call(ctx, &a, "Filecoin.ActorAddress"); err != nil {
		return address.Undef, err
	}
	if a.Empty() {
		return address.Undef, fault.New("check that the address is right", "%s named no miner actor", c.rpc)
	}
	return a, nil
}

// ActorSectorSize asks lotus-miner, which asks the chain.
func (c *Client) ActorSectorSize(ctx context.Context, miner address.Address) (abi.SectorSize, error) {
	var size abi.SectorSize
	err := c.rpc.Call(ctx, &size, "Filecoin.ActorSectorSize", miner)
	return size, err
}

// SectorsList returns the number of every sector, removed and failed ones too,
// in the order of the DECIMAL TEXT of the number: 1, 10, 2. That is the order of
// the keys in lotus's and in damocles's databases, and engines merge on it.
func (c *Client) SectorsList(ctx context.Context) ([]abi.SectorNumber, error) {
	var numbers []abi.SectorNumber
	if err := c.rpc.Call(ctx, &numbers, "Filecoin.SectorsList"); err != nil {
		return nil, err
	}
	slices.SortFunc(numbers, compareText)
	return slices.Compact(numbers), nil
}

func compareText(a, b abi.SectorNumber) int {
	var x, y [20]byte
	return bytes.Compare(strconv.AppendUint(x[:0], uint64(a), 10), strconv.AppendUint(y[:0], uint64(b), 10))
}

// SectorsStatus returns one sector; ErrNoSector where there is none. With
// showOnChain, lotus asks its chain node for the fields that come from there.
func (c *Client) SectorsStatus(ctx context.Context, number abi.SectorNumber, showOnChain bool) (*APISector, error) {
	var raw json.RawMessage
	if err := c.rpc.Call(ctx, &raw, "Filecoin.SectorsStatus", number, showOnChain); err != nil {
		return nil, c.statusError(number, err)
	}
	if raw == nil {
		return nil, fault.New("look it up with: lotus-miner sectors status", "%s answered nothing about sector %d", c.rpc, number)
	}
	s, err := DecodeAPISector(raw)
	if err != nil {
		return nil, fault.New("report it with the version of lotus-miner", "%s: sector %d: %w", c.rpc, number, err)
	}
	if s.SectorID != number || s.State == "" {
		return nil, fault.New("check that no proxy mixes up the replies",
			"%s answered about sector %d in state %q instead of sector %d", c.rpc, s.SectorID, s.State, number)
	}
	return s, nil
}

func (c *Client) statusError(number abi.SectorNumber, err error) error {
	if e, ok := errors.AsType[*rpc.RPCError](err); ok && strings.HasSuffix(e.Message, "datastore: key not found") {
		return fault.New("list the sectors with: lotus-miner sectors list", "%s has no sector %d: %w", c.rpc, number, ErrNoSector)
	}
	return err
}

// APINumbers is lotus's bookkeeping of sector numbers.
type APINumbers struct {
	Reserved  bitfield.BitField
	Allocated bitfield.BitField
	// InUse is Reserved, Allocated and what the chain has allocated.
	InUse bitfield.BitField
	Next  abi.SectorNumber
}

// SectorNumAssignerMeta returns which sector numbers are taken.
func (c *Client) SectorNumAssignerMeta(ctx context.Context) (APINumbers, error) {
	n := APINumbers{Reserved: bitfield.New(), Allocated: bitfield.New(), InUse: bitfield.New()}
	err := c.rpc.Call(ctx, &n, "Filecoin.SectorNumAssignerMeta")
	return n, err
}

// SectorNumReservations returns the reserved numbers by name.
func (c *Client) SectorNumReservations(ctx context.Context) (map[string]bitfield.BitField, error) {
	var r map[string]bitfield.BitField
	err := c.rpc.Call(ctx, &r, "Filecoin.SectorNumReservations")
	return r, err
}
