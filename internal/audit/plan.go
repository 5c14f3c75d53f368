package audit

import (
	"fmt"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/post"
)

// Kind is how much of each sector is checked.
type Kind string

// The kinds: the challenges of a Window or of a Winning PoSt, a number of
// challenges spread over the sector, or everything.
const (
	Window     Kind = "window"
	Winning    Kind = "winning"
	Challenges Kind = "challenges"
	Full       Kind = "full"
)

// Plan is how much of each sector is checked.
type Plan struct {
	Kind       Kind
	Challenges int // with the kind Challenges
	// Randomness is what Window and Winning draw with.
	Randomness post.Randomness
}

// String names the plan, without its randomness.
func (p Plan) String() string {
	if p.Kind == Challenges {
		return fmt.Sprintf("%d challenges", p.Challenges)
	}
	return string(p.Kind)
}

func (p Plan) of(shape post.Shape, number abi.SectorNumber) post.Plan {
	switch p.Kind {
	case Full:
		return post.Plan{Full: true}
	case Winning:
		return post.Plan{Leaves: shape.Winning(p.Randomness, number)}
	case Challenges:
		return post.Plan{Leaves: shape.Draw(number, p.Challenges)}
	default:
		return post.Plan{Leaves: shape.Window(post.WindowV1_1, p.Randomness, number, 0)}
	}
}
