package testkit

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// LotusOptions say what the stand-in of lotus-miner serves: the sectors of the
// fixtures, unless said otherwise.
type LotusOptions struct {
	Options
	// FromRepoJSON serves the states as the fixture repo has them. Otherwise they
	// are those of the captured replies, where the running lotus-miner had moved
	// 22, 26 and 29 on.
	FromRepoJSON bool
	// Empty leaves out the sectors of the fixtures.
	Empty bool
	// Generated adds so many CC sectors, numbered from GeneratedFrom.
	Generated     int
	GeneratedFrom uint64
	// Sectors adds or replaces sectors, as SectorsStatus gives them.
	Sectors map[uint64]json.RawMessage
	// States moves sectors on to other states.
	States map[uint64]string
	// Admin names further methods that need the permission admin.
	Admin []string
}

type lotus struct {
	sectors  map[uint64]json.RawMessage
	template json.RawMessage
	from, to uint64 // generated: from <= n < to
}

// Lotus runs a stand-in of lotus-miner.
func Lotus(t testing.TB, opts LotusOptions) *Server {
	t.Helper()
	l := &lotus{sectors: map[uint64]json.RawMessage{}, from: opts.GeneratedFrom, to: opts.GeneratedFrom + uint64(opts.Generated)}
	l.template = result(t, "rpc/lotus-miner/SectorsStatus-00.json")
	switch {
	case opts.Empty:
	case opts.FromRepoJSON:
		l.loadRepo(t)
	default:
		l.loadCaptured(t)
	}
	for n, raw := range opts.Sectors {
		l.sectors[n] = compact(t, raw)
	}
	for n, state := range opts.States {
		if !stateOf.Match(l.sectors[n]) {
			t.Fatalf("sector %d has no state to replace: %s", n, l.sectors[n])
		}
		l.sectors[n] = stateOf.ReplaceAll(l.sectors[n], []byte(`${1}"`+state+`"`))
	}
	return newServer(t, opts.Options, "/rpc/v0", lotusStyle, l.methods(t, opts))
}

// stateOf finds the state in a SectorsStatus.
var stateOf = regexp.MustCompile(`(^\{"SectorID":\d+,"State":)"[^"]*"`)

func (l *lotus) methods(t testing.TB, opts LotusOptions) map[string]method {
	m := map[string]method{
		"Filecoin.SectorsList":   {call: l.list},
		"Filecoin.SectorsStatus": {params: 2, call: l.status},
	}
	static := func(name string, params int, admin bool) {
		res := result(t, "rpc/lotus-miner/"+name+".json")
		m["Filecoin."+name] = method{params: params, admin: admin, call: func([]json.RawMessage) (any, error) { return res, nil }}
	}
	static("Version", 0, false)
	static("ActorAddress", 0, false)
	static("ActorSectorSize", 1, false)
	static("SectorNumAssignerMeta", 0, false)
	static("SectorNumReservations", 0, false)
	static("SectorsSummary", 0, false)
	static("StorageList", 0, true)
	static("StorageLocal", 0, true)
	static("StorageInfo", 1, true)
	for _, name := range opts.Admin {
		m[name] = method{m[name].params, true, m[name].call}
	}
	return m
}

func (l *lotus) loadCaptured(t testing.TB) {
	for _, path := range Glob(t, "rpc/lotus-miner/SectorsStatus-[0-9][0-9].json") {
		l.add(t, ReadExchange(t, path).Result)
	}
}

func (l *lotus) loadRepo(t testing.TB) {
	for _, path := range Glob(t, "lotus-sectorinfo/*.json") {
		l.add(t, fromRepo(t, path))
	}
}

func (l *lotus) add(t testing.TB, raw json.RawMessage) {
	var s struct{ SectorID uint64 }
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	l.sectors[s.SectorID] = raw
}

