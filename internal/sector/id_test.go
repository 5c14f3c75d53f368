package sector

import (
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

func TestParseMiner(t *testing.T) {
	for _, in := range []string{"t01000", "f01000", "1000"} {
		got, err := ParseMiner(in)
		if err != nil || got != 1000 {
			t.Errorf("%s: got %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "t01000x", "-1", "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za", "t0", "99999999999999999999999"} {
		_, err := ParseMiner(in)
		if fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%q: got %v, want a usage error with a hint", in, err)
		}
	}
}

func TestIDString(t *testing.T) {
	if got, want := (ID{1000, 16}).String(), "s-t01000-16"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := MinerString(1000), "f01000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseNumbers(t *testing.T) {
	tests := []struct {
		in      []string
		has     []abi.SectorNumber
		hasNot  []abi.SectorNumber
		count   string
		missing string // against seen 1, 2, 12
	}{
		{nil, []abi.SectorNumber{0, 7, 1 << 62}, nil, "0", ""},
		{[]string{"5"}, []abi.SectorNumber{5}, []abi.SectorNumber{4, 6}, "1", "5"},
		{[]string{"1,2", "10-20"}, []abi.SectorNumber{1, 2, 10, 15, 20}, []abi.SectorNumber{0, 3, 9, 21}, "13", "10-11 13-20"},
		{[]string{"20-30,10-21", "31"}, []abi.SectorNumber{10, 31}, []abi.SectorNumber{9, 32}, "22", "10-11 13-31"},
		{[]string{" 3 , 4 "}, []abi.SectorNumber{3, 4}, []abi.SectorNumber{5}, "2", "3-4"},
		{[]string{"0-9223372036854775807"}, []abi.SectorNumber{0, abi.MaxSectorNumber}, nil, "9223372036854775808", "0 3-11 13-9223372036854775807"},
	}
	for _, tt := range tests {
		n, err := ParseNumbers(tt.in)
		if err != nil {
			t.Errorf("%v: %v", tt.in, err)
			continue
		}
		for _, x := range tt.has {
			if !n.Has(x) {
				t.Errorf("%v: does not have %d", tt.in, x)
			}
		}
		for _, x := range tt.hasNot {
			if n.Has(x) {
				t.Errorf("%v: has %d", tt.in, x)
			}
		}
		if got := n.Count().String(); got != tt.count {
			t.Errorf("%v: count %s, want %s", tt.in, got, tt.count)
		}
		if got := strings.Join(n.Missing([]abi.SectorNumber{1, 2, 12}), " "); got != tt.missing {
			t.Errorf("%v: missing %q, want %q", tt.in, got, tt.missing)
		}
	}
	for _, in := range []string{"", "x", "1-", "-1", "5-4", "1,,2", "1-2-3", "9223372036854775808"} {
		if _, err := ParseNumbers([]string{in}); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: got %v, want a usage error", in, err)
		}
	}
}
