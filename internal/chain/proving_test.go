package chain

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-bitfield"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func provingNode(t *testing.T, results map[string]json.RawMessage, p testkit.Proving) (*Node, address.Address) {
	t.Helper()
	srv := testkit.ProvingChain(t, testkit.ChainOptions{Options: testkit.Options{Results: results}}, p)
	at, err := ParseEndpoint(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	miner, err := address.NewIDAddress(1000)
	if err != nil {
		t.Fatal(err)
	}
	return Dial(at, rpc.Options{}), miner
}

func TestOpens(t *testing.T) {
	p := ProvingPeriod{CurrentEpoch: 100000, PeriodStart: 99000, Period: 2880, Window: 60, Deadlines: 48}
	for deadline, want := range map[uint64]abi.ChainEpoch{
		0: 101880, 15: 102780, 16: 99960, 17: 100020, 47: 101820, // 15 has closed at 99960
	} {
		if got := p.Opens(deadline); got != want {
			t.Errorf("deadline %d opens at %d, want %d", deadline, got, want)
		}
	}
	p.CurrentEpoch = 98000 // a miner whose first period is still to come
	if got := p.Opens(0); got != 99000 {
		t.Errorf("before the period: %d", got)
	}
}

func TestProving(t *testing.T) {
	n, miner := provingNode(t, nil, testkit.Proving{Faulty: []uint64{100}, Recovering: []uint64{100}})
	period, err := n.ProvingPeriod(t.Context(), miner)
	want := ProvingPeriod{CurrentEpoch: 100000, PeriodStart: 99000, Period: 2880, Window: 60, Deadlines: 48}
	if err != nil || period != want {
		t.Fatalf("got %+v %v, want %+v", period, err, want)
	}
	ps, err := n.Partitions(t.Context(), miner, 14)
	if err != nil || len(ps) != 2 {
		t.Fatalf("%d partitions, %v", len(ps), err)
	}
	live, err := ps[1].Live.All(100)
	if want := []uint64{100, 104, 108, 112}; err != nil || !slices.Equal(live, want) {
		t.Errorf("live are %v %v, want %v", live, err, want)
	}
	faulty, _ := ps[1].Faulty.All(100)
	recovering, _ := ps[1].Recovering.All(100)
	if want := []uint64{100}; !slices.Equal(faulty, want) || !slices.Equal(recovering, want) {
		t.Errorf("faulty %v, recovering %v, want %v", faulty, recovering, want)
	}
	sectors, err := n.Sectors(t.Context(), miner, ps[1].Live)
	if err != nil || len(sectors) != 4 {
		t.Fatalf("%d sectors, %v", len(sectors), err)
	}
	for _, s := range sectors {
		if one, err := n.SectorInfo(t.Context(), miner, s.Number); err != nil || one.SealedCID != s.SealedCID {
			t.Errorf("%d: %v, alone %v %v", s.Number, s, one, err)
		}
	}
	none, err := n.Sectors(t.Context(), miner, bitfield.New())
	if err != nil || none != nil {
		t.Errorf("of the empty set: %v %v", none, err)
	}
}

