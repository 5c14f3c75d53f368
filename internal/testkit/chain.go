package testkit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ChainOptions say what the stand-in of a chain node serves besides the fixtures.
type ChainOptions struct {
	Options
	// Sector, if set, is asked first. false leaves the sector to the fixtures; a
	// nil message with true is a sector that is not on chain. See OnChain.
	Sector func(miner, number uint64) (json.RawMessage, bool)
	// Deals are proposals by deal ID; any other deal is unknown.
	Deals map[uint64]json.RawMessage
	// IDs are ID addresses ("f02000") by address, for StateLookupID.
	IDs map[string]string
}

// OnChain makes a sector as the chain tells it; sectorKey is "" for one that was
// not upgraded.
func OnChain(number uint64, sealed, sectorKey string) json.RawMessage {
	key := "null"
	if sectorKey != "" {
		key = fmt.Sprintf(`{"/":%q}`, sectorKey)
	}
	return fmt.Appendf(nil, `{"SectorNumber":%d,"SealProof":5,"SealedCID":{"/":%q},"Activation":5000,"Expiration":1500000,`+
		`"DealWeight":"0","VerifiedDealWeight":"0","InitialPledge":"12345","ExpectedDayReward":null,"ExpectedStoragePledge":null,`+
		`"PowerBaseEpoch":0,"ReplacedDayReward":null,"SectorKeyCID":%s,"Flags":0,"DailyFee":"0"}`, number, sealed, key)
}

type chain struct {
	opts      ChainOptions
	sectors   map[string]json.RawMessage // by miner and number, see ref
	allocated map[uint64]json.RawMessage
	head      json.RawMessage // the key of ChainHead
}

func ref(miner, number uint64) string { return fmt.Sprintf("%d/%d", miner, number) }

// Chain runs a stand-in of a chain node.
func Chain(t testing.TB, opts ChainOptions) *Server {
	t.Helper()
	c := &chain{opts: opts, sectors: map[string]json.RawMessage{}, allocated: map[uint64]json.RawMessage{}}
	for _, path := range Glob(t, "rpc/chain/StateSectorGetInfo-*.json") {
		x := ReadExchange(t, path)
		miner, err := minerOf(x.Request.Params[0])
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		number, err := strconv.ParseUint(string(x.Request.Params[1]), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		c.sectors[ref(miner, number)] = x.Result
	}
	c.allocated[1000] = result(t, "rpc/chain/StateMinerAllocated.json")
	var head struct{ Cids json.RawMessage }
	if err := json.Unmarshal(result(t, "rpc/chain/ChainHead.json"), &head); err != nil {
		t.Fatal(err)
	}
	c.head = head.Cids
	return newServer(t, opts.Options, "/rpc/v1", lotusStyle, c.methods(t)).serveHead(time.Now)
}

func (c *chain) methods(t testing.TB) map[string]method {
	m := map[string]method{
		"Filecoin.StateSectorGetInfo":     {params: 3, call: c.at(c.sector)},
		"Filecoin.StateMinerAllocated":    {params: 2, call: c.at(c.numbers)},
		"Filecoin.StateMarketStorageDeal": {params: 2, call: c.at(c.deal)},
		"Filecoin.StateLookupID":          {params: 2, call: c.at(c.lookup)},
	}
	static := func(name string, params int) {
		res := result(t, "rpc/chain/"+name+".json")
		m["Filecoin."+name] = method{params: params, call: func([]json.RawMessage) (any, error) { return res, nil }}
	}
	static("ChainHead", 0)
	static("StateNetworkName", 0)
	static("StateNetworkVersion", 1)
	static("StateMinerInfo", 2)
	static("StateMinerProvingDeadline", 2)
	return m
}

// at checks the last parameter: the tipset is the newest one or ChainHead's.
func (c *chain) at(call func([]json.RawMessage) (any, error)) func([]json.RawMessage) (any, error) {
	return func(params []json.RawMessage) (any, error) {
		key := string(params[len(params)-1])
		if key != "[]" && key != "null" && key != string(c.head) {
			return nil, fmt.Errorf("loading tipset %s: block not found", key)
		}
		return call(params)
	}
}

func minerOf(param json.RawMessage) (uint64, error) {
	var addr string
	if err := json.Unmarshal(param, &addr); err != nil {
		return 0, err
	}
	if !strings.HasPrefix(addr, "f0") && !strings.HasPrefix(addr, "t0") {
		return 0, fmt.Errorf("%s is no ID address", addr)
	}
	return strconv.ParseUint(addr[2:], 10, 64)
}

func (c *chain) sector(params []json.RawMessage) (any, error) {
	miner, err := minerOf(params[0])
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(string(params[1]), 10, 64)
	if err != nil {
		return nil, err
	}
	if c.opts.Sector != nil {
		if raw, ok := c.opts.Sector(miner, number); ok {
			return orNull(raw), nil
		}
	}
	return orNull(c.sectors[ref(miner, number)]), nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

func (c *chain) numbers(params []json.RawMessage) (any, error) {
	miner, err := minerOf(params[0])
	if err != nil {
		return nil, err
	}
	raw, ok := c.allocated[miner]
	if !ok {
		return nil, fmt.Errorf("failed to load miner actor state: actor not found")
	}
	return raw, nil
}

func (c *chain) deal(params []json.RawMessage) (any, error) {
	id, err := strconv.ParseUint(string(params[0]), 10, 64)
	if err != nil {
		return nil, err
	}
	proposal, ok := c.opts.Deals[id]
	if !ok {
		return nil, fmt.Errorf("deal %d not found - deal may not have completed sealing before deal proposal start epoch, or deal may have been slashed", id)
	}
	return json.RawMessage(fmt.Appendf(nil,
		`{"Proposal":%s,"State":{"SectorNumber":0,"SectorStartEpoch":5000,"LastUpdatedEpoch":-1,"SlashEpoch":-1}}`, proposal)), nil
}

func (c *chain) lookup(params []json.RawMessage) (any, error) {
	var addr string
	if err := json.Unmarshal(params[0], &addr); err != nil {
		return nil, err
	}
	if id, ok := c.opts.IDs[addr]; ok {
		return id, nil
	}
	return nil, fmt.Errorf("resolution lookup failed (%s): resolve address %s: actor not found", addr, addr)
}
