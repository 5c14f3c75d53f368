package sample

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// The 8 MiB sector of zero data, t01000, number 1, zero ticket. It takes half a
// minute, so DM_SEAL=all asks for it.
func TestEightMiB(t *testing.T) {
	if os.Getenv("DM_SEAL") != "all" {
		t.Skip("seals 8 MiB only with DM_SEAL=all")
	}
	s := seal(t, Order{ID: sector.ID{Miner: 1000, Number: 1}, Size: 8 << 20})
	const want = "bagboea4b5abcabrlimggmqchbgxslod56emou4rijcixq54fvlbxmde3rojkmtj6"
	if got := post.CommRToCID(s.CommR).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	proveAll(t, s, post.Plan{Leaves: s.Shape.Winning(post.Randomness{}, 1)})
	up, err := s.Upgrade(bytes.Repeat([]byte{7}, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	proveAll(t, up, post.Plan{Leaves: up.Shape.Winning(post.Randomness{}, 1)})
}

func TestBadOrders(t *testing.T) {
	good := seal(t, Order{Size: 2 << 10})
	for _, tt := range []struct {
		name string
		do   func() error
	}{
		{"unknown size", func() error { return order(abi.SectorSize(32<<30), nil) }},
		{"short data", func() error { return order(2<<10, make([]byte, 127)) }},
		{"unpadded data", func() error { return order(2<<10, bytes.Repeat([]byte{0xff}, 2<<10)) }},
		{"short data for an upgrade", func() error { _, err := good.Upgrade(nil); return err }},
		{"unpadded data for an upgrade", func() error { _, err := good.Upgrade(bytes.Repeat([]byte{0xff}, 2<<10)); return err }},
	} {
		if err := tt.do(); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func order(size abi.SectorSize, data []byte) error {
	_, err := Seal(context.Background(), Order{Size: size, Data: data})
	return err
}

func TestSealIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Seal(ctx, Order{Size: 8 << 20}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// ChaCha8 with a zero key, block 0: the estream test vector.
func TestChacha8(t *testing.T) {
	const want = "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e"
	c, got := newChacha8([32]byte{}), []byte(nil)
	for range 4 {
		v := c.uint64()
		for range 8 {
			got = append(got, byte(v))
			v >>= 8
		}
	}
	if hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	for range 8 {
		c.uint64()
	}
	if c.block != 2 {
		t.Errorf("%d blocks after 96 bytes", c.block)
	}
}

// The expander is a permutation: every place of the layer before is used just once.
func TestExpanderIsPermutation(t *testing.T) {
	g := newGraph(64, [32]byte{5})
	uses := make([]int, 64)
	for node := range uint64(64) {
		for _, p := range g.expander(node) {
			uses[p]++
		}
		for i, p := range g.drg(node) {
			if node > 0 && p >= node {
				t.Errorf("node %d: parent %d is node %d", node, i, p)
			}
		}
	}
	for node, n := range uses {
		if n != expanderParents {
			t.Errorf("node %d is a parent %d times", node, n)
		}
	}
}
