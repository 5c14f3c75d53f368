package lotus

import "damocles-manager/internal/sector"

// Snapping says whether in this state a snap upgrade is under way of which it is
// open whether it reaches the chain.
func Snapping(name string) bool {
	info := StateOf(name)
	return info.snap && info.Status == sector.InDoubt
}

// Known says whether lotus, up to the version that the table of states is of, has
// the state at all.
func Known(name string) bool {
	_, ok := states[name]
	return ok
}
