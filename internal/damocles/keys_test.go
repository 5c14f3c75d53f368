package damocles

import (
	"testing"

	"github.com/filecoin-project/go-state-types/abi"
)

func TestKeys(t *testing.T) {
	sealed, cache := IndexKeys(1000, 16, false)
	upSealed, upCache := IndexKeys(1000, 16, true)
	for _, test := range []struct{ got, want string }{
		{StateKey(Online, 1000, 16), "sector-states/m-1000-n-16"},
		{StateKey(Offline, 1000, 16), "sector-states-offline/m-1000-n-16"},
		{NumberKey(1000), "sector-number//m-1000"},
		{sealed, "m-1000-n-16"},
		{cache, "cache/m-1000-n-16"},
		{upSealed, "sector-upgrade/m-1000-n-16"},
		{upCache, "sector-upgrade/cache/m-1000-n-16"},
		{Online.Collection(), "meta"},
		{Offline.Collection(), "offline_meta"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestParseStateKey(t *testing.T) {
	for _, ws := range []Workspace{Online, Offline} {
		miner, number, err := ParseStateKey(ws, StateKey(ws, 1001, 1<<63-1))
		if miner != 1001 || number != 1<<63-1 || err != nil {
			t.Errorf("%s: got %d, %d, %v", ws, miner, number, err)
		}
	}
	for _, key := range []string{
		"", "sector-states/", "sector-states/m-1000", "sector-states/m-1000-n-", "sector-states/m--n-1",
		"sector-states/m-1000-n-01", "sector-states/m-1000-n-1x", "sector-states/m-1000-n--1",
		"sector-states/m-1000-n-18446744073709551616", "sector-states/m-1000-n-18446744073709551615",
		"sector-states/m-1000-n-9223372036854775808", "sector-states/m-9223372036854775808-n-1", "sector-states/x-1000-n-1", "sector-states-offline/m-1000-n-1",
	} {
		if miner, number, err := ParseStateKey(Online, key); err == nil {
			t.Errorf("%q was read as %d, %d", key, miner, number)
		}
	}
}

func FuzzParseStateKey(f *testing.F) {
	f.Add("sector-states/m-1000-n-16")
	f.Fuzz(func(t *testing.T, key string) {
		miner, number, err := ParseStateKey(Online, key)
		if err == nil && StateKey(Online, miner, number) != key {
			t.Errorf("%q was read as %d, %d", key, miner, number)
		}
	})
}

func TestNumber(t *testing.T) {
	if got := EncodeNumber(103); len(got) != 1 || got[0] != 0x67 {
		t.Errorf("103 is %x, want 67", got)
	}
	for _, n := range []uint64{0, 1, 127, 128, abi.MaxSectorNumber, 1<<64 - 1} {
		if got, err := DecodeNumber(EncodeNumber(n)); got != n || err != nil {
			t.Errorf("got %d, %v, want %d", got, err, n)
		}
	}
	for _, bad := range [][]byte{nil, {0x80}, {1, 2}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		if n, err := DecodeNumber(bad); err == nil {
			t.Errorf("%x was read as %d", bad, n)
		}
	}
}