// list has the order of lotus's own: that of the keys' text.
func (l *lotus) list([]json.RawMessage) (any, error) {
	numbers := make([]uint64, 0, len(l.sectors)+int(l.to-l.from))
	for n := range l.sectors {
		numbers = append(numbers, n)
	}
	for n := l.from; n < l.to; n++ {
		if _, ok := l.sectors[n]; !ok {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, compareText)
	return numbers, nil
}

func compareText(a, b uint64) int {
	return slices.Compare(strconv.AppendUint(nil, a, 10), strconv.AppendUint(nil, b, 10))
}

func (l *lotus) status(params []json.RawMessage) (any, error) {
	n, err := strconv.ParseUint(string(params[0]), 10, 64)
	if err != nil {
		return nil, &Error{-32602, fmt.Sprintf("unmarshaling params for 'Filecoin.SectorsStatus': %v", err)}
	}
	raw, ok := l.sectors[n]
	switch {
	case ok:
	case n >= l.from && n < l.to:
		raw = l.generate(n)
	default:
		return nil, fmt.Errorf("No state for /%d: datastore: key not found", n) //nolint:staticcheck // lotus's own words
	}
	if string(params[1]) == "true" {
		return onChain(raw)
	}
	return raw, nil
}

// generate makes a CC sector out of sector 0.
func (l *lotus) generate(n uint64) json.RawMessage {
	return fmt.Appendf(nil, `{"SectorID":%d%s`, n, l.template[len(`{"SectorID":0`):])
}

// onChain fills in what showOnChain adds, as in the captured replies.
func onChain(raw json.RawMessage) (any, error) {
	var s apiSector
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	if string(s.CommitMsg) != "null" && s.State != "Removed" && s.State != "TerminateFinality" {
		s.Activation, s.Expiration, s.InitialPledge = 5000, 1500000, "12345"
	}
	return s, nil
}

// apiSector has the keys of SectorsStatus in lotus's order.
type apiSector struct {
	SectorID             uint64
	State                string
	CommD, CommR, Proof  json.RawMessage
	Deals                []uint64
	Pieces               json.RawMessage
	Ticket, Seed         sealRandomness
	PreCommitMsg         json.RawMessage
	CommitMsg            json.RawMessage
	Retries              uint64
	ToUpgrade            bool
	ReplicaUpdateMessage json.RawMessage
	LastErr              string
	Log                  []apiLog
	SealProof            int
	Activation           int64
	Expiration           int64
	DealWeight           string
	VerifiedDealWeight   string
	InitialPledge        string
	OnTime               int64
	Early                int64
}

type sealRandomness struct {
	Value json.RawMessage
	Epoch int64
}

type apiLog struct {
	Kind      string
	Timestamp uint64
	Trace     string
	Message   string
}

// repoSector is the part of a datastore record that SectorsStatus tells.
type repoSector struct {
	State                           string
	SectorNumber                    uint64
	SectorType                      int
	Pieces                          json.RawMessage
	TicketValue, SeedValue          json.RawMessage
	TicketEpoch, SeedEpoch          int64
	CommD, CommR, Proof             json.RawMessage
	PreCommitMessage, CommitMessage json.RawMessage
	InvalidProofs                   uint64
	ReplicaUpdateMessage            json.RawMessage
	LastErr                         string
	Log                             []apiLog
}

// fromRepo makes of a datastore record what SectorsStatus would answer.
func fromRepo(t testing.TB, path string) json.RawMessage {
	var r repoSector
	readJSON(t, path, &r)
	if want := fmt.Sprintf("%03d-%s.json", r.SectorNumber, r.State); filepath.Base(path) != want {
		t.Fatalf("%s holds %s", path, want)
	}
	var pieces []struct{ DealInfo *struct{ DealID uint64 } }
	if err := json.Unmarshal(r.Pieces, &pieces); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	deals := make([]uint64, len(pieces))
	for i, p := range pieces {
		if p.DealInfo != nil {
			deals[i] = p.DealInfo.DealID
		}
	}
	raw, err := json.Marshal(apiSector{
		SectorID: r.SectorNumber, State: r.State, CommD: r.CommD, CommR: r.CommR, Proof: noneIfEmpty(r.Proof),
		Deals: deals, Pieces: r.Pieces,
		Ticket: sealRandomness{noneIfEmpty(r.TicketValue), r.TicketEpoch}, Seed: sealRandomness{noneIfEmpty(r.SeedValue), r.SeedEpoch},
		PreCommitMsg: r.PreCommitMessage, CommitMsg: r.CommitMessage, Retries: r.InvalidProofs,
		ReplicaUpdateMessage: r.ReplicaUpdateMessage, LastErr: r.LastErr, Log: r.Log, SealProof: r.SectorType,
		DealWeight: "0", VerifiedDealWeight: "0", InitialPledge: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// noneIfEmpty: bytes that CBOR holds as empty come out of the datastore as nil.
func noneIfEmpty(raw json.RawMessage) json.RawMessage {
	if string(raw) == `""` {
		return json.RawMessage("null")
	}
	return raw
}
