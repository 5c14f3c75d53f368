// Package daemon is what damocles-manager answers, method by method, over an open
// home: the namespace Venus of its JSON-RPC, byte for byte as the original answers.
//
// It reads sectors, moves them between the workspaces, and takes new ones in. Other
// than the original it checks what it is given: a record that would make the original
// send a message, delete files or crash is refused, and so is the removal of a sector
// that the chain may still have. It does not seal, prove or send messages; the methods
// for that say so.
//
// How a request comes in and who may ask belongs to package serve. The home is opened
// and closed by the caller.
package daemon
