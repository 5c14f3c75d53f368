// Package serve answers JSON-RPC calls over HTTP and WebSocket in the form of
// damocles-manager: its key order, its status codes, its void results. Results
// that are lists are written as they are read, so that a million elements take
// no more memory than one.
//
// It bounds what a client can take: the size of a request, the number of calls
// and connections, the time for each step. Who may call is decided here, too.
// What a method does, it does not know.
package serve
