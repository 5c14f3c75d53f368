// Package sector says what a sector is, whichever system keeps it: its
// identity, its record, its pieces and deals, its status. It does no I/O and
// knows no system; each system's room converts between its own form and this
// one.
package sector
