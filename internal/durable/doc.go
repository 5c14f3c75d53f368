// Package durable is the only room that creates, renames, links, syncs or
// removes files. A file that it makes appears under its name whole or not at
// all, survives a power cut once the call has returned, and belongs to whoever
// its directory belongs to. The package also keeps the journal, the one format
// in which every engine notes the values before each of its changes.
//
// It knows nothing of what the files mean, and reads only its own journals.
package durable
