// Package cli is the command line: one file a command, each turning flags into
// options for a run function that tests can call without a process. It puts the
// rooms below together and decides nothing about sectors itself.
package cli
