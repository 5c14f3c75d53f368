package sample

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

func seal(t testing.TB, o Order) *Sealed {
	t.Helper()
	s, err := Seal(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The sector of lotus-bench's documentation: zero data, t01000, number 1.
func TestPublishedSector(t *testing.T) {
	s := seal(t, Order{ID: sector.ID{Miner: 1000, Number: 1}, Size: 2 << 10})
	replica := sha256.Sum256(s.Replica)
	for _, tt := range []struct{ what, got, want string }{
		{"CommR", post.CommRToCID(s.CommR).String(), "bagboea4b5abcbrshxgmmpaucffwp2elaofbcrvb7hmcu3653o4lsw2arlor4hn3c"},
		{"comm_c", s.PAux.CommC.String(), "95dd0e3fd2b1226dfcff24b2c337b96a965aebea8fa2c3ed1a0470582191de0b"},
		{"comm_r_last", s.PAux.CommRLast.String(), "d75cfa6d30ece5e2d0354a1f855d7fb128e42e84a16a133278fd9ea8b72a8f15"},
		{"tree file", hex.EncodeToString(s.Tree), "d75cfa6d30ece5e2d0354a1f855d7fb128e42e84a16a133278fd9ea8b72a8f15"},
		{"replica", hex.EncodeToString(replica[:]), "a03d8ab5008d9659f6d45032fb1a6a1c49ad788af2465685b33081f05544de5d"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, tt.got, tt.want)
		}
	}
	o := Order{ID: sector.ID{Miner: 1000, Number: 1}, Size: 2 << 10}
	for i := range o.Ticket {
		o.Ticket[i] = 1
	}
	const want = "bagboea4b5abca52cioilg33uvtkzlranby2b6t576gdch7vprlls7zz5osinbvs4"
	if got := post.CommRToCID(seal(t, o).CommR).String(); got != want {
		t.Errorf("with another ticket: got %s, want %s", got, want)
	}
}

func TestUpgrade(t *testing.T) {
	key := seal(t, Order{ID: sector.ID{Miner: 1000, Number: 1}, Size: 2 << 10})
	data := make([]byte, 0, 2<<10)
	for i := range uint64(64) {
		leaf := masked(sha256.Sum256(binary.LittleEndian.AppendUint64(nil, i+1)))
		data = append(data, leaf[:]...)
	}
	up, err := key.Upgrade(data)
	if err != nil {
		t.Fatal(err)
	}
	const want = "bagboea4b5abcbjzhuzhejki76xsclaias2toshlzfwks6lyippulhxhq5omxmkrq"
	if got := post.CommRToCID(up.CommR).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
