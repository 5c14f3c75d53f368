package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/serve"
)

const namespace = "Venus."

// args reads the parameters of one call. After the first one that cannot be read, err
// is set, and the others are zero.
type args struct {
	method string
	params []json.RawMessage
	id     sector.ID // the one that the call is about, once that is known
	err    error
}

// arg reads the i-th parameter, which the original calls of the type as. null is no
// value: where the original takes it for zero, sector 0 of miner 0 would be meant.
func arg[T any](a *args, i int, as string) T {
	var v T
	if a.err != nil {
		return v
	}
	err := json.Unmarshal(a.params[i], &v)
	if err == nil && string(a.params[i]) == "null" {
		err = errors.New("it is null")
	}
	if err != nil {
		a.invalid(as, fault.JSON(err))
		return *new(T)
	}
	return v
}

func (a *args) invalid(as string, err error) {
	a.err = serve.Unreadable("unmarshaling params for '%s' (param: *%s): %v", a.method, as, err)
}

// sector reads a sector's ID, of which both halves have to be there.
func (a *args) sector(i int) sector.ID {
	const as = "abi.SectorID"
	id := arg[struct {
		Miner  *abi.ActorID
		Number *abi.SectorNumber
	}](a, i, as)
	switch {
	case a.err != nil:
	case id.Miner == nil || id.Number == nil:
		a.invalid(as, errors.New("it has to have a Miner and a Number"))
	case !knownRange(*id.Miner, *id.Number):
		a.invalid(as, fmt.Errorf("there is no sector %d of miner %d", *id.Number, *id.Miner))
	default:
		a.id = sector.ID{Miner: *id.Miner, Number: *id.Number}
	}
	return a.id
}

// knownRange says whether a chain could have such a sector.
func knownRange(miner abi.ActorID, number abi.SectorNumber) bool {
	const maxMiner = 1<<63 - 1 // of an ID address
	return miner <= maxMiner && number <= abi.MaxSectorNumber
}

// workspace takes one of the two names, else what the original answers after its
// own prefix, which says how far it came.
func workspace(name, prefix string) (damocles.Workspace, error) {
	switch ws := damocles.Workspace(name); ws {
	case damocles.Online, damocles.Offline:
		return ws, nil
	default:
		return "", fmt.Errorf("%s: kv for worker state %s does not exist", prefix, name)
	}
}

// spoken puts the next step of an error into its text: an answer has no place of its
// own for it.
func spoken(err error) error {
	hint := fault.HintOf(err)
	if hint == "" && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		hint = "make room on that disk and repeat the call"
	}
	if hint != "" {
		return fmt.Errorf("%w; %s", err, hint)
	}
	return err
}

// errNoChain says how to give a chain node.
func errNoChain(what string) error {
	return fault.New("give one as Chain, or as Gateway, in [Common.API] of sector-manager.cfg and start again",
		"%s: this damocles-manager has no chain node", what)
}
