package post

import (
	"slices"
	"testing"
)

func TestPublishedChallenges(t *testing.T) {
	for _, tt := range []struct {
		shape Shape
		want  []uint64
	}{
		{shapeOf(t, 32<<30), []uint64{707914199, 439148358, 967788220, 548708700, 1061661429, 6202012, 1055504637, 389535735, 1000069704, 600088878}},
		{shapeOf(t, 2<<10), []uint64{23, 6, 60, 28, 53, 28, 61, 55, 8, 46}},
	} {
		got := tt.shape.Window(WindowV1_1, Randomness{}, 1, 99)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%d: got %v, want %v", tt.shape.Size, got, tt.want)
		}
		if got := tt.shape.Window(WindowV1, Randomness{}, 1, 0); !slices.Equal(got, tt.want) {
			t.Errorf("%d: V1 at position 0: got %v", tt.shape.Size, got)
		}
		winning := tt.shape.Winning(Randomness{}, 1)
		if len(winning) != 66 || !slices.Equal(winning[:10], tt.want) {
			t.Errorf("%d: winning: got %v", tt.shape.Size, winning)
		}
		// V1 counts on: the second sector's challenges begin where the first one's end.
		if got := tt.shape.Window(WindowV1, Randomness{}, 1, 3); !slices.Equal(got, winning[30:40]) {
			t.Errorf("%d: V1 at position 3: got %v, want %v", tt.shape.Size, got, winning[30:40])
		}
	}
}

// The chain's two highest bits do not count: the provers clear them.
func TestRandomnessIsMasked(t *testing.T) {
	s := shapeOf(t, 8<<20)
	a := s.Window(WindowV1_1, Randomness{31: 0x3f}, 1, 0)
	if b := s.Window(WindowV1_1, Randomness{31: 0xff}, 1, 0); !slices.Equal(a, b) {
		t.Errorf("got %v and %v", a, b)
	}
	if b := s.Window(WindowV1_1, Randomness{31: 0x1f}, 1, 0); slices.Equal(a, b) {
		t.Error("the other bits do not count either")
	}
}

func TestDraw(t *testing.T) {
	s := shapeOf(t, 32<<30)
	got := s.Draw(5, 16)
	if !slices.Equal(got, s.Draw(5, 16)) || slices.Equal(got, s.Draw(6, 16)) {
		t.Error("the draw does not follow from the number alone")
	}
	trees := map[uint64]int{}
	for _, leaf := range got {
		trees[leaf/s.base()]++
	}
	for i := range uint64(8) {
		if trees[i] != 2 {
			t.Errorf("base tree %d has %d of 16 leaves", i, trees[i])
		}
	}
	small := shapeOf(t, 2<<10)
	all := small.Draw(5, 1000)
	for i := range uint64(64) {
		if len(all) != 64 || all[i] != i {
			t.Fatalf("more leaves than there are: got %v", all)
		}
	}
	if got := s.Draw(5, 0); len(got) != 0 {
		t.Errorf("no challenges: got %v", got)
	}
}
