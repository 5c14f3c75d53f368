package testkit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/filecoin-project/go-bitfield"
)

// Proving says how the stand-in's sectors are proven.
type Proving struct {
	// More are numbers of sectors that the fixtures do not have, and that
	// ChainOptions.Sector knows.
	More []uint64
	// Faulty are sectors of f01000 that were not proven, Recovering those of them
	// that are declared to be back.
	Faulty, Recovering []uint64
	// Miners are those that the stand-in knows; f01000 and f01001 if nil.
	Miners []uint64
}

// DeadlineOf is the deadline and the partition in which the stand-in has a sector.
func DeadlineOf(number uint64) (deadline, partition uint64) { return 14 + number%4, number / 100 }

// ServeProving lets a stand-in of a chain node answer for deadlines, partitions
// and all sectors of a miner, too. It has to be called before anybody else calls it.
func (s *Server) ServeProving(p Proving) *Server {
	if p.Miners == nil {
		p.Miners = []uint64{1000, 1001}
	}
	g := &proving{Proving: p, server: s}
	s.methods["Filecoin.StateMinerPartitions"] = method{params: 3, call: g.partitions}
	s.methods["Filecoin.StateMinerSectors"] = method{params: 3, call: g.sectors}
	return s
}

// ProvingChain runs a stand-in of a chain node with deadlines and partitions.
func ProvingChain(t testing.TB, opts ChainOptions, p Proving) *Server {
	t.Helper()
	return Chain(t, opts).ServeProving(p)
}

type proving struct {
	Proving
	server *Server
}

// live are the sectors that the chain has, by number.
func (g *proving) live(miner json.RawMessage, tipset json.RawMessage) (map[uint64]json.RawMessage, error) {
	id, err := minerOf(miner)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(g.Miners, id) {
		return nil, fmt.Errorf("failed to load miner actor: actor not found")
	}
	out := map[uint64]json.RawMessage{}
	var numbers []uint64
	for n := range uint64(32) {
		numbers = append(numbers, n, 100+n)
	}
	for _, n := range append(numbers, g.More...) {
		params := []json.RawMessage{miner, json.RawMessage(strconv.FormatUint(n, 10)), tipset}
		found, err := g.server.methods["Filecoin.StateSectorGetInfo"].call(params)
		if err != nil {
			return nil, err
		}
		if raw := found.(json.RawMessage); string(raw) != "null" {
			out[n] = raw
		}
	}
	return out, nil
}

func (g *proving) partitions(params []json.RawMessage) (any, error) {
	live, err := g.live(params[0], params[2])
	if err != nil {
		return nil, err
	}
	deadline, err := strconv.ParseUint(string(params[1]), 10, 64)
	if err != nil || deadline > 47 {
		return nil, fmt.Errorf("invalid deadline %s", params[1])
	}
	type partition struct {
		AllSectors, FaultySectors, RecoveringSectors, LiveSectors, ActiveSectors bitfield.BitField
	}
	out := []partition{}
	for n := range live {
		d, p := DeadlineOf(n)
		if d != deadline {
			continue
		}
		for uint64(len(out)) <= p {
			out = append(out, partition{bitfield.New(), bitfield.New(), bitfield.New(), bitfield.New(), bitfield.New()})
		}
		at := out[p]
		at.AllSectors.Set(n)
		at.LiveSectors.Set(n)
		if slices.Contains(g.Faulty, n) {
			at.FaultySectors.Set(n)
		} else {
			at.ActiveSectors.Set(n)
		}
		if slices.Contains(g.Recovering, n) {
			at.RecoveringSectors.Set(n)
		}
	}
	return out, nil
}

func (g *proving) sectors(params []json.RawMessage) (any, error) {
	live, err := g.live(params[0], params[2])
	if err != nil {
		return nil, err
	}
	var set *bitfield.BitField
	if err := json.Unmarshal(params[1], &set); err != nil {
		return nil, err
	}
	out := []json.RawMessage{}
	for n, raw := range live {
		in := set == nil
		if set != nil {
			if in, err = set.IsSet(n); err != nil {
				return nil, err
			}
		}
		if in {
			out = append(out, raw)
		}
	}
	return out, nil
}