// Answers that do not fit the question are errors with a next step, never taken
// for fewer sectors.
func TestProvingLies(t *testing.T) {
	set := bitfield.NewFromSet([]uint64{100, 101})
	sector := string(testkit.OnChain(100, "bagboea4b5abcairceirceirceirceirceirceirceirceirceirceirceirceirc", ""))
	other := strings.Replace(sector, `"SectorNumber":100`, `"SectorNumber":7`, 1)
	tests := []struct {
		name, method, result string
		call                 func(context.Context, *Node, address.Address) error
	}{
		{"no period", "StateMinerProvingDeadline", "null", period},
		{"a period of nothing", "StateMinerProvingDeadline", `{"WPoStPeriodDeadlines":48,"WPoStProvingPeriod":0}`, period},
		{"too many deadlines", "StateMinerProvingDeadline", `{"WPoStPeriodDeadlines":4800000,"WPoStProvingPeriod":2880,"WPoStChallengeWindow":60}`, period},
		{"no sectors", "StateMinerSectors", "null", sectorsOf(set)},
		{"too few", "StateMinerSectors", "[" + sector + "]", sectorsOf(set)},
		{"others", "StateMinerSectors", "[" + sector + "," + other + "]", sectorsOf(set)},
		{"one of them twice", "StateMinerSectors", "[" + sector + "," + sector + "]", sectorsOf(set)},
		{"a partition of nothing", "StateMinerPartitions", `[{}]`, partitionsOf},
		{"a partition without its faulty sectors", "StateMinerPartitions", `[{"LiveSectors":[1,1],"RecoveringSectors":[0]}]`, partitionsOf},
		{"an epoch out of time", "StateMinerProvingDeadline",
			`{"CurrentEpoch":9000000000000000000,"PeriodStart":0,"WPoStPeriodDeadlines":48,"WPoStProvingPeriod":2880,"WPoStChallengeWindow":60}`, period},
		{"no sealed CID", "StateMinerSectors", `[{"SectorNumber":100},{"SectorNumber":101}]`, sectorsOf(set)},
	}
	for _, tt := range tests {
		n, miner := provingNode(t, map[string]json.RawMessage{"Filecoin." + tt.method: json.RawMessage(tt.result)}, testkit.Proving{})
		if err := tt.call(t.Context(), n, miner); err == nil || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func period(ctx context.Context, n *Node, miner address.Address) error {
	_, err := n.ProvingPeriod(ctx, miner)
	return err
}

func partitionsOf(ctx context.Context, n *Node, miner address.Address) error {
	_, err := n.Partitions(ctx, miner, 0)
	return err
}

func sectorsOf(set bitfield.BitField) func(context.Context, *Node, address.Address) error {
	return func(ctx context.Context, n *Node, miner address.Address) error {
		_, err := n.Sectors(ctx, miner, set)
		return err
	}
}

// Whatever a node says of a miner's proving ends, and what is taken of it fits: the
// deadlines open at or after now, or are open, and each sector of a set comes once.
func FuzzProving(f *testing.F) {
	f.Add([]byte(`{"CurrentEpoch":100000,"PeriodStart":99000,"WPoStPeriodDeadlines":48,"WPoStProvingPeriod":2880,"WPoStChallengeWindow":60}`),
		[]byte(`[{"LiveSectors":[100,2],"FaultySectors":[100,1],"RecoveringSectors":[0]}]`),
		[]byte("["+string(testkit.OnChain(100, "bagboea4b5abcairceirceirceirceirceirceirceirceirceirceirceirceirc", ""))+"]"))
	f.Add([]byte(`{"CurrentEpoch":1,"PeriodStart":-1000000000000000000,"WPoStPeriodDeadlines":1,"WPoStProvingPeriod":1,"WPoStChallengeWindow":1}`),
		[]byte(`[{}]`), []byte(`[null]`))
	f.Fuzz(func(t *testing.T, period, parts, sectors []byte) {
		var p ProvingPeriod
		if err := json.Unmarshal(period, &p); err == nil && p.sane() {
			for _, d := range []uint64{0, p.Deadlines - 1} {
				opens := p.Opens(d)
				if opens+p.Window <= p.CurrentEpoch || (opens-p.PeriodStart-abi.ChainEpoch(d)*p.Window)%p.Period != 0 {
					t.Errorf("%+v: deadline %d opens at %d", p, d, opens)
				}
			}
		}
		var reply []partitionReply
		if json.Unmarshal(parts, &reply) != nil {
			return
		}
		ps, ok := partitions(reply)
		var list []Sector
		if !ok || json.Unmarshal(sectors, &list) != nil {
			return
		}
		for _, part := range ps {
			n, err := part.Live.Count()
			if err != nil || uint64(len(list)) != n {
				continue
			}
			if _, bad := unasked(part.Live, list); bad {
				continue
			}
			var got []uint64
			for _, s := range list {
				got = append(got, uint64(s.Number))
			}
			slices.Sort(got)
			if want, err := part.Live.All(n); err != nil || !slices.Equal(got, want) {
				t.Errorf("%v %v taken for %v", got, err, want)
			}
		}
	})
}
