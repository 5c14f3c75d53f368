package lotus

import "damocles-manager/internal/sector"

// Busy says of a state that is not one of sealing whether lotus-miner still has work
// to do in it: a snap upgrade of which it is open whether it reaches the chain, or a
// sector whose files it still has to move to their store.
func Busy(name string) bool {
	info := StateOf(name)
	return info.snap && info.Status == sector.InDoubt || name == "FinalizeSector" || name == "FinalizeFailed"
}

// Known says whether lotus, up to the version that the table of states is of, has
// the state at all.
func Known(name string) bool {
	_, ok := states[name]
	return ok
}
